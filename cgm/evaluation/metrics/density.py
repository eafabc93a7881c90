"""Density: how many real balls an output lies in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.metrics import neighbourhood
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import NEIGHBOURS

if TYPE_CHECKING:
    from cgm.evaluation.view import Parts, View


def compute(view: View) -> Value:
    return neighbourhood.value_of(view, view.once(neighbourhood.of_outputs).density)


def of_parts(parts: Parts) -> list[float]:
    return [found.density for found in parts.once(neighbourhood.of_parts)]


DENSITY = Metric(
    name="density",
    about=About(
        title="density",
        citation=neighbourhood.NAEEM,
        protocol=f"how many real balls an output lies in, ÷ k, {neighbourhood.PROTOCOL}; 1 for equal distributions",
    ),
    group="distribution",
    direction="target",
    target=1.0,
    bounds=(0, None),
    judge="judge",
    needs=(NEIGHBOURS,),
    compute=compute,
    of_parts=of_parts,
)
