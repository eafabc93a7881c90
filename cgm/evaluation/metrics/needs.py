"""What a metric can't be computed without. Where it is missing, the number doesn't exist, and the need says why. Imports no torch.

A metric with a need of its own defines it in its own file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgm.evaluation.view import View


@dataclass(frozen=True)
class Need:
    name: str
    lacking: Callable[[View], str]
    """Why it isn't met, as ``notes`` in ``metrics.json`` and the report say it; empty where it is. Asked before any image is looked at."""


def _targets(view: View) -> str:
    return "" if view.targets is not None else "the test set holds no aligned targets"


def _pairs(view: View) -> str:
    return "" if view.conditions is not None else "the train split holds no pairs"


def _samples(view: View) -> str:
    return "" if len(view.samples) > 1 else "one output per condition"


def _two_outputs(view: View) -> str:
    return "" if view.count > 1 else f"needs 2 outputs or more, found {view.count}"


def _neighbours(view: View) -> str:
    fewest = min(view.count, view.subset_size)
    k = view.config.neighbours
    return "" if fewest > k else f"needs more than {k} images (evaluation.neighbours), found {fewest}"


def _bins(view: View) -> str:
    if len(view.reals.centres):
        return ""
    bins, trained = view.config.bins, len(view.reals.features)
    return f"needs {bins} different train targets or more (evaluation.bins), found fewer among {trained}"


def _colour(view: View) -> str:
    grey = view.channels == 1
    return "the pictures are grey" if grey else ""


COLOUR = Need("colour", _colour)
"""Pictures of three channels."""
TARGETS = Need("targets", _targets)
"""An aligned target for each output: unpaired data without hidden pairs has none."""
PAIRS = Need("pairs", _pairs)
"""Pairs in the train split, for the joint distribution of condition and target."""
SAMPLES = Need("samples", _samples)
"""Several outputs a condition."""
TWO_OUTPUTS = Need("two outputs", _two_outputs)
NEIGHBOURS = Need("neighbours", _neighbours)
"""More outputs and reals than ``evaluation.neighbours``."""
BINS = Need("bins", _bins)
"""As many different train targets as ``evaluation.bins``."""


def image_size(pixels: int) -> Need:
    """Images of so many pixels or more each way."""

    def lacking(view: View) -> str:
        found = min(view.samples.shape[2:4])
        return "" if found >= pixels else f"needs images of {pixels} px or more, found {found}"

    return Need("image size", lacking)
