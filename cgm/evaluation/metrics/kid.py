"""Kernel distance between the features of outputs and reals, with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgm.core.lazy import np, torch
from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.blocks import gram, squared_norms
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import TWO_OUTPUTS

if TYPE_CHECKING:
    from torch import Tensor

    from cgm.evaluation.view import Parts, View

RESAMPLES = 200
"""Of both samples, behind KID's interval."""


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
    """Resamples of M×D features, M ≥ 2, for :func:`kid_with_interval`."""
    y = checks.features(real, "real", at_least=2)
    weights = _resampled(len(y), generator, resamples)
    terms = _within(y, _with_ones(weights)).numpy()
    return RealPart(weights=weights, terms=terms[1:], mean=float(terms[0]))


def kid_with_interval(
    fake: np.ndarray,
    real: np.ndarray,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    real_part: RealPart | None = None,
) -> tuple[float, tuple[float, float]]:
    """:func:`kid` and its percentile bootstrap interval over both samples; each kernel value is computed once.

    Rows are drawn by multinomial weights, and the mean over pairs is Σ_{i≠j} wᵢ wⱼ kᵢⱼ ÷ Σ_{i≠j} wᵢ wⱼ: a row drawn twice is not paired
    with itself, or every resample's KID would be too large by about (mean k(x, x) − mean k(x, x′)) (1/n + 1/m).
    ``real_part``: :func:`kid_real_part` of ``real``, if it is known already; its resamples count then.
    """
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


def compute(view: View) -> Value:
    found, interval = kid_with_interval(view.features, view.reals.features, view.generator("kid interval"), real_part=view.reals.kid_part)
    return Value(value=found, interval=interval, n_real=len(view.reals.features), n_fake=view.count)


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
        total += (weights_x[:, rows] @ kernel).mul_(weights_y).sum(1)
    return total


def of_parts(parts: Parts) -> list[float]:
    x, y = checks.two_features(parts.view.features, parts.view.reals.features)
    weights = torch.from_numpy(parts.kept).double()
    ones = torch.ones(len(weights), len(y), dtype=torch.float64)
    found: list[float] = (_within(x, weights) - 2 * _between(x, y, weights, ones) + parts.view.reals.kid_part.mean).tolist()
    return found


KID = Metric(
    name="kid",
    about=About(
        title="KID",
        short="KD",
        citation="Bińkowski et al., ICLR 2018",
        protocol="unbiased MMD² with the kernel (x·y/D + 1)³ over full samples, test outputs against all train targets; 0 for equal "
        "distributions, and may fall below by chance; interval: percentile bootstrap over distinct pairs",
    ),
    group="distribution",
    direction="lower",
    judge="judge",
    needs=(TWO_OUTPUTS,),
    main=True,
    main_through_all=True,
    canonical="KID",
    judge_in_heading=True,
    scale=1000,
    decimals=1,
    compute=compute,
    of_parts=of_parts,
)
