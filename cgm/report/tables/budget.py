"""How soon a training was nearly done, as the tables of cost and stability have it."""

from __future__ import annotations

from cgm.report import labels, stability
from cgm.report.results import DatasetResult, Results, RunResult

CURVES = ("pd", "mae")
"""Validation metrics that may say so, the preferred one first; of each lower is better."""
NEARLY = f"{100 * stability.NEARLY:g}%"


def curve_of(dataset: DatasetResult) -> str:
    """The validation metric that budgets are read from, the same for every method of a dataset; empty where no ok run has one."""
    return next((metric for metric in CURVES if any(run.ok and f"val/{metric}" in run.history for run in dataset.all_runs)), "")


def curve_title(results: Results, curve: str) -> str:
    return labels.metric_title(curve, results.params.training.judge) if curve else "value"


def budget(run: RunResult, curve: str) -> float | None:
    """Kimg to :data:`NEARLY` of the way, ``inf`` for never; None where the run isn't ok or can't tell."""
    return stability.budget_to(run.history, f"val/{curve}") if run.ok else None
