"""Statistics over seeds, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from cgm.evaluation import stats


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_interval_equals_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(5, 2, n)
    low, high = scipy_stats.t.interval(0.95, n - 1, values.mean(), scipy_stats.sem(values))
    found = stats.t_interval(list(values))
    assert found.n == n
    assert found.half_width is not None
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))


def test_interval_by_hand() -> None:
    # mean 2, s = 1, t(2) = 4.302653
    found = stats.t_interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_one_seed_has_no_interval() -> None:
    found = stats.t_interval([0.25])
    assert (found.mean, found.half_width, found.n) == (0.25, None, 1)
    assert stats.format_interval(found, 2) == "0.25"


def test_equal_values_vary_by_nothing() -> None:
    assert stats.t_interval([0.1] * 3) == stats.Interval(mean=0.1, half_width=0.0, n=3)
    assert stats.variation([0.1] * 3) == 0.0


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_what_is_no_number_raises(values: list[float]) -> None:
    with pytest.raises(ValueError, match="expected one or more finite numbers"):
        stats.t_interval(values)


def test_holm_by_hand() -> None:
    # sorted .01 .03 .04 → ×3, ×2, ×1 = .03 .06 .04 → made monotone: .03 .06 .06
    assert stats.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert stats.holm([0.5, 0.9]) == [1.0, 1.0]
    assert stats.holm([]) == []
    with pytest.raises(ValueError, match="expected 0…1"):
        stats.holm([1.5])


def test_variation_by_hand() -> None:
    assert stats.variation([1.0, 2.0, 3.0]) == pytest.approx(0.5)
    assert stats.variation([-1.0, -2.0, -3.0]) == pytest.approx(0.5)
    assert stats.variation([1.0]) is None
    assert stats.variation([-1.0, 1.0]) is None


@pytest.mark.parametrize(
    ("mean", "half_width", "text"),
    [
        (0.08321, 0.0023, "0.083 ± 0.002"),
        (0.08321, 0.0012, "0.0832 ± 0.0012"),
        (21.437, 0.53, "21.4 ± 0.5"),
        (1234.5, 37.0, "1234 ± 37"),
        (-1.84, 0.9, "−1.8 ± 0.9"),
        (0.5, 0.0996, "0.50 ± 0.10"),
        (0.25, 0.0, "0.250 ± 0.000"),
    ],
)
def test_sensible_digits(mean: float, half_width: float, text: str) -> None:
    assert stats.format_interval(stats.Interval(mean=mean, half_width=half_width, n=3)) == text


def test_small_numbers_keep_their_meaning() -> None:
    assert stats.format_number(-0.0004, 2) == "0.00"
    assert stats.format_half_width(0.0004, 2) == "<0.01"
    assert stats.format_half_width(0.0, 2) == "0.00"
