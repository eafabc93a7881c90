"""Metrics that compare the distribution of the outputs' features with the reals'.

Features are N×D arrays of any float type; the arithmetic is float64, on blocks of bounded size (:mod:`cgm.metrics.blocks`). Errors
(shape, NaN, too few rows) are ``ValueError``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cgm.metrics import checks
from cgm.metrics.blocks import NEAR, blocks, gram, nearest_others, squared_distances, squared_norms

RESAMPLES = 200
"""Of both samples, behind KID's interval."""


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
    """Of N×D features, N ≥ 2: what :func:`fid` takes from the reals alone."""
    return _moments([checks.features(values, "features", at_least=2)], [1.0])


def fid(fake: np.ndarray, real: np.ndarray, real_moments: Moments | None = None) -> float:
    """Fréchet distance of the Gaussians fitted to both (Heusel et al. 2017, eq. 6): ‖μ − ν‖² + tr(Σ + T − 2 (ΣT)^½).

    tr (ΣT)^½ is computed, for any N and D, as the nuclear norm ‖A Bᵀ‖ ÷ √((n − 1)(m − 1)) of the centred features A and B.
    ``real_moments``: :func:`moments` of ``real``, if they are known already.
    """
    x, y = checks.two_features(fake, real, at_least=2)
    return _frechet(_moments([x], [1.0]), _moments([y], [1.0]) if real_moments is None else real_moments)


def fjd(fake: np.ndarray, fake_conditions: np.ndarray, real: np.ndarray, real_conditions: np.ndarray) -> float:
    """Fréchet joint distance (DeVries et al. 2019, eq. 4): FID of the rows [f(y), α h(x)], which sees whether outputs belong to their
    conditions.

    Row i of ``fake`` is the features of the output for the condition behind row i of ``fake_conditions``; of ``real``, those of its true
    target. α = mean ‖f(y)‖ ÷ mean ‖h(x)‖ over the reals, so that both halves weigh alike. Raises ``ValueError`` also where images and
    conditions differ in number, or all real conditions are zeros.
    """
    outputs, targets = checks.two_features(fake, real, at_least=2)
    conditions, true_conditions = checks.two_features(fake_conditions, real_conditions)
    for name, images, theirs in (("fake", outputs, conditions), ("real", targets, true_conditions)):
        if len(images) != len(theirs):
            raise ValueError(f"{name}_conditions: found {len(theirs)} rows, expected one for each of the {len(images)} images")
    lengths = [float(squared_norms(x).sqrt().mean()) for x in (targets, true_conditions)]
    if lengths[1] == 0:
        raise ValueError("real_conditions: found zeros alone, expected features that differ from 0")
    scales = [1.0, lengths[0] / lengths[1]]
    return _frechet(_moments([outputs, conditions], scales), _moments([targets, true_conditions], scales))


def kid(fake: np.ndarray, real: np.ndarray, real_term: float | None = None) -> float:
    """Kernel distance: the unbiased MMD² with the kernel (x·y/D + 1)³ over the full samples (Bińkowski et al. 2018, eq. 4).

    ``real_term``: :func:`kernel_mean` of ``real``, if it is known already.
    """
    x, y = checks.two_features(fake, real, at_least=2)
    ones_x, ones_y = torch.ones(1, len(x), dtype=torch.float64), torch.ones(1, len(y), dtype=torch.float64)
    within_real = kernel_mean(real) if real_term is None else real_term
    return float(_within(x, ones_x) - 2 * _between(x, y, ones_x, ones_y)) + within_real


def kernel_mean(values: np.ndarray) -> float:
    """The mean of KID's kernel over all pairs of distinct rows."""
    x = checks.features(values, "features", at_least=2)
    return float(_within(x, torch.ones(1, len(x), dtype=torch.float64)))


@dataclass(frozen=True)
class RealPart:
    """What KID's interval takes from the reals alone: the same for whatever they are compared with."""

    weights: np.ndarray
    """int16 R×M: how often each real was drawn."""
    terms: np.ndarray
    """float64 R: the kernel's mean over each resample's distinct pairs."""
    mean: float
    """:func:`kernel_mean` of the reals as they are."""


def kid_real_part(real: np.ndarray, generator: np.random.Generator, resamples: int = RESAMPLES) -> RealPart:
    """Resamples of M×D features, M ≥ 2, for :func:`kid_interval`."""
    y = checks.features(real, "real", at_least=2)
    weights = _resampled(len(y), generator, resamples)
    terms = _within(y, _with_ones(weights)).numpy()
    return RealPart(weights=weights, terms=terms[1:], mean=float(terms[0]))


