"""Gaussians fitted to features, and the Fréchet distance between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgm.core.lazy import torch
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.blocks import blocks

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """The Gaussian fitted to N×D features."""

    mean: Tensor
    """D."""
    root: Tensor
    """A, at most D rows: AᵀA ÷ (N − 1) is the covariance."""
    count: int
    """N."""


def moments(values: np.ndarray) -> Moments:
    """Of N×D features, N ≥ 2: what the Fréchet distance takes from the reals alone."""
    return moments_of_parts([checks.features(values, "features", at_least=2)], [1.0])


def frechet(fake: Moments, real: Moments) -> float:
    """The Fréchet distance of two Gaussians: ‖μ − ν‖² + tr(Σ + T − 2 (ΣT)^½).

    tr (ΣT)^½ is computed, for any N and D, as the nuclear norm ‖A Bᵀ‖ ÷ √((n − 1)(m − 1)) of the centred features A and B.
    """
    degrees = fake.count - 1, real.count - 1
    traces = fake.root.square().sum() / degrees[0] + real.root.square().sum() / degrees[1]
    short, long = sorted((fake.root, real.root), key=len)
    product = short @ long.T
    # Singular values as the roots of the small Gram matrix's eigenvalues: several times faster than a decomposition of the product, and
    # what rounding does to the least of them doesn't show in the sum.
    cross = torch.linalg.eigvalsh(product @ product.T).clamp_min(0).sqrt().sum() / (degrees[0] * degrees[1]) ** 0.5
    return max(float((fake.mean - real.mean).square().sum() + traces - 2 * cross), 0.0)


def moments_of_parts(parts: list[Tensor], scales: list[float]) -> Moments:
    """Of rows that consist of parts, each times its scale; they are never joined as a whole.

    The root has at most D rows, so that large samples cost no larger a decomposition.
    """
    count, width = len(parts[0]), sum(part.shape[1] for part in parts)

    def joined(rows: slice) -> Tensor:
        return torch.cat([scale * part[rows].double() for part, scale in zip(parts, scales, strict=True)], dim=1)

    mean = torch.stack([joined(rows).sum(0) for rows in blocks(count, 8 * width)]).sum(0) / count
    if count <= width:
        return Moments(mean, joined(slice(None)) - mean, count)
    root = torch.empty(0, width, dtype=torch.float64)
    for rows in blocks(count, 8 * width):
        root = torch.linalg.qr(torch.cat([root, joined(rows) - mean]), mode="r").R
    return Moments(mean, root, count)
