"""The input-swap matrix: how near each output is to each target, its own and those of other inputs.

A method that answers its input has a bright diagonal. One whose outputs don't depend on the input has columns: whatever comes in, the
same targets are near.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cgm.core.lazy import np
from cgm.data.listing import hash_order

if TYPE_CHECKING:
    from cgm.evaluation.view import View

SHOWN = 12
"""Test items in the matrix: those whose ids have the smallest SHA-256."""
DIGITS = 4


def input_swap(view: View, ids: Sequence[str]) -> dict[str, Any]:
    """Of outputs and targets in the judge's features; empty where targets are not aligned, or there is but one.

    ``index``: places of the items shown. ``outputs``: K×K cosines, row i the output for input i, column j target j. ``targets``: likewise,
    with the targets in the outputs' place: what a perfect method shows. ``kept``: (own − other of outputs) ÷ (own − other of targets), mean
    cosines over all test items: 1 where an output stands out from others as its target does, 0 where it says nothing of its input.
    """
    if view.targets is None or view.count < 2:
        return {}
    index = np.array([ids.index(name) for name in hash_order(ids)[:SHOWN]])
    outputs, targets = view.features, view.target_features
    gained, most = (own_less_other(rows, targets) for rows in (outputs, targets))
    return {
        "index": index.tolist(),
        "outputs": _cosines(outputs[index], targets[index]).round(DIGITS).tolist(),
        "targets": _cosines(targets[index], targets[index]).round(DIGITS).tolist(),
        "kept": gained / most if most else None,
    }


def own_less_other(rows: np.ndarray, targets: np.ndarray) -> float:
    """Of N×D features each: the mean cosine of a row with its own target less that with another's. Neither array is copied."""
    count, over, over_targets = len(rows), 1 / _lengths(rows), 1 / _lengths(targets)
    own = float((np.einsum("nd,nd->n", rows, targets) * over * over_targets).sum(dtype=np.float64))
    every = float((over @ rows).astype(np.float64) @ (over_targets @ targets).astype(np.float64))
    return own / count - (every - own) / (count * (count - 1))


def _cosines(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    found: np.ndarray = (rows / _lengths(rows)[:, None]) @ (targets / _lengths(targets)[:, None]).T
    return found


def _lengths(features: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.sqrt(np.einsum("nd,nd->n", features, features)).clip(1e-12)
    return found