def kid_interval(
    fake: np.ndarray,
    real: np.ndarray,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    real_part: RealPart | None = None,
) -> tuple[float, float]:
    """Percentile bootstrap interval of :func:`kid` over both samples.

    Rows are drawn by multinomial weights, and the mean over pairs is Σ_{i≠j} wᵢ wⱼ kᵢⱼ ÷ Σ_{i≠j} wᵢ wⱼ: a row drawn twice is not paired
    with itself, or every resample's KID would be too large by about (mean k(x, x) − mean k(x, x′)) (1/n + 1/m).
    ``real_part``: :func:`kid_real_part` of ``real``, if it is known already; its resamples count then.
    """
    return kid_with_interval(fake, real, generator, resamples, level, real_part)[1]


def kid_with_interval(
    fake: np.ndarray,
    real: np.ndarray,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    real_part: RealPart | None = None,
) -> tuple[float, tuple[float, float]]:
    """:func:`kid` and :func:`kid_interval`, each kernel value computed once."""
    if not 0 < level < 1:
        raise ValueError(f"level: found {level}, expected a number between 0 and 1")
    x, y = checks.two_features(fake, real, at_least=2)
    part = kid_real_part(real, generator, resamples) if real_part is None else real_part
    if part.weights.shape != (len(part.terms), len(y)):
        raise ValueError(f"real_part: found weights of shape {part.weights.shape}, expected {(len(part.terms), len(y))}, one for each real")
    weights = _with_ones(_resampled(len(x), generator, len(part.terms)))
    real_terms = np.concatenate([[part.mean], part.terms])
    values = _within(x, weights).numpy() + real_terms - 2 * _between(x, y, weights, _with_ones(part.weights)).numpy()
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return float(values[0]), (float(low), float(high))


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


def _frechet(fake: Moments, real: Moments) -> float:
    degrees = fake.count - 1, real.count - 1
    traces = fake.root.square().sum() / degrees[0] + real.root.square().sum() / degrees[1]
    short, long = sorted((fake.root, real.root), key=len)
    product = short @ long.T
    # Singular values as the roots of the small Gram matrix's eigenvalues: several times faster than a decomposition of the product, and
    # what rounding does to the least of them doesn't show in the sum.
    cross = torch.linalg.eigvalsh(product @ product.T).clamp_min(0).sqrt().sum() / (degrees[0] * degrees[1]) ** 0.5
    return max(float((fake.mean - real.mean).square().sum() + traces - 2 * cross), 0.0)


def _moments(parts: list[Tensor], scales: list[float]) -> Moments:
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


def _resampled(count: int, generator: np.random.Generator, resamples: int) -> np.ndarray:
    if resamples < 1:
        raise ValueError(f"resamples: found {resamples}, expected 1 or more")
    shares = np.full(count, 1 / count)
    weights = generator.multinomial(count, shares, size=resamples)
    while (single := weights.max(axis=1) == count).any():  # one row alone makes no pair; matters to a handful of rows only
        weights[single] = generator.multinomial(count, shares, size=single.sum())
    return weights.astype(np.int16)


def _with_ones(weights: np.ndarray) -> Tensor:
    """R×N → (1 + R)×N, float64: before the resamples, the sample as it is."""
    return torch.cat([torch.ones(1, weights.shape[1], dtype=torch.float64), torch.from_numpy(weights).double()])


def _within(x: Tensor, weights: Tensor) -> Tensor:
    """R×N weights → R: Σ_{i≠j} wᵢ wⱼ kᵢⱼ ÷ Σ_{i≠j} wᵢ wⱼ."""
    squares = weights.square()
    own = squares @ (squared_norms(x) / x.shape[1] + 1) ** 3
    return (_weighted(x, x, weights, weights) - own) / (weights.sum(1) ** 2 - squares.sum(1))


def _between(x: Tensor, y: Tensor, weights_x: Tensor, weights_y: Tensor) -> Tensor:
    """R×N and R×M weights → R: Σ wᵢ vⱼ kᵢⱼ ÷ Σ wᵢ vⱼ."""
    return _weighted(x, y, weights_x, weights_y) / (weights_x.sum(1) * weights_y.sum(1))


def _weighted(x: Tensor, y: Tensor, weights_x: Tensor, weights_y: Tensor) -> Tensor:
    total = torch.zeros(len(weights_x), dtype=torch.float64)
    for rows, products in gram(x, y):
        root = products.div_(x.shape[1]).add_(1)
        kernel = root.square().mul_(root)
        total += ((weights_x[:, rows] @ kernel) * weights_y).sum(1)
    return total


def _squared_radii(x: Tensor, nearest: Tensor) -> Tensor:
    """Of the balls that reach to the last of ``nearest``, N×k. What rounding could move beyond the border is let in."""
    squared = nearest[:, -1]
    return squared + NEAR * (squared + squared_norms(x))
