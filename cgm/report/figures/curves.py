"""Curves over the budget: median and range over the seeds."""

from __future__ import annotations

from statistics import median

from cgm.report.plotting import csv_bytes
from cgm.report.results import DatasetResult

Curve = list[tuple[float, float, float, float, int]]
"""kimg, median, lowest, highest, n."""
Row = tuple[str, str, str, float, float, float, float, int]
"""Dataset, method, column, and a curve's point."""
MEASURED = ("val/",)
"""Of a history: the columns that validation wrote."""
DIGITS = 4
"""Significant ones where git keeps a curve: more than a plot shows. The runs' own ``history.csv`` have all."""
DRAWN = 40
"""Points of a curve that a screen can show in a small plot."""


def curves_of(dataset: DatasetResult, method: str, prefixes: tuple[str, ...]) -> dict[str, Curve]:
    """Median and range over the ok seeds at each image count, of the columns that begin with one of ``prefixes``."""
    seen: dict[str, dict[float, list[float]]] = {}
    for run in dataset.runs[method]:
        if not run.ok:
            continue
        for name, column in run.history.items():
            if not name.startswith(prefixes):
                continue
            for kimg, value in zip(run.history["kimg"], column, strict=True):
                if kimg is not None and value is not None:
                    seen.setdefault(name, {}).setdefault(kimg, []).append(value)
    return {
        name: [(kimg, median(values), min(values), max(values), len(values)) for kimg, values in sorted(points.items())]
        for name, points in seen.items()
    }


def thinned(curve: Curve, most: int = DRAWN) -> Curve:
    """At most ``most`` evenly spaced points, the first and the last among them."""
    if len(curve) <= most:
        return curve
    return [curve[round(place * (len(curve) - 1) / (most - 1))] for place in range(most)]


def rounded(curve: Curve) -> Curve:
    """To :data:`DIGITS`."""

    def short(value: float) -> float:
        return float(f"{value:.{DIGITS}g}")

    return [(kimg, short(middle), short(low), short(high), n) for kimg, middle, low, high, n in curve]


def curve_rows(dataset: DatasetResult, curves: dict[str, dict[str, Curve]]) -> list[Row]:
    return [(dataset.name, method, name, *point) for method, found in curves.items() for name, curve in found.items() for point in curve]


def curves_csv(rows: list[Row]) -> bytes:
    return csv_bytes(("dataset", "method", "column", "kimg", "median", "lowest", "highest", "n"), rows)
