"""A contrast's size, how sure it is, and on which side of δ it lies. Each kind of evidence has its own distribution of chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.special import fdtr, fdtri, ndtr, ndtri, stdtr, stdtrit  # scipy.stats takes a second to load

from cgm.evaluation.stats import LEVEL
from cgm.evaluation.uncertainty import Estimate

Over = Literal["seeds and images", "seeds", "images", "filters"]
Region = Literal["below", "within", "above"]
"""Below −δ; from −δ to δ; above δ."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The arm less the other side (of a ratio: of the logarithms), with its interval, mean ± ``half_width``."""

    mean: float
    half_width: float | None
    """Of the 95% interval; None where chance has no part."""
    n_seeds: int
    """How many seeds; where the interval is over filters, how many filters."""
    over: Over | None
    """What would be drawn anew in a repetition that the interval speaks of; None where chance has no part."""
    p_of: Callable[[float], float] | None = field(default=None, repr=False, compare=False)
    """The two-sided p-value of the hypothesis that the truth is this number: it is 1 − the level of the interval that just reaches it."""

    def region(self, delta: float) -> tuple[Region, float | None]:
        """Where the effect lies beside ±``delta``, and the p-value of saying so.

        That is 1 − the level of the largest interval that lies wholly there. Wherever the truth is, an interval of level 1 − p misses it
        with probability p; so of the three statements the wrong ones are made with a probability of at most p together, and the one
        p-value stands for the two one-sided tests against δ and −δ and for the equivalence test (TOST) at once.
        """
        region: Region = "above" if self.mean > delta else "below" if self.mean < -delta else "within"
        nearest = math.copysign(delta, self.mean)
        return region, None if self.p_of is None else self.p_of(nearest)


def of_estimate(found: Estimate) -> Effect:
    """Of a mean over seeds and images, by the intervals of the tables. ``ValueError`` where there is none, of one seed and no groups."""
    if found.half_width is None:
        raise ValueError("estimate: found one without an interval, expected one over seeds or images")

    def p_of(bound: float) -> float:
        below = found.below(-abs(found.mean - bound))
        assert below is not None
        return min(1.0, 2 * below)

    return Effect(mean=found.mean, half_width=found.half_width, n_seeds=found.n_seeds, over=found.over, p_of=p_of)


def of_samples(a: np.ndarray, b: np.ndarray, over: Over) -> Effect:
    """Of the means of two independent samples, a − b, by Welch's t (Biometrika 1947). ``ValueError`` for values that don't vary."""
    parts = np.array([values.var(ddof=1) / len(values) for values in (a, b)])
    if not parts.sum() > 0:
        raise ValueError("samples: found no variation, expected some in one of them or more")
    df = parts.sum() ** 2 / (parts**2 / (np.array([len(a), len(b)]) - 1)).sum()
    mean, error = float(a.mean() - b.mean()), float(np.sqrt(parts.sum()))
    return Effect(
        mean=mean,
        half_width=error * float(stdtrit(df, (1 + LEVEL) / 2)),
        n_seeds=len(a),
        over=over,
        p_of=lambda bound: min(1.0, 2 * float(stdtr(df, -abs(mean - bound) / error))),
    )


def of_shares(a: Sequence[bool], b: Sequence[bool] | float, over: Over = "seeds") -> Effect:
    """Of how often something happens, a − b: Agresti & Caffo's interval (Am. Stat. 2000), which adds a success and a failure to each side;
    beside a known number Agresti & Coull's (Am. Stat. 1998), two of each. With these, none of three runs doesn't count as never.
    """
    added = 2 if isinstance(b, float) else 1
    share, variance = _share(a, added)
    if isinstance(b, float):
        mean = share - b
    else:
        other, more = _share(b, added)
        mean, variance = share - other, variance + more
    error = math.sqrt(variance)
    return Effect(
        mean=mean,
        half_width=error * float(ndtri((1 + LEVEL) / 2)),
        n_seeds=len(a) if isinstance(b, float) else min(len(a), len(b)),
        over=over,
        p_of=lambda bound: min(1.0, 2 * float(ndtr(-abs(mean - bound) / error))),
    )


def of_spreads(a: Sequence[float], b: Sequence[float]) -> Effect:
    """log(s_a ÷ s_b), of two positive samples of one size: s is the standard deviation of the logarithms, so that it is relative to the
    mean. By the F distribution, as for normal logarithms. ``ValueError`` for values that aren't positive, or don't vary.
    """
    logs = [np.log(np.asarray(values, dtype=np.float64)) if min(values) > 0 else np.zeros(2) for values in (a, b)]
    variances = [float(values.var(ddof=1)) for values in logs]
    if len(a) != len(b) or not min(variances) > 0:
        raise ValueError(f"values: found {list(a)} and {list(b)}, expected positive ones that vary, as many on both sides")
    df = len(a) - 1
    mean = (math.log(variances[0]) - math.log(variances[1])) / 2

    def p_of(bound: float) -> float:
        return min(1.0, 2 * float(fdtr(df, df, math.exp(-2 * abs(mean - bound)))))

    return Effect(mean=mean, half_width=math.log(fdtri(df, df, (1 + LEVEL) / 2)) / 2, n_seeds=len(a), over="seeds", p_of=p_of)


def exact(mean: float, n_seeds: int) -> Effect:
    """Of what is fixed by construction, such as the number of networks."""
    return Effect(mean=mean, half_width=None, n_seeds=n_seeds, over=None)


def _share(happened: Sequence[bool], added: int) -> tuple[float, float]:
    """Its estimate, and the estimate's variance."""
    count = len(happened) + 2 * added
    share = (sum(happened) + added) / count
    return share, share * (1 - share) / count
