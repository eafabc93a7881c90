"""The few numbers that DVC compares between experiments: ``dvc metrics``, ``dvc exp show`` and ``dvc plots`` read these files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import fmean

from cgm.report.drawing import Picture
from cgm.report.results import DatasetResult, Results
from cgm.report.summary import AXES


def digest(results: Results, figures: Sequence[Picture]) -> dict[str, bytes]:
    """``metrics/<dataset>/<method>.json``, a row each in ``dvc metrics show``, and ``curves.csv``: every dataset's validation curves."""
    files = {
        f"metrics/{dataset.name}/{method}.json": (json.dumps(means(dataset, method), indent=2) + "\n").encode()
        for dataset in results.datasets
        for method in dataset.methods
    }
    tables = [figure.files["csv"].splitlines(keepends=True) for figure in figures if figure.name.startswith("validation-")]
    if tables:
        files["curves.csv"] = b"".join([*tables[0][:1], *(line for table in tables for line in table[1:])])
    return files


def means(dataset: DatasetResult, method: str) -> dict[str, float]:
    """How many seeds ended well, and the mean over them of the metric that speaks for each axis."""
    values = {metric: list(dataset.by_seed(method, metric).values()) for metric in AXES.values()}
    return {"seeds": sum(run.ok for run in dataset.runs[method]), **{metric: fmean(found) for metric, found in values.items() if found}}
