"""The metrics that the answer is read from."""

from __future__ import annotations

from cgm.report import labels
from cgm.report.results import DatasetResult, Results
from cgm.report.table_format import Table
from cgm.report.tables.maker import TableMaker
from cgm.report.tables.scores import present, scores_table


def main_table(results: Results, dataset: DatasetResult) -> Table:
    """The metrics that the answer is read from; LPIPS only where a run or baseline has it."""
    metrics = tuple(name for name in labels.main_metrics() if name != "lpips" or present(dataset, name))
    return scores_table(results, dataset, "main", "main results", metrics)


MAIN = TableMaker(kind="main", heading="", make=main_table)
