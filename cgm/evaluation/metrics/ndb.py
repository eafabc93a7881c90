"""Number of statistically different bins, as a share of the bins."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics import bins
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import BINS

if TYPE_CHECKING:
    from cgm.evaluation.view import Parts, View


def ndb(fake_shares: np.ndarray, real_shares: np.ndarray, n_fake: int, n_real: int, alpha: float = 0.05) -> float:
    """Share of bins whose proportions among ``n_fake`` outputs and ``n_real`` reals differ, by the two-proportion z-test at ``alpha``
    (Richardson & Weiss 2018, section 2: NDB ÷ K): about ``alpha`` for equal distributions."""
    bins.check_shares("ndb", fake_shares, real_shares)
    if min(n_fake, n_real) < 1 or not 0 < alpha < 1:
        raise ValueError(f"ndb: found {n_fake} outputs, {n_real} reals, alpha {alpha}; expected 1 or more of each, alpha between 0 and 1")
    pooled = (n_fake * fake_shares + n_real * real_shares) / (n_fake + n_real)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_fake + 1 / n_real))
    return float(np.mean(np.abs(fake_shares - real_shares) > NormalDist().inv_cdf(1 - alpha / 2) * error))


def compute(view: View) -> Value:
    trained = len(view.reals.features)
    value = ndb(view.once(bins.of_outputs), view.reals.shares, view.count, trained)
    return Value(value=value, n_real=trained, n_fake=view.count)


def of_parts(parts: Parts) -> list[float]:
    reals, counts = parts.view.reals, parts.kept.sum(1)
    found = zip(parts.once(bins.of_parts), counts, strict=True)
    return [ndb(shares, reals.shares, int(count), len(reals.features)) for shares, count in found]


NDB = Metric(
    name="ndb",
    about=About(
        title="NDB",
        citation=bins.RICHARDSON,
        protocol=f"share of bins whose proportions differ by the two-proportion z-test at 5% (0.05 by chance); {bins.PROTOCOL}",
    ),
    group="diversity",
    direction="lower",
    bounds=(0, 1),
    judge="judge",
    needs=(BINS,),
    compute=compute,
    of_parts=of_parts,
)
