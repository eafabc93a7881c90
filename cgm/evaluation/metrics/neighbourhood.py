"""Nearest-neighbour balls of outputs and reals: what precision, recall, density and coverage share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgm.core.lazy import np, torch
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.blocks import NEAR, nearest_others, nearest_others_of_parts, squared_distances, squared_norms
from cgm.evaluation.metrics.metric import Value

if TYPE_CHECKING:
    from torch import Tensor

    from cgm.evaluation.view import Parts, View

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
    return neighbourhoods(fake, real, k, np.ones((1, len(fake)), dtype=bool))[0]


def neighbourhoods(fake: np.ndarray, real: np.ndarray, k: int, kept: np.ndarray) -> list[Neighbourhood]:
    """:func:`neighbourhood` of each part of the fakes, by bool G×N; each distance is computed once."""
    x, y = checks.two_features(fake, real, at_least=k + 1)
    parts = torch.from_numpy(kept)
    nearest_x, nearest_y = nearest_others_of_parts(x, parts, k), nearest_others(y, k)
    radius_x = _squared_radii(x, nearest_x).masked_fill(~parts, -1)  # a row outside the part has no ball
    radius_y = _squared_radii(y, nearest_y)
    inside_count = torch.zeros(len(x), dtype=torch.int64)
    recalled, covered = torch.zeros(2, len(parts), dtype=torch.int64)
    for rows, squared in squared_distances(y, x):
        inside = squared <= radius_y[rows, None]
        inside_count += inside.sum(0)
        covered += (inside.float() @ parts.T.float() > 0).sum(0)
        recalled += torch.stack([(squared <= radius).any(1).sum() for radius in radius_x])
    return [
        Neighbourhood(
            precision=float((inside_count[part] > 0).double().mean()),
            recall=int(recalled[index]) / len(y),
            density=float(inside_count[part].double().mean()) / k,
            coverage=int(covered[index]) / len(y),
            inside=(inside_count[part] > 0).numpy(),
            nearest_fake=nearest_x[index, part, 0].sqrt().numpy(),
            nearest_real=nearest_y[:, 0].sqrt().numpy(),
        )
        for index, part in enumerate(parts)
    ]


def of_outputs(view: View) -> Neighbourhood:
    """Of the outputs, beside as many reals."""
    return neighbourhood(view.features, view.subset, view.config.neighbours)


def of_parts(parts: Parts) -> list[Neighbourhood]:
    return neighbourhoods(parts.view.features, parts.view.subset, parts.view.config.neighbours, parts.kept)


def value_of(view: View, value: float) -> Value:
    """One of the four shares, with the numbers of images behind it."""
    return Value(value=value, n_real=len(view.subset), n_fake=view.count)


def _squared_radii(x: Tensor, nearest: Tensor) -> Tensor:
    """Of the balls that reach to the last of ``nearest``, …N×k. What rounding could move beyond the border is let in."""
    squared = nearest[..., -1]
    return squared + NEAR * (squared + squared_norms(x))
