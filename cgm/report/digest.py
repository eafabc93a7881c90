"""The few numbers that DVC compares between experiments: ``dvc metrics``, ``dvc exp show`` and ``dvc plots`` read these files."""

from __future__ import annotations

import json
from statistics import fmean

from cgm.report.figures.curves import MEASURED, Row, curve_rows, curves_csv, curves_of, rounded
from cgm.report.results import DatasetResult, Results
from cgm.report.summary import AXES


def digest(results: Results) -> dict[str, bytes]:
    """``metrics/<dataset>/<method>.json``, a row each in ``dvc metrics show``; ``curves.csv``, every dataset's validation curves."""
    files = {
        f"metrics/{dataset.name}/{method}.json": (json.dumps(means(dataset, method), indent=2) + "\n").encode()
        for dataset in results.datasets
        for method in dataset.methods
    }
    rows = [row for dataset in results.datasets for row in _curves(dataset)]
    return {**files, "curves.csv": curves_csv(rows)} if rows else files


def _curves(dataset: DatasetResult) -> list[Row]:
    curves = {method: curves_of(dataset, method, MEASURED) for method in dataset.methods}
    return curve_rows(dataset, {method: {name: rounded(curve) for name, curve in found.items()} for method, found in curves.items()})


def means(dataset: DatasetResult, method: str) -> dict[str, float]:
    """How many seeds ended well, and the mean over them of the metric that speaks for each axis."""
    values = {metric: list(dataset.by_seed(method, metric).values()) for metric in AXES.values()}
    return {"seeds": sum(run.ok for run in dataset.runs[method]), **{metric: fmean(found) for metric, found in values.items() if found}}
