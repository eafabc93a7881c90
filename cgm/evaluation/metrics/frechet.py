"""Gaussians fitted to features, and the Fréchet distance between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgm.core.lazy import torch
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.blocks import blocks, eigenvalues, grams_of_parts, squared_norms

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

STRIP = 160
"""Rows of a triangular or symmetric matrix that are multiplied at a time."""


@dataclass(frozen=True)
class Moments:
    """The Gaussian fitted to N×D features."""

    mean: Tensor
    """D."""
    root: Tensor
    """A, at most D rows: AᵀA ÷ (N − 1) is the covariance. Upper triangular where N > D."""
    count: int
    """N."""


def moments(values: np.ndarray) -> Moments:
    """Of N×D features, N ≥ 2: what the Fréchet distance takes from the reals alone."""
    return moments_of_parts([checks.features(values, "features", at_least=2)], [1.0])


def frechet(fake: Moments, real: Moments) -> float:
    """The Fréchet distance of two Gaussians: ‖μ − ν‖² + tr(Σ + T − 2 (ΣT)^½).

    tr (ΣT)^½ is computed, for any N and D, as the nuclear norm ‖A Bᵀ‖ ÷ √((n − 1)(m − 1)) of the centred features A and B.
    """
    product = _times(fake.root, real)
    gram = _half_gram(product if len(fake.root) <= len(real.root) else product.T)
    squares = _squared_norm(fake.root), _squared_norm(real.root)
    return _distance(fake.mean - real.mean, squares, gram, fake.count, real.count)


def frechet_of_parts(x: Tensor, kept: np.ndarray, real: Moments) -> list[float]:
    """float64 N×D features and bool G×N, the rows of each part → G: its Fréchet distance. The reals' root is multiplied once."""
    parts = torch.from_numpy(kept)
    mean = x.mean(0)
    x = x - mean
    weights, counts, own = parts.double(), parts.sum(1), _squared_norm(real.root)
    shifts = weights @ x / counts[:, None]
    squares = weights @ squared_norms(x) - counts * shifts.square().sum(1)
    grams = grams_of_parts(_times(x, real), parts, centred=True)
    return [
        _distance(mean + shift - real.mean, (square, own), gram, int(count), real.count)
        for shift, square, gram, count in zip(shifts, squares, grams, counts, strict=True)
    ]


def _times(rows: Tensor, other: Moments) -> Tensor:
    """N×D → the products with the rows of the other's root. Of a triangle, almost half is zeros, which needn't be multiplied."""
    width = other.root.shape[1]
    if other.count <= width:
        return rows @ other.root.T
    return torch.cat([rows[:, start:] @ other.root[start : start + STRIP, start:].T for start in range(0, width, STRIP)], dim=1)


def _squared_norm(root: Tensor) -> Tensor:
    return torch.linalg.vector_norm(root).square()


def _half_gram(x: Tensor) -> Tensor:
    """x xᵀ, up to the diagonal and a little beyond."""
    gram = torch.zeros(len(x), len(x), dtype=x.dtype)
    for start in range(0, len(x), STRIP):
        stop = start + STRIP
        gram[start:stop, :stop] = x[start:stop] @ x[:stop].T
    return gram


def _distance(apart: Tensor, squares: tuple[Tensor, Tensor], gram: Tensor, *counts: int) -> float:
    """From the means' difference, and of the centred features A and B: ‖A‖² and ‖B‖², the Gram matrix of A Bᵀ, and their numbers."""
    degrees = [count - 1 for count in counts]
    traces = squares[0] / degrees[0] + squares[1] / degrees[1]
    # Singular values as the roots of the small Gram matrix's eigenvalues: several times faster than a decomposition of the product, and
    # what rounding does to the least of them doesn't show in the sum. Centred rows are of a rank below their number: what comes out for
    # the rest is the root of rounding, which would show.
    cross = eigenvalues(gram)[-min(degrees) :].sqrt().sum() / (degrees[0] * degrees[1]) ** 0.5
    return max(float(apart.square().sum() + traces - 2 * cross), 0.0)


def moments_of_parts(parts: list[Tensor], scales: list[float]) -> Moments:
    """Of rows that consist of parts, each times its scale; large samples are never joined as a whole.

    The root has at most D rows, so that large samples cost no larger a decomposition.
    """
    count, width = len(parts[0]), sum(part.shape[1] for part in parts)
    if count <= width:
        whole = joined(parts, scales)
        mean = whole.sum(0) / count
        return Moments(mean, whole.sub_(mean), count)
    mean = torch.stack([joined(parts, scales, rows).sum(0) for rows in blocks(count, 8 * width)]).sum(0) / count
    root = torch.empty(0, width, dtype=torch.float64)
    for rows in blocks(count, 8 * width):
        root = torch.linalg.qr(torch.cat([root, joined(parts, scales, rows) - mean]), mode="r").R
    return Moments(mean, root, count)


def joined(parts: list[Tensor], scales: list[float], rows: slice = slice(None)) -> Tensor:
    """The rows themselves, float64."""
    return torch.cat([scale * part[rows].double() for part, scale in zip(parts, scales, strict=True)], dim=1)
