"""Coverage: the share of reals with an output near them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.metrics import neighbourhood
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import NEIGHBOURS

if TYPE_CHECKING:
    from cgm.evaluation.view import Parts, View


def compute(view: View) -> Value:
    return neighbourhood.value_of(view, view.once(neighbourhood.of_outputs).coverage)


def of_parts(parts: Parts) -> list[float]:
    return [found.coverage for found in parts.once(neighbourhood.of_parts)]


COVERAGE = Metric(
    name="coverage",
    about=About(
        title="coverage",
        citation=neighbourhood.NAEEM,
        protocol=f"share of reals whose k-nearest-neighbour ball holds an output, {neighbourhood.PROTOCOL}",
    ),
    group="diversity",
    direction="higher",
    bounds=(0, 1),
    judge="judge",
    needs=(NEIGHBOURS,),
    main=True,
    compute=compute,
    of_parts=of_parts,
)
