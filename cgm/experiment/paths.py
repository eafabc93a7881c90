"""Where everything of an experiment lies, relative to its folder. No other module spells these."""

from __future__ import annotations

from pathlib import Path

from cgm.experiment.params import Run

RESULTS = Path("results")
RAW = Path("data/raw")
PREPARED = Path("data/prepared")
REFERENCE = Path("data/reference")
CHECKPOINTS = Path("build/checkpoints")


def run_folder(run: Run) -> Path:
    """What a run's stages write."""
    return RESULTS / run.dataset / run.method / str(run.seed)


def checkpoint(run: Run) -> Path:
    return CHECKPOINTS / run.dataset / run.method / str(run.seed) / "state.pt"


def raw(dataset: str) -> Path:
    return RAW / dataset


def prepared(dataset: str) -> Path:
    return PREPARED / dataset


def reference(dataset: str, suffix: str) -> Path:
    """``npz``: what outputs are compared with; ``json``: floors and baselines."""
    return REFERENCE / f"{dataset}.{suffix}"
