"""Statistics over training seeds, adjusted p-values, and how numbers are written.

Intervals here are Student's t, over seeds alone; :mod:`cgm.evaluation.uncertainty` has those that know images too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit  # the inverse of Student's distribution; scipy.stats takes a second to load

LEVEL = 0.95
MINUS = "−"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Mean of ``n`` values, and half the width of its confidence interval: None where n = 1."""

    mean: float
    half_width: float | None
    n: int


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean ± t_{n−1} · s / √n. ``ValueError`` for no values or one that isn't finite."""
    mean, error = _mean_and_error(values)
    half_width = None if error is None else _quantile(level, len(values) - 1) * error
    return Interval(mean=mean, half_width=half_width, n=len(values))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Scand. J. Statist. 1979): p-values that hold for the whole family, in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        if not 0 <= p_values[index] <= 1:
            raise ValueError(f"p-values: found {p_values[index]}, expected 0…1")
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def variation(values: Sequence[float]) -> float | None:
    """Coefficient of variation s / |mean|; None for fewer than two values or a mean of 0."""
    mean, error = _mean_and_error(values)
    return None if error is None or mean == 0 else error * math.sqrt(len(values)) / abs(mean)


def decimals(half_width: float) -> int:
    """How many decimals ``mean ± half_width`` deserves: two digits of a half-width that begins with 1, else one."""
    if half_width <= 0 or not math.isfinite(half_width):
        raise ValueError(f"half-width: found {half_width}, expected a positive number")
    digits, exponent = f"{half_width:.1e}".split("e")
    return max(0, -int(exponent) + (1 if digits.startswith("1") else 0))


def format_number(value: float, places: int) -> str:
    """``places`` decimals, a true minus sign, never '−0.00'."""
    text = f"{value:.{places}f}"
    negative = text.startswith("-") and any(digit in "123456789" for digit in text)
    return (MINUS if negative else "") + text.lstrip("-")


def format_half_width(half_width: float, places: int) -> str:
    """As :func:`format_number`; what isn't 0 never reads as 0."""
    text = format_number(half_width, places)
    return text if half_width == 0 or any(digit in "123456789" for digit in text) else f"<{10**-places:.{places}f}"


def format_interval(interval: Interval, places: int | None = None) -> str:
    """``0.083 ± 0.002``; without a half-width the mean alone. ``places``: decimals, else as many as the half-width deserves, or 3."""
    if places is None:
        places = decimals(interval.half_width) if interval.half_width else 3
    mean = format_number(interval.mean, places)
    return mean if interval.half_width is None else f"{mean} ± {format_half_width(interval.half_width, places)}"


def _mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard error; sums are exact, so that the order of values doesn't matter."""
    n = len(values)
    if n == 0 or not all(math.isfinite(value) for value in values):
        raise ValueError(f"values: found {list(values)}, expected one or more finite numbers")
    mean = math.fsum(values) / n
    if n == 1:
        return mean, None
    if max(values) == min(values):  # rounding of the mean must not look like variation
        return values[0], 0.0
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)


def _quantile(level: float, degrees: int) -> float:
    return float(stdtrit(degrees, (1 + level) / 2))
