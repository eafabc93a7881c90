"""Intervals that know seeds and images: where a metric's mean would lie for new trainings, measured on new test images.

Every training seed is measured on the same test images, so seeds and images are crossed, and both are a sample (Cornfield & Tukey, Ann.
Math. Statist. 1956; Clark, J. Verbal Learn. Verbal Behav. 1973, on what goes wrong where one of them is taken for the whole). An interval
over seeds alone is too short where images vary more than trainings do, one over images alone where it is the other way round.

A metric may be a mean over images or one number of the whole set, as KID is. So its share of chance in the images is taken from its values
with one group of images left out at a time (jackknife). That needs no formula for the metric, draws nothing at random, has none of the bias
that a bootstrap's repeated images bring to set metrics, and pairs methods, since the groups of a dataset are the same for all runs.
``docs/metrics.md`` has the coverage on simulated data, where the truth is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit  # Student's distribution and its inverse; scipy.stats takes a second to load

from cgm.evaluation.stats import LEVEL

GROUPS = 20
"""Of test images. More would give the image part more degrees of freedom, and a set metric more computing."""
MARGIN = 0.1
"""See :func:`margin`."""
ROUNDING = 1e-12
"""What varies by less than this share of its size doesn't vary."""
PRECISION = 1e-9
"""Of quantiles, relative."""
Degrees = tuple[float | None, float | None]
Better = Literal["lower", "higher"]
Source = Literal["seeds and images", "seeds", "images"]
OVER: dict[tuple[bool, bool], Source | None] = {
    (True, True): "seeds and images",
    (True, False): "seeds",
    (False, True): "images",
    (False, False): None,
}
"""By whether there are several seeds, and several groups of images."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run's value of a metric, and its values without one group of test images each, in the order of the groups."""

    value: float
    left_out: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over seeds with its interval, mean ± ``half_width``.

    ``error`` (standard error), ``half_width`` and ``over`` are None where there is but one seed and one group of images.
    """

    mean: float
    error: float | None
    half_width: float | None
    n_seeds: int
    n_groups: int
    seed_share: float | None
    """Of the variance: near 1, more seeds would narrow the interval; near 0, more images would. None where nothing varies."""
    df: Degrees
    """Degrees of freedom of the seeds' part and the images'; None where there is no such part."""
    over: Source | None
    """What the interval speaks of anew. "images": there is one seed, and it speaks of this one training. "seeds": of these images."""

    def below(self, distance: float) -> float | None:
        """The probability that chance brings less than ``distance`` from the truth; None where there is no interval."""
        if self.error is None:
            return None
        return _below(distance / self.error, self.seed_share, self.df) if self.error > 0 else (float(np.sign(distance)) + 1) / 2


@dataclass(frozen=True, kw_only=True)
class Difference(Estimate):
    """The mean of a − b over common seeds, with its interval."""

    better: Better

    @property
    def p(self) -> float | None:
        """Two-sided; None where there is no interval."""
        below = self.below(-abs(self.mean))
        return None if below is None else min(1.0, 2 * below)

    def confidence(self, margin: float = 0.0) -> float | None:
        """The t-probability that a is truly better than b; with a ``margin``, that it is at most so much worse (non-inferiority)."""
        return self.below(margin - (self.mean if self.better == "lower" else -self.mean))


def image_groups(labels: Sequence[str] | None, count: int, generator: np.random.Generator, wanted: int = GROUPS) -> np.ndarray:
    """The group 0 … G − 1 of each of ``count`` images; G is ``wanted``, or fewer where there are fewer images or labels.

    ``labels``: images with the same one belong together (crops of one photograph, frames of one film) and are never parted: else groups
    would be alike, and the interval too short. Groups are filled at random, the largest label first into the smallest group.
    """
    if count < 1 or wanted < 1:
        raise ValueError(f"images and groups: found {count} and {wanted}, expected 1 or more of each")
    if labels is not None and len(labels) != count:
        raise ValueError(f"labels: found {len(labels)}, expected one for each of {count} images")
    _, belongs = np.unique(np.arange(count) if labels is None else np.asarray(labels), return_inverse=True)
    sizes = np.bincount(belongs)
    order = generator.permutation(len(sizes))
    filled = np.zeros(min(wanted, len(sizes)), dtype=np.int64)
    group_of = np.empty(len(sizes), dtype=np.int64)
    for label in order[np.argsort(-sizes[order], kind="stable")]:
        group_of[label] = filled.argmin()
        filled[group_of[label]] += sizes[label]
    return group_of[belongs]


def means_left_out(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Of values per image, …×N: the means without one group each, …×G."""
    sizes = np.bincount(groups)
    if len(sizes) < 2:
        raise ValueError("groups: found 1, expected 2 or more: without it no image is left")
    member = groups[:, None] == np.arange(len(sizes))
    return (values.sum(-1, keepdims=True) - values @ member) / (len(groups) - sizes)


