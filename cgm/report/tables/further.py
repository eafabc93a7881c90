"""Every other metric, and how much of KID hangs on which images were drawn."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from cgm.evaluation.metrics import METRICS
from cgm.report import labels
from cgm.report.results import DatasetResult, Results, RunResult
from cgm.report.table_format import Column, Table
from cgm.report.tables.cells import number
from cgm.report.tables.maker import TableMaker
from cgm.report.tables.scores import present, scores_table

SAMPLED = "kid"
"""The metric whose interval over images each evaluation measures."""


def further_table(results: Results, dataset: DatasetResult) -> Table:
    """Every other metric that has a value, and how much of KID hangs on which images were drawn."""
    main = labels.main_measures(dataset.measures)
    metrics = tuple(key for key in dataset.measures if key not in main and present(dataset, key))
    table = scores_table(results, dataset, "further", "further metrics", metrics)
    found = {method: [error for run in runs if (error := _sampling_error(run)) is not None] for method, runs in dataset.runs.items()}
    errors = {method: fmean(values) for method, values in found.items() if values}
    if not errors:
        return table
    column = Column(
        key=f"{SAMPLED}_images",
        title=f"± of {labels.metric_title(SAMPLED, dataset.judge_of(SAMPLED))}",
        group="Sampling error",
        detail=labels.factor(SAMPLED),
        scale=METRICS[SAMPLED].scale,
        places=1,
    )
    return replace(
        table,
        columns=(*table.columns, column),
        rows=tuple(replace(row, cells=(*row.cells, number(errors.get(row.key)))) for row in table.rows),
        footnotes=(
            *table.footnotes,
            f"{column.title}: half the width of the 95% interval over images (test outputs and train targets reweighted, distinct pairs "
            "only), mean over seeds: what another draw of images would change, beside what another seed does.",
        ),
    )


def _sampling_error(run: RunResult) -> float | None:
    interval = run.scores.get("intervals", {}).get(SAMPLED) if run.ok else None
    return None if interval is None else (interval[1] - interval[0]) / 2


FURTHER = TableMaker(kind="further", heading="Further metrics", make=further_table)
