"""From a metric's per-image values to its one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cgm.core.lazy import np
from cgm.evaluation.metrics.metric import Value

if TYPE_CHECKING:
    from cgm.evaluation.view import View


def mean_of(column: str) -> Callable[[View], Value]:
    """The mean over the test images, each of which was compared with its own target."""
    return lambda view: Value(value=float(view.columns[column].mean()), n_real=view.count, n_fake=view.count)


def median_of(column: str) -> Callable[[View], Value]:
    """The median over the test images, each of which was compared with its own target."""
    return lambda view: Value(value=float(np.median(view.columns[column])), n_real=view.count, n_fake=view.count)
