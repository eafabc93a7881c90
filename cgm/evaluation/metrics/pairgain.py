"""How much nearer outputs are to their own targets than to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import TARGETS

if TYPE_CHECKING:
    import numpy as np

    from cgm.evaluation.view import Block, View


def pairgain(own: np.ndarray, other: np.ndarray) -> float:
    """1 − mean d(G(xᵢ), yᵢ) ÷ mean d(G(xᵢ), y_π(i)), π a derangement: 1 for perfect outputs, 0 where the condition is ignored.

    Raises ``ValueError`` if the distances differ in number, or all of ``other`` are 0 (then all targets are alike).
    """
    if own.shape != other.shape or own.ndim != 1:
        raise ValueError(f"pairgain: found shapes {own.shape} and {other.shape}, expected two vectors of the same length")
    if not other.mean() > 0:
        raise ValueError("pairgain: found no distance to any other target, expected targets that differ")
    return float(1 - own.mean() / other.mean())


def per_image(block: Block) -> np.ndarray:
    """The distance to another's target: within a block, the next one's."""
    return block.target_distances(1)


def compute(view: View) -> Value:
    own, other = view.columns["pd"], view.columns["pd_other"]
    if view.count < 2 or not other.any():
        return Value(value=None, note="needs two different test targets or more")
    return Value(value=pairgain(own, other), n_real=view.count, n_fake=view.count)


PAIRGAIN = Metric(
    name="pairgain",
    about=About(
        title="pairgain",
        citation="this benchmark",
        protocol="1 − mean PD to the own target ÷ mean PD to another's (a fixed derangement of the test targets); 0 where the "
        "condition is ignored",
    ),
    group="conditioning",
    direction="higher",
    bounds=(None, 1),
    judge="judge",
    needs=(TARGETS,),
    main=True,
    per_image=per_image,
    column="pd_other",
    compute=compute,
)
