"""Precision: the share of outputs that look real."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics import neighbourhood
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import NEIGHBOURS

if TYPE_CHECKING:
    from cgm.evaluation.view import Parts, View


def compute(view: View) -> Value:
    found = view.once(neighbourhood.of_outputs)
    value = neighbourhood.value_of(view, found.precision)
    return replace(value, columns={"precision": found.inside.astype(np.float64)})  # 1: the image counts for it


def of_parts(parts: Parts) -> list[float]:
    return [found.precision for found in parts.once(neighbourhood.of_parts)]


PRECISION = Metric(
    name="precision",
    about=About(
        title="precision",
        citation=neighbourhood.KYNKAANNIEMI,
        protocol=f"share of outputs within the k-nearest-neighbour balls of reals, {neighbourhood.PROTOCOL}; says nothing under collapse",
    ),
    group="distribution",
    direction="higher",
    bounds=(0, 1),
    judge="judge",
    needs=(NEIGHBOURS,),
    main=True,
    compute=compute,
    of_parts=of_parts,
)
