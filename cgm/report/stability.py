"""How one training went, from its history: how soon it was nearly done, how evenly its gradients ran, whether D won.

Pure functions of a history (:data:`~cgm.report.results.History`) and the name of one of its columns. A column that isn't there, as in runs
made before it was recorded, has no measured cells.
"""

from __future__ import annotations

from itertools import pairwise
from math import fsum, inf
from statistics import median

from cgm.report.results import History

Curve = list[tuple[float, float]]
"""Kimg and value, in order."""
NEARLY = 0.95
"""The share of the way from the untrained network's value to the final one, after which a training counts as nearly done."""
CLOSING = 0.1
"""The share of the budget, at its end, over which the discriminator's accuracy is averaged."""


def budget_to(history: History, column: str, share: float = NEARLY) -> float | None:
    """Kimg at which a validation metric, of which lower is better, has covered ``share`` of the way from its first to its final value.

    Linear between validations. A curve that overshoots its final value counts where it first passes the mark, whatever it does later.
    ``inf``: never, since the final value is no better than the first. None: there is no way to measure, because the curve has no second
    point or doesn't begin before the first step, at 0 kimg (a later beginning would shorten the way, and by a part that differs between
    methods). ``ValueError`` for a ``share`` outside 0 < share ≤ 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share of the way: found {share}, expected 0 < share ≤ 1")
    points = _points(history, column)
    if len(points) < 2 or points[0][0] != 0:
        return None
    first, final = points[0][1], points[-1][1]
    if final >= first:
        return inf
    covered = [(kimg, (first - value) / (first - final)) for kimg, value in points]  # exactly 0 at the first, exactly 1 at the last
    (start, less), (end, more) = next(stretch for stretch in pairwise(covered) if stretch[1][1] >= share)
    return start + (end - start) * (share - less) / (more - less)


def ahead_from(curve: Curve, other: Curve) -> float | None:
    """Kimg from which on a curve, of which lower is better, stays below another, up to the end of the shorter one.

    Both are (kimg, value), in order, and are linear between their points. ``inf``: never, since the other is as low or lower at the end.
    None: they share no stretch. Curves that are equal up to a point, as two trainings of one untrained network are, don't count as crossed
    there: what counts is the last time that the other was ahead.
    """
    if not (curve and other) or (end := min(curve[-1][0], other[-1][0])) <= (start := max(curve[0][0], other[0][0])):
        return None
    places = sorted({kimg for points in (curve, other) for kimg, _ in points if start <= kimg <= end} | {start, end})
    lead = [(kimg, _at(other, kimg) - _at(curve, kimg)) for kimg in places]
    if lead[-1][1] <= 0:
        return inf
    for (left, before), (right, after) in reversed(list(pairwise(lead))):
        if before <= 0:
            return left + (right - left) * -before / (after - before)
    return start


def _at(curve: Curve, kimg: float) -> float:
    """The value of a curve between its points."""
    for (left, before), (right, after) in pairwise(curve):
        if left <= kimg <= right:
            return before + (after - before) * ((kimg - left) / (right - left) if right > left else 0.0)
    return curve[-1][1]


def typical(history: History, column: str) -> float | None:
    """Median over the rows; None where none was measured."""
    values = [value for _, value in _points(history, column)]
    return median(values) if values else None


def spike(history: History, column: str) -> float | None:
    """The largest value ÷ the median over the rows, of values ≥ 0: 1 where they are all the same. None where the median is 0 or unknown."""
    middle = typical(history, column)
    return max(value for _, value in _points(history, column)) / middle if middle else None


def closing_mean(history: History, column: str, share: float = CLOSING) -> float | None:
    """Mean over the last ``share`` of the history's budget, of a column whose cells are means since the row before.

    Each cell weighs as much as its stretch has in common with the last ``share``; rows needn't be evenly spaced. None where nothing was
    measured there. ``ValueError`` for a ``share`` outside 0 < share ≤ 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share of the budget: found {share}, expected 0 < share ≤ 1")
    ends = [kimg for kimg in history.get("kimg", []) if kimg is not None]
    if not ends:
        return None
    begins = dict(zip(ends, (0.0, *ends), strict=False))
    opening = ends[-1] * (1 - share)
    weighted = [(end - max(begins[end], opening), value) for end, value in _points(history, column) if end > opening]
    weight = fsum(stretch for stretch, _ in weighted)
    return fsum(stretch * value for stretch, value in weighted) / weight if weight else None


def _points(history: History, column: str) -> list[tuple[float, float]]:
    """(kimg, value) of the column's measured cells, in order."""
    if column not in history:
        return []
    cells = zip(history["kimg"], history[column], strict=True)
    return [(kimg, value) for kimg, value in cells if kimg is not None and value is not None]
