"""Where everything of an experiment lies, relative to its folder. No other module spells these."""

from __future__ import annotations

from pathlib import Path

from cgm.experiment.params import Run

RESULTS = Path("results")
RAW = Path("data/raw")
PREPARED = Path("data/prepared")
REFERENCE = Path("data/reference")
WEIGHTS = Path("data/weights.json")
"""Which networks of the evaluation could be had."""
FILTERS = Path("data/filters.npz")
"""The first layers of the networks that the experiment looks through."""
CHECKPOINTS = Path("build/checkpoints")
LIVE = Path("build/live")
"""What trainings show of themselves while they run."""


def run_folder(run: Run) -> Path:
    """What a run's stages write."""
    return RESULTS / run.dataset / run.method / str(run.seed)


def checkpoint(run: Run) -> Path:
    return CHECKPOINTS / run.dataset / run.method / str(run.seed) / "state.pt"


def live(run: Run) -> Path:
    """Of a training at work; gone when its results are in place."""
    return LIVE / run.dataset / run.method / str(run.seed)


def progress(run: Run) -> Path:
    """How its outputs and the machine did over a training."""
    return run_folder(run) / "progress"


def round_trip(run: Run) -> Path:
    """What a method with a way back makes of its own outputs."""
    return run_folder(run) / "round_trip.npz"


def raw(dataset: str) -> Path:
    return RAW / dataset


def prepared(dataset: str) -> Path:
    return PREPARED / dataset


def reference(dataset: str) -> Path:
    """What outputs are compared with, a file a judge; and the scores of floors and baselines."""
    return REFERENCE / dataset


def seen_by(dataset: str, judge: str) -> Path:
    """The dataset's reals through one judge."""
    return reference(dataset) / f"{judge}.npz"


def untrained(dataset: str) -> Path:
    """Floors and baselines, and which judges there were."""
    return reference(dataset) / "scores.json"
