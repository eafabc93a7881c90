"""Metrics that see collapse: the outputs' variety, as a set and for one condition. Arithmetic in float64; errors are ``ValueError``."""

from __future__ import annotations

from itertools import combinations
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from cgm.metrics import checks
from cgm.metrics.blocks import directions, distinct, nearest_others, row_blocks, squared_distances, squared_norms
from cgm.metrics.paired import pd

ITERATIONS = 100
NEAR_DUPLICATES = 0.05
"""The share of reals that count as near duplicates of another real, by definition."""


def vendi(values: np.ndarray) -> float:
    """Vendi score: exp(−Σ λ log λ) over the eigenvalues λ of K ÷ N, K the cosine kernel of the rows (Friedman & Dieng 2023, def. 3.1).

    Between 1 (all alike) and N (all orthogonal). Raises ``ValueError`` on a row of zeros, which has no direction.
    """
    x = checks.features(values, "features")
    if bool((squared_norms(x) == 0).any()):
        raise ValueError("features: found a row of zeros, whose cosine similarity is undefined")
    # K = X Xᵀ and XᵀX share their eigenvalues other than 0
    if len(x) <= x.shape[1]:
        unit = directions(x)
        gram = unit @ unit.T
    else:
        gram = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)
        for _, block in row_blocks(x):
            unit = directions(block)
            gram.addmm_(unit.T, unit)
    eigenvalues = torch.linalg.eigvalsh(gram / len(x)).clamp_min(0)
    return float(torch.exp(torch.special.entr(eigenvalues).sum()))


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
    x, c = checks.two_features(values, centres)
    return torch.bincount(_nearest(x, c), minlength=len(c)).double().div(len(x)).numpy()


def jsd(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence of two discrete distributions, base 2: 0 for equal ones, 1 for disjoint ones."""
    _probabilities("jsd", p, q)
    middle = (p + q) / 2
    divergences = [np.sum(r[r > 0] * np.log2(r[r > 0] / middle[r > 0])) for r in (p, q)]
    return max(float(sum(divergences) / 2), 0.0)


def ndb(fake_shares: np.ndarray, real_shares: np.ndarray, n_fake: int, n_real: int, alpha: float = 0.05) -> float:
    """Share of bins whose proportions among ``n_fake`` outputs and ``n_real`` reals differ, by the two-proportion z-test at ``alpha``
    (Richardson & Weiss 2018, section 2: NDB ÷ K): about ``alpha`` for equal distributions."""
    _probabilities("ndb", fake_shares, real_shares)
    if min(n_fake, n_real) < 1 or not 0 < alpha < 1:
        raise ValueError(f"ndb: found {n_fake} outputs, {n_real} reals, alpha {alpha}; expected 1 or more of each, alpha between 0 and 1")
    pooled = (n_fake * fake_shares + n_real * real_shares) / (n_fake + n_real)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_fake + 1 / n_real))
    return float(np.mean(np.abs(fake_shares - real_shares) > NormalDist().inv_cdf(1 - alpha / 2) * error))


def distinct_share(images: np.ndarray) -> float:
    """Different images ÷ images, of uint8 N×H×W×3. Bytes count: any noise makes all of them differ."""
    return distinct(checks.images(images, "images")) / len(images)


def nearest_other(values: np.ndarray) -> np.ndarray:
    """N×D features → N: the distance of each row to the nearest other row; 0 for equal ones. Needs two rows or more."""
    return nearest_others(checks.features(values, "features", at_least=2))[:, 0].sqrt().numpy()


def near_duplicate_share(fake: np.ndarray, real: np.ndarray) -> float:
    """Share of outputs nearer to another output than all but 5% of the reals are to another real: 0.05 for equal distributions.

    As Arora & Zhang's birthday test (2017) looks for collisions, with "alike" calibrated on the reals. Both need the same number of rows,
    two or more, since in a larger sample the nearest one is nearer; raises ``ValueError`` otherwise.
    """
    checks.two_features(fake, real, at_least=2)
    if len(fake) != len(real):
        raise ValueError(f"real: found {len(real)} rows, expected as many as fakes, {len(fake)}")
    return share_within(nearest_other(fake), nearest_other(real))


def share_within(fake_distances: np.ndarray, real_distances: np.ndarray) -> float:
    """:func:`near_duplicate_share` of the distances to the :func:`nearest_other`."""
    return float(np.mean(fake_distances <= np.quantile(real_distances, NEAR_DUPLICATES)))


def intra_diversity(embeddings: Tensor) -> np.ndarray:
    """K×N×P embeddings of K samples of each of N conditions → N: the mean perceptual distance over the K(K − 1)/2 pairs of samples."""
    if embeddings.ndim != 3 or len(embeddings) < 2:
        raise ValueError(f"embeddings: found shape {tuple(embeddings.shape)}, expected K×N×P with K of 2 or more")
    return np.mean([pd(a, b) for a, b in combinations(embeddings, 2)], axis=0)


def _probabilities(name: str, p: np.ndarray, q: np.ndarray) -> None:
    if p.shape != q.shape or p.ndim != 1 or min(p.min(), q.min()) < 0 or not np.allclose((p.sum(), q.sum()), 1):
        raise ValueError(f"{name}: expected two probability vectors of the same length")


def _squared(x: Tensor, centres: Tensor) -> Tensor:
    return torch.cat([squared for _, squared in squared_distances(x, centres)])


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    return torch.cat([squared.argmin(1) for _, squared in squared_distances(x, centres)])