def crossed(values: np.ndarray, left_out: np.ndarray, sizes: np.ndarray, level: float = LEVEL) -> Estimate:
    """The mean of ``values`` (S, one a seed) with its interval; ``left_out`` (S×G): without a group of images, of ``sizes`` (G) images.

    The variance has three parts. Seeds: A = s²/S. Images: B, the jackknife variance of the mean over seeds. What one seed makes of one
    image is in both; it is R = (mean over seeds of the jackknife variance − B) / (S − 1). V = A + B − R, but never below A or B.
    For means over images in equal groups these are the mean squares of the two-way random-effects analysis, MS / (SG).

    (mean − truth) / √V is taken to be distributed as a mixture of t_{S−1} and t_{G−1}, with weights A/(A + B) and B/(A + B); for unequal
    groups G is 1/Σp², where p is a group's share of the images. Satterthwaite (Biometrics 1946) would fit one t, for shares that are known.
    Here the share of the seeds comes from the same few seeds as A. Where A happens to be small its share is too, so that his degrees of
    freedom are most just where V is too small: 3 seeds that dominate cover 93% instead of 95, and at the levels that Holm asks for errors
    are four times as frequent as they should be. The mixture keeps the long tail of t_{S−1} by its weight. It is close to the weighted
    quantiles of Cochran & Cox (Experimental Designs, 1957). Being a distribution it gives intervals of all levels, and p-values.
    What it errs by is on the long side, most where R is nearly all of V.

    One seed: A is missing. One group, or none (G = 0): B is. :attr:`Estimate.over` says so.
    """
    values, left_out = np.asarray(values, dtype=np.float64), np.asarray(left_out, dtype=np.float64)
    return _crossed(values, left_out, np.asarray(sizes), level, _rounding(values, left_out))


def difference(
    a: Mapping[int, Measured], b: Mapping[int, Measured], sizes: np.ndarray, better: Better, level: float = LEVEL
) -> Difference | None:
    """:func:`crossed` of the differences a − b by seed and by group, over the seeds that both have; None where they have none in common.

    What needs no training is the same for each seed: pass it under all of the other's seeds. Differences that don't vary have p = 1 if they
    are 0, else p = 0. Where best is a target, pass distances from it, of the left-out values too, and "lower".
    """
    common = sorted(a.keys() & b.keys())
    if not common:
        return None
    values = np.array([[runs[seed].value for seed in common] for runs in (a, b)], dtype=np.float64)
    left_out = np.array([[runs[seed].left_out for seed in common] for runs in (a, b)], dtype=np.float64)
    rounding = _rounding(values, left_out)
    apart, apart_left_out = (np.where(np.abs(x[0] - x[1]) > rounding, x[0] - x[1], 0.0) for x in (values, left_out))
    found = _crossed(apart, apart_left_out, np.asarray(sizes), level, rounding)
    return Difference(**vars(found), better=better)


def probability_of_improvement(a: np.ndarray, b: np.ndarray, better: Better) -> float:
    """How often a is better than b on the same image, over all pairs of a seed of ``a`` (S×N) and one of ``b`` (T×N); ties count half.

    After Agarwal et al. (NeurIPS 2021), who compare runs by task, where here it is images. Says how regular a difference is, not how large.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or 0 in a.shape + b.shape:
        raise ValueError(f"values: found shapes {a.shape} and {b.shape}, expected seeds × images, of the same images")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("values: found one that isn't finite")
    lower, higher = (a, b) if better == "lower" else (b, a)
    wins = sum(float((one < higher).mean() + (one == higher).mean() / 2) for one in lower)
    return wins / len(lower)


def margin(best: float, references: Sequence[float], share: float = MARGIN) -> float:
    """What difference from the ``best`` mean doesn't matter: a ``share`` of its distance to the nearest reference; 0 without references.

    References are what a perfect method would have (0 for MAE; for a distribution metric real images against real images) and what needs no
    training has (the unchanged input, the mean image). The nearest decides: a margin must be small beside what is still to be gained and
    beside what was gained. By the far one alone any KID would pass for any other, since the mean image's is a hundred times as high.
    """
    return share * min((abs(best - reference) for reference in references), default=0.0)


def leaders(means: Mapping[str, float], margin: float, better: Better) -> tuple[str, ...]:
    """What is set in bold: the best mean, and the means at most ``margin`` worse; best first, and equal ones as given.

    Not: whatever a test can't tell from the best. A test that finds nothing is no finding: with few seeds and wide intervals hardly any
    difference is significant, and the noisier a method, the surer it would be of its bold. 0.44 ± 0.11 stood bold beside 0.74 ± 0.04. Here
    noise earns nothing: bold is a statement about the means in the table, with a margin that is fixed in the metric's own terms. How sure
    it is that a method is better, or no worse by more than the margin, is another statement; :meth:`Difference.confidence` makes it.
    """
    losses = {name: mean if better == "lower" else -mean for name, mean in means.items()}
    best = min(losses.values(), default=0.0)
    return tuple(sorted((name for name in losses if losses[name] - best <= margin), key=lambda name: losses[name]))


def jackknife_variance(value: np.ndarray, left_out: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Variance of ``value`` (…) from the values without one group each (…×G), of ``sizes`` (G) images.

    Pseudo-values θ + (1/p − 1)(θ − θ₋ᵍ), where p is a group's share of the images, as Busing, Meijer & van der Leeden have them (Statistics
    and Computing 1999); of a mean they are the groups' means. Their squared deviations get weights p² / (1 − p) here and p / ((1 − p) G)
    there, which is the same for equal groups. For images unlike one another both are unbiased whatever the sizes. But images are in one
    group because they may be alike, and then a large group counts by p²; theirs would be too low (Bell & McCaffrey, Surv. Methodol. 2002).
    """
    shares = _shares(sizes)
    pseudo = value[..., None] + (1 / shares - 1) * (value[..., None] - left_out)
    centre = (shares * pseudo).sum(-1, keepdims=True)
    return (shares**2 / (1 - shares) * (pseudo - centre) ** 2).sum(-1)


