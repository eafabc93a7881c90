"""Metrics that compare the distribution of the outputs' features with the reals'.

Features are N×D arrays of any float type; the arithmetic is float64. Errors (shape, NaN, too few rows) are ``ValueError``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cgm.metrics import checks

BLOCK = 1024
"""Rows of a kernel or distance matrix held at a time."""


def fid(fake: np.ndarray, real: np.ndarray) -> float:
    """Fréchet distance of the Gaussians fitted to both (Heusel et al. 2017, eq. 6): ‖μ − ν‖² + tr(Σ + T − 2 (ΣT)^½).

    tr (ΣT)^½ is computed exactly, for any N and D, as the nuclear norm ‖A Bᵀ‖ ÷ √((n − 1)(m − 1)) of the centred features A and B.
    """
    a, b = checks.two_features(fake, real, at_least=2)
    difference = a.mean(0) - b.mean(0)
    a, b = a - a.mean(0), b - b.mean(0)
    degrees_a, degrees_b = len(a) - 1, len(b) - 1
    traces = a.square().sum() / degrees_a + b.square().sum() / degrees_b
    cross = torch.linalg.svdvals(_short(a) @ _short(b).T).sum() / (degrees_a * degrees_b) ** 0.5
    return max(float(difference.square().sum() + traces - 2 * cross), 0.0)


def kid(fake: np.ndarray, real: np.ndarray, real_term: float | None = None) -> float:
    """Kernel distance: the unbiased MMD² with the kernel (x·y/D + 1)³ over the full samples (Bińkowski et al. 2018, eq. 4).

    ``real_term``: :func:`kernel_mean` of ``real``, if it is known already.
    """
    x, y = checks.two_features(fake, real, at_least=2)
    within_real = kernel_mean(real) if real_term is None else real_term
    return _mean_off_diagonal(x) + within_real - 2 * _kernel_sum(x, y) / (len(x) * len(y))


def kernel_mean(values: np.ndarray) -> float:
    """The mean of KID's kernel over all pairs of distinct rows."""
    return _mean_off_diagonal(checks.features(values, "features", at_least=2))


@dataclass(frozen=True)
class Neighbourhood:
    """Precision, recall, density and coverage, with the per-output hits behind the precision."""

    precision: float
    recall: float
    density: float
    coverage: float
    inside: np.ndarray
    """bool N: whether the output lies in a ball around a real."""


def neighbourhood(fake: np.ndarray, real: np.ndarray, k: int) -> Neighbourhood:
    """Precision and recall (Kynkäänniemi et al. 2019, eq. 1), density and coverage (Naeem et al. 2020, eqs. 3 and 4).

    A ball reaches to its centre's k-th nearest neighbour among its own kind and holds its border. Needs more than ``k`` rows of each.
    """
    x, y = checks.two_features(fake, real, at_least=k + 1)
    radius_x, radius_y = _radii(x, k), _radii(y, k)
    inside_count = torch.zeros(len(x), dtype=torch.int64)
    recalled = covered = 0
    for start in range(0, len(y), BLOCK):
        distance = _distances(y[start : start + BLOCK], x)
        radius = radius_y[start : start + BLOCK, None]
        inside = distance <= radius
        inside_count += inside.sum(0)
        covered += int(inside.any(1).sum())
        recalled += int((distance <= radius_x[None]).any(1).sum())
    return Neighbourhood(
        precision=float((inside_count > 0).double().mean()),
        recall=recalled / len(y),
        density=float(inside_count.double().mean()) / k,
        coverage=covered / len(y),
        inside=(inside_count > 0).numpy(),
    )


def _short(centred: Tensor) -> Tensor:
    """A matrix of at most D rows with the same XᵀX, so that large samples cost no larger a decomposition."""
    return torch.linalg.qr(centred, mode="r").R if len(centred) > centred.shape[1] else centred


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    total = 0.0
    for start in range(0, len(x), BLOCK):
        total += float((x[start : start + BLOCK] @ y.T / x.shape[1] + 1).pow_(3).sum())
    return total


def _mean_off_diagonal(x: Tensor) -> float:
    diagonal = float((x.square().sum(1) / x.shape[1] + 1).pow(3).sum())
    return (_kernel_sum(x, x) - diagonal) / (len(x) * (len(x) - 1))


def _radii(x: Tensor, k: int) -> Tensor:
    """The distance of each row to its k-th nearest other row."""
    blocks = []
    for start in range(0, len(x), BLOCK):
        # the row itself, at distance 0, is the first: hence k + 1
        blocks.append(_distances(x[start : start + BLOCK], x).kthvalue(k + 1, dim=1).values)
    return torch.cat(blocks)


def _distances(x: Tensor, y: Tensor) -> Tensor:
    # not by matrix products: identical rows must be at distance 0 exactly
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
