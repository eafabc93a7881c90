"""Bins of the features' space, by k-means of the reals: what NDB and JSD share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import np, torch
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.blocks import distinct, row_blocks, squared_distances

if TYPE_CHECKING:
    from torch import Tensor

    from cgm.evaluation.view import Parts, View

ITERATIONS = 100
"""Of Lloyd's steps, at most."""
RICHARDSON = "Richardson & Weiss, NeurIPS 2018"
PROTOCOL = "bins by seeded k-means of the train targets' features; test outputs against all train targets"


def kmeans(values: np.ndarray, bins: int, generator: np.random.Generator) -> np.ndarray:
    """Centres bins×D of k-means: seeding by k-means++ (Arthur & Vassilvitskii 2007), then Lloyd's steps until nothing moves.

    Raises ``ValueError`` where there are fewer than ``bins`` distinct rows.
    """
    x = checks.features(values, "features")
    if distinct(values) < bins:
        raise ValueError(f"features: found {len(x)} rows, expected {bins} or more distinct ones for {bins} bins")
    chosen = [int(generator.integers(len(x)))]
    nearest = _squared(x, x[chosen])[:, 0]
    for _ in range(1, bins):
        cumulative = nearest.cumsum(0).numpy()
        chosen.append(int(np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right").clip(max=len(x) - 1)))
        nearest = torch.minimum(nearest, _squared(x, x[chosen[-1:]])[:, 0])
    centres = x[chosen].double()
    labels = _nearest(x, centres)
    for _ in range(ITERATIONS):
        sums = torch.zeros_like(centres)
        for rows, block in row_blocks(x):
            sums.index_add_(0, labels[rows], block)
        counts = torch.bincount(labels, minlength=bins).double()[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
        before, labels = labels, _nearest(x, centres)
        if torch.equal(before, labels):
            break
    return centres.numpy()


def bin_shares(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The share of rows nearest to each centre (Richardson & Weiss 2018, section 2)."""
    return bin_shares_of_parts(values, centres, np.ones((1, len(values)), dtype=bool))[0]


def bin_shares_of_parts(values: np.ndarray, centres: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """:func:`bin_shares` of each part of the rows, by bool G×N → G×bins."""
    x, c = checks.two_features(values, centres)
    nearest, parts = _nearest(x, c), torch.from_numpy(kept)
    return torch.stack([torch.bincount(nearest[part], minlength=len(c)).double() / part.sum() for part in parts]).numpy()


def of_outputs(view: View) -> np.ndarray:
    """The outputs' share of each bin of the reals."""
    return bin_shares(view.features, view.reals.centres)


def of_parts(parts: Parts) -> np.ndarray:
    return bin_shares_of_parts(parts.view.features, parts.view.reals.centres, parts.kept)


def check_shares(name: str, p: np.ndarray, q: np.ndarray) -> None:
    """Raises ``ValueError`` unless both are probabilities of the same bins. ``name``: of the metric."""
    if p.shape != q.shape or p.ndim != 1 or min(p.min(), q.min()) < 0 or not np.allclose((p.sum(), q.sum()), 1):
        raise ValueError(f"{name}: expected two probability vectors of the same length")


def _squared(x: Tensor, centres: Tensor) -> Tensor:
    return torch.cat([squared for _, squared in squared_distances(x, centres)])


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    return torch.cat([squared.argmin(1) for _, squared in squared_distances(x, centres)])
