"""Metrics that see collapse: the outputs' variety, as a set and for one condition. Arithmetic in float64; errors are ``ValueError``."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from cgm.metrics import checks
from cgm.metrics.paired import pd

ITERATIONS = 100


def vendi(values: np.ndarray) -> float:
    """Vendi score: exp(−Σ λ log λ) over the eigenvalues λ of K ÷ N, K the cosine kernel of the rows (Friedman & Dieng 2023, def. 3.1).

    Between 1 (all alike) and N (all orthogonal). Raises ``ValueError`` on a row of zeros, which has no direction.
    """
    x = checks.features(values, "features")
    norms = x.norm(dim=1, keepdim=True)
    if bool((norms == 0).any()):
        raise ValueError("features: found a row of zeros, whose cosine similarity is undefined")
    x = x / norms
    # K = X Xᵀ and XᵀX share their eigenvalues other than 0
    gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    eigenvalues = torch.linalg.eigvalsh(gram / len(x)).clamp_min(0)
    return float(torch.exp(torch.special.entr(eigenvalues).sum()))


def kmeans(values: np.ndarray, bins: int, generator: np.random.Generator) -> np.ndarray:
    """Centres bins×D of k-means: seeding by k-means++ (Arthur & Vassilvitskii 2007), then Lloyd's steps until nothing moves.

    Raises ``ValueError`` where there are fewer than ``bins`` distinct rows.
    """
    x = checks.features(values, "features")
    if len(torch.unique(x, dim=0)) < bins:
        raise ValueError(f"features: found {len(x)} rows, expected {bins} or more distinct ones for {bins} bins")
    chosen = [int(generator.integers(len(x)))]
    nearest = _squared(x, x[chosen])[:, 0]
    for _ in range(1, bins):
        cumulative = nearest.cumsum(0).numpy()
        chosen.append(int(np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right").clip(max=len(x) - 1)))
        nearest = torch.minimum(nearest, _squared(x, x[chosen[-1:]])[:, 0])
    centres = x[chosen]
    labels = _squared(x, centres).argmin(1)
    for _ in range(ITERATIONS):
        sums = torch.zeros_like(centres).index_add_(0, labels, x)
        counts = torch.bincount(labels, minlength=bins).double()[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
        before, labels = labels, _squared(x, centres).argmin(1)
        if torch.equal(before, labels):
            break
    return centres.numpy()


def bin_shares(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The share of rows nearest to each centre (Richardson & Weiss 2018, section 2)."""
    x, c = checks.two_features(values, centres)
    return torch.bincount(_squared(x, c).argmin(1), minlength=len(c)).double().div(len(x)).numpy()


def jsd(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence of two discrete distributions, base 2: 0 for equal ones, 1 for disjoint ones."""
    if p.shape != q.shape or p.ndim != 1 or min(p.min(), q.min()) < 0 or not np.allclose((p.sum(), q.sum()), 1):
        raise ValueError("jsd: expected two probability vectors of the same length")
    middle = (p + q) / 2
    divergences = [np.sum(r[r > 0] * np.log2(r[r > 0] / middle[r > 0])) for r in (p, q)]
    return max(float(sum(divergences) / 2), 0.0)


def intra_diversity(embeddings: Tensor) -> np.ndarray:
    """K×N×P embeddings of K samples of each of N conditions → N: the mean perceptual distance over the K(K − 1)/2 pairs of samples."""
    if embeddings.ndim != 3 or len(embeddings) < 2:
        raise ValueError(f"embeddings: found shape {tuple(embeddings.shape)}, expected K×N×P with K of 2 or more")
    return np.mean([pd(a, b) for a, b in combinations(embeddings, 2)], axis=0)


def _squared(x: Tensor, centres: Tensor) -> Tensor:
    return torch.cdist(x, centres, compute_mode="donot_use_mm_for_euclid_dist").square_()
