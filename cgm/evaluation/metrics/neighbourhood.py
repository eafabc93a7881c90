"""Nearest-neighbour balls of outputs and reals: what precision, recall, density and coverage share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgm.core.lazy import torch
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.blocks import NEAR, nearest_others, squared_distances, squared_norms
from cgm.evaluation.metrics.metric import Value

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from cgm.evaluation.view import View

KYNKAANNIEMI = "Kynkäänniemi et al., NeurIPS 2019"
NAEEM = "Naeem et al., ICML 2020"
PROTOCOL = "test outputs against equally many train targets, chosen by a fixed seed (all of them where there are fewer)"


@dataclass(frozen=True)
class Neighbourhood:
    """Precision, recall, density and coverage, with what is known of each row by the way."""

    precision: float
    recall: float
    density: float
    coverage: float
    inside: np.ndarray
    """bool N: whether the output lies in a ball around a real."""
    nearest_fake: np.ndarray
    nearest_real: np.ndarray
    """N and M: the distance of each row to the nearest other row of its own kind."""


def neighbourhood(fake: np.ndarray, real: np.ndarray, k: int) -> Neighbourhood:
    """Precision and recall (Kynkäänniemi et al. 2019, eq. 1), density and coverage (Naeem et al. 2020, eqs. 3 and 4).

    A ball reaches to its centre's k-th nearest neighbour among its own kind and holds its border. Needs more than ``k`` rows of each.
    """
    x, y = checks.two_features(fake, real, at_least=k + 1)
    nearest_x, nearest_y = nearest_others(x, k), nearest_others(y, k)
    radius_x, radius_y = _squared_radii(x, nearest_x), _squared_radii(y, nearest_y)
    inside_count = torch.zeros(len(x), dtype=torch.int64)
    recalled = covered = 0
    for rows, squared in squared_distances(y, x):
        inside = squared <= radius_y[rows, None]
        inside_count += inside.sum(0)
        covered += int(inside.any(1).sum())
        recalled += int((squared <= radius_x).any(1).sum())
    return Neighbourhood(
        precision=float((inside_count > 0).double().mean()),
        recall=recalled / len(y),
        density=float(inside_count.double().mean()) / k,
        coverage=covered / len(y),
        inside=(inside_count > 0).numpy(),
        nearest_fake=nearest_x[:, 0].sqrt().numpy(),
        nearest_real=nearest_y[:, 0].sqrt().numpy(),
    )


def of_outputs(view: View) -> Neighbourhood:
    """Of the outputs, beside as many reals."""
    return neighbourhood(view.features, view.subset, view.config.neighbours)


def value_of(view: View, value: float) -> Value:
    """One of the four shares, with the numbers of images behind it."""
    return Value(value=value, n_real=len(view.subset), n_fake=view.count)


def _squared_radii(x: Tensor, nearest: Tensor) -> Tensor:
    """Of the balls that reach to the last of ``nearest``, N×k. What rounding could move beyond the border is let in."""
    squared = nearest[:, -1]
    return squared + NEAR * (squared + squared_norms(x))
