"""The metrics that the answer is read from."""

from __future__ import annotations

from cgm.report import labels
from cgm.report.results import DatasetResult, Results
from cgm.report.table_format import Table
from cgm.report.tables.maker import TableMaker
from cgm.report.tables.scores import scores_table


def main_table(results: Results, dataset: DatasetResult) -> Table:
    """The metrics that the answer is read from."""
    return scores_table(results, dataset, "main", "main results", labels.main_measures(dataset.measures))


MAIN = TableMaker(kind="main", heading="", make=main_table, group="results")
