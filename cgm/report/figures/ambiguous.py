"""Test inputs that have several targets, as the figures about them show them."""

from __future__ import annotations

import numpy as np

from cgm.data.listing import hash_order
from cgm.evaluation.inputs import recurring
from cgm.evaluation.metrics.several import rows_by_input
from cgm.report.results import DatasetResult

TOLD_BY = "mode_distance"
"""The metric that has a value where there are such inputs."""


def ambiguous(dataset: DatasetResult) -> list[np.ndarray]:
    """For each input with several targets the places of the test images that have it: those with most targets first, else by the smallest
    hash of their ids, so that nobody picked what is shown. Empty where there are none, or nothing has been evaluated."""
    prepared = dataset.prepared
    if prepared is None or not any(TOLD_BY in run.values for run in dataset.all_runs):
        return []
    targets = prepared.rgb("test", "B")
    found = list(rows_by_input(recurring(prepared.rgb("test", "A")), targets).values())
    ids = prepared.ids("test", "A")
    order = {identity: place for place, identity in enumerate(hash_order(ids))}
    return sorted(found, key=lambda rows: (-len({targets[row].tobytes() for row in rows}), min(order[ids[row]] for row in rows)))