def _crossed(values: np.ndarray, left_out: np.ndarray, sizes: np.ndarray, level: float, rounding: float) -> Estimate:
    """:func:`crossed`; what varies by no more than ``rounding`` doesn't vary."""
    seeds, groups = len(values), len(sizes)
    if values.ndim != 1 or seeds == 0 or left_out.shape != (seeds, groups) or (sizes < 1).any():
        found = f"{values.shape}, {left_out.shape} and {sizes.shape}"
        raise ValueError(f"values, left out, sizes: found shapes {found}, expected S, S×G and G, and no group without images")
    if not (np.isfinite(values).all() and np.isfinite(left_out).all()):
        raise ValueError("values: found one that isn't finite")
    seed_part = image_part = interaction = 0.0
    df: Degrees = (None, None)
    if seeds > 1:
        df = (seeds - 1, None)
        seed_part = float(values.var(ddof=1)) / seeds if np.ptp(values) > rounding else 0.0
    if groups > 1:
        df = (df[0], float(sizes.sum() ** 2 / (sizes**2).sum()) - 1)
        if np.ptp(left_out, axis=1).max() > rounding:
            image_part = float(jackknife_variance(values.mean(), left_out.mean(0), sizes))
            interaction = max(0.0, float(jackknife_variance(values, left_out, sizes).mean()) - image_part) / max(1, seeds - 1)
    total = seed_part + image_part
    seed_share = seed_part / total if total > 0 else None
    error = None if df == (None, None) else math.sqrt(max(total - interaction, seed_part, image_part))
    return Estimate(
        mean=math.fsum(values) / seeds,
        error=error,
        half_width=None if error is None else error * _quantile((1 + level) / 2, seed_share, df),
        n_seeds=seeds,
        n_groups=groups,
        seed_share=seed_share,
        df=df,
        over=OVER[seeds > 1, groups > 1],
    )


def _shares(sizes: np.ndarray) -> np.ndarray:
    return sizes / sizes.sum()


def _rounding(*arrays: np.ndarray) -> float:
    return ROUNDING * max(float(np.abs(array).max(initial=0)) for array in arrays)


def _below(t: float, seed_share: float | None, df: Degrees) -> float:
    """The mixture's probability of values below ``t``."""
    return sum(weight * float(stdtr(degrees, t)) for weight, degrees in _components(seed_share, df))


def _quantile(level: float, seed_share: float | None, df: Degrees) -> float:
    """The mixture's, for a level above ½: by halving the range between those of its components."""
    if seed_share is None:
        return 0.0
    quantiles = [float(stdtrit(degrees, level)) for _, degrees in _components(seed_share, df)]
    low, high = min(quantiles), max(quantiles)
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle, seed_share, df) < level else (low, middle)
    return (low + high) / 2


def _components(seed_share: float | None, df: Degrees) -> list[tuple[float, float]]:
    """Weights and degrees of freedom of the mixture's parts."""
    seeds = seed_share or 0.0
    return [(weight, degrees) for weight, degrees in ((seeds, df[0]), (1 - seeds, df[1])) if degrees is not None and weight > 0]
