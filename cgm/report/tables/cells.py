"""Cells that several tables have."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median
from typing import Any

from cgm.evaluation import stats
from cgm.report.table_format import Cell


def median_cell(values: Iterable[Any]) -> Cell:
    return number(finite_median([float(value) for value in values if value is not None]))


def finite_median(values: list[float]) -> float | None:
    """None for no values, and where half of them or more are ``inf``: it is never reached."""
    middle = median(values) if values else math.inf
    return middle if math.isfinite(middle) else None


def number(value: float | None) -> Cell:
    return Cell() if value is None else Cell(interval=stats.Interval(mean=float(value), half_width=None, n=1))
