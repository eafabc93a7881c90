"""Jensen-Shannon divergence of the shares of bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics import bins
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import BINS

if TYPE_CHECKING:
    from cgm.evaluation.view import Parts, View


def jsd(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence of two discrete distributions, base 2: 0 for equal ones, 1 for disjoint ones."""
    bins.check_shares("jsd", p, q)
    middle = (p + q) / 2
    divergences = [np.sum(r[r > 0] * np.log2(r[r > 0] / middle[r > 0])) for r in (p, q)]
    return max(float(sum(divergences) / 2), 0.0)


def compute(view: View) -> Value:
    return Value(value=jsd(view.once(bins.of_outputs), view.reals.shares), n_real=len(view.reals.features), n_fake=view.count)


def of_parts(parts: Parts) -> list[float]:
    return [jsd(shares, parts.view.reals.shares) for shares in parts.once(bins.of_parts)]


JSD = Metric(
    name="jsd",
    about=About(
        title="JSD",
        citation=bins.RICHARDSON,
        protocol=f"Jensen-Shannon divergence (base 2) of bin shares; {bins.PROTOCOL}",
    ),
    group="diversity",
    unit="bit",
    direction="lower",
    bounds=(0, 1),
    judge="judge",
    needs=(BINS,),
    main=True,
    compute=compute,
    of_parts=of_parts,
)
