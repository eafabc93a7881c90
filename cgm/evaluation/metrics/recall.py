"""Recall: the share of reals that the outputs could be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.metrics import neighbourhood
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import NEIGHBOURS

if TYPE_CHECKING:
    from cgm.evaluation.view import Parts, View


def compute(view: View) -> Value:
    return neighbourhood.value_of(view, view.once(neighbourhood.of_outputs).recall)


def of_parts(parts: Parts) -> list[float]:
    return [found.recall for found in parts.once(neighbourhood.of_parts)]


RECALL = Metric(
    name="recall",
    about=About(
        title="recall",
        citation=neighbourhood.KYNKAANNIEMI,
        protocol=f"share of reals within the k-nearest-neighbour balls of outputs, {neighbourhood.PROTOCOL}",
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
