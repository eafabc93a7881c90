"""Intervals over seeds and images: by hand, against the two-way analysis of variance, and on simulated runs whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from cgm.evaluation.stats import t_interval
from cgm.evaluation.uncertainty import (
    Estimate,
    Measured,
    crossed,
    difference,
    image_groups,
    jackknife_variance,
    leaders,
    margin,
    means_left_out,
    probability_of_improvement,
)

EQUAL = np.arange(40) % 20


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def of_images(values: np.ndarray, groups: np.ndarray) -> Estimate:
    return crossed(values.mean(1), means_left_out(values, groups), np.bincount(groups))


def measured(values: np.ndarray, groups: np.ndarray, seeds: tuple[int, ...] = (0, 1, 2)) -> dict[int, Measured]:
    left_out = means_left_out(values, groups)
    return {seed: Measured(value=float(one.mean()), left_out=list(out)) for seed, one, out in zip(seeds, values, left_out, strict=True)}


def simulated(seeds_part: float, images_part: float, both_part: float, shape: tuple[int, ...] = (3, 40)) -> np.ndarray:
    """… × S × N around 0; the parts are those of the variance of the mean."""
    *sets, seeds, images = shape
    random = generator(1)
    parts = ((*sets, seeds, 1), (*sets, 1, images), shape)
    spreads = (math.sqrt(seeds * seeds_part), math.sqrt(images * images_part), math.sqrt(seeds * images * both_part))
    return sum((spread * random.normal(size=part) for spread, part in zip(spreads, parts, strict=True)), np.zeros(shape))


class TestGroups:
    def test_images_are_dealt_evenly_and_at_random(self):
        groups = image_groups(None, 50, generator())
        assert sorted(np.bincount(groups)) == [2] * 10 + [3] * 10
        assert (groups == image_groups(None, 50, generator())).all()
        assert (groups != image_groups(None, 50, generator(1))).any()

    def test_what_belongs_together_is_not_parted(self):
        labels = [f"photograph {number // 3}" for number in range(100)]
        groups = image_groups(labels, 100, generator())
        assert len({(label, group) for label, group in zip(labels, groups, strict=True)}) == len(set(labels))
        assert set(groups) == set(range(20))
        assert np.bincount(groups).max() <= 6

    @pytest.mark.parametrize(("labels", "count", "found"), [(None, 7, 7), (list("aabbbc"), 6, 3), (["a"] * 4, 4, 1), (None, 1, 1)])
    def test_few_images_or_labels_make_few_groups(self, labels, count, found):
        groups = image_groups(labels, count, generator())
        assert sorted(set(groups)) == list(range(found))

    def test_wrong_counts_raise(self):
        with pytest.raises(ValueError, match="labels: found 1, expected one for each of 2 images"):
            image_groups(["a"], 2, generator())
        with pytest.raises(ValueError, match="found 0 and 20, expected 1 or more"):
            image_groups(None, 0, generator())
        with pytest.raises(ValueError, match="expected 2 or more"):
            means_left_out(np.ones(3), np.zeros(3, dtype=int))


class TestJackknife:
    def test_of_a_mean_is_its_variance(self):
        values = generator().normal(size=20)
        found = jackknife_variance(values.mean(), means_left_out(values, np.arange(20)), np.ones(20))
        assert found == pytest.approx(values.var(ddof=1) / 20)

    def test_equal_groups_as_in_the_textbook(self):
        """(G − 1)/G Σ (θ₋ᵍ − their mean)², of any statistic."""
        x = generator().normal(size=40)
        left_out = np.array([np.median(x[group != EQUAL]) for group in range(20)])
        found = jackknife_variance(np.median(x), left_out, np.full(20, 2))
        assert found == pytest.approx(19 / 20 * ((left_out - left_out.mean()) ** 2).sum())

    def test_unequal_groups_by_hand(self):
        # Groups [0], [3, 3]: means 0 and 3, shares 1/3 and 2/3, mean 2. 1/9 ÷ 2/3 · 4 + 4/9 ÷ 1/3 · 1 = 2
        values, groups = np.array([0.0, 3.0, 3.0]), np.array([0, 1, 1])
        assert jackknife_variance(values.mean(), means_left_out(values, groups), np.array([1, 2])) == pytest.approx(2)

    @pytest.mark.parametrize("alike", [False, True])
    def test_unequal_groups_are_unbiased(self, alike):
        """Nearly, where images of one group have everything in common; the weights of Busing et al. would give 0.6 of it there."""
        groups = np.repeat(np.arange(10), [1, 1, 2, 2, 3, 3, 4, 4, 10, 10])
        random = generator()
        values = random.normal(size=(20000, 10))[:, groups] if alike else random.normal(size=(20000, 40))
        found = jackknife_variance(values.mean(1), means_left_out(values, groups), np.bincount(groups)).mean()
        assert found == pytest.approx(values.mean(1).var(), rel=0.1 if alike else 0.03)

    def test_a_bias_by_the_number_of_images_does_not_count(self):
        sizes = np.array([5, 10, 25])
        assert jackknife_variance(np.array(1 / 40), 1 / (40 - sizes), sizes) == pytest.approx(0, abs=1e-20)


class TestCrossed:
    def test_equals_the_two_way_analysis_of_variance(self):
        values = simulated(0.4, 0.4, 0.2, (4, 20))
        seeds, images = values.shape
        of_seeds, of_images_, grand = values.mean(1, keepdims=True), values.mean(0, keepdims=True), values.mean()
        ms_seeds = images * ((of_seeds - grand) ** 2).sum() / (seeds - 1)
        ms_images = seeds * ((of_images_ - grand) ** 2).sum() / (images - 1)
        ms_both = ((values - of_seeds - of_images_ + grand) ** 2).sum() / (seeds - 1) / (images - 1)
        assert ms_both < min(ms_seeds, ms_images)  # nothing is floored here
        found = of_images(values, np.arange(20))
        assert found.mean == pytest.approx(grand)
        assert found.error == pytest.approx(math.sqrt((ms_seeds + ms_images - ms_both) / (seeds * images)))
        share = ms_seeds / (ms_seeds + ms_images)
        assert found.seed_share == pytest.approx(share)
        assert found.df == pytest.approx((3, 19))
        t = found.half_width / found.error
        assert share * scipy_stats.t.cdf(t, 3) + (1 - share) * scipy_stats.t.cdf(t, 19) == pytest.approx(0.975, abs=1e-10)
        assert (found.n_seeds, found.n_groups, found.over) == (4, 20, "seeds and images")

    def test_by_hand(self):
        # Images 1, 2 | 3, 4 under seed 0, and all 2 more under seed 1: A = 2/2, B = (1.5 − 3.5)²/4 = 1, no interaction.
        found = of_images(np.array([[1.0, 2, 3, 4], [3, 4, 5, 6]]), np.array([0, 0, 1, 1]))
        assert (found.mean, found.seed_share, *found.df) == pytest.approx((3.5, 0.5, 1, 1))
        assert found.error == pytest.approx(math.sqrt(2))
        assert found.half_width == pytest.approx(12.7062 * math.sqrt(2), rel=1e-5)

    def test_never_shorter_than_its_longer_part(self):
        for values in simulated(0, 0, 1, (200, 3, 40)):
            found = of_images(values, EQUAL)
            images = jackknife_variance(values.mean(), means_left_out(values.mean(0), EQUAL), np.full(20, 2))
            assert found.error is not None
            assert found.error**2 >= max(values.mean(1).var(ddof=1) / 3, images) * (1 - 1e-9)

    def test_order_shift_and_scale(self):
        values = simulated(0.4, 0.4, 0.2)
        found = of_images(values, EQUAL)
        images, seeds, groups = (generator().permutation(count) for count in (40, 3, 20))
        for same in (
            of_images(values[:, images], EQUAL[images]),
            of_images(values[seeds], EQUAL),
            of_images(values, groups[EQUAL]),
        ):
            for one, other in ((same, found), (same.df, found.df)):
                assert (one if isinstance(one, tuple) else (one.mean, one.error, one.half_width, one.seed_share)) == pytest.approx(
                    other if isinstance(other, tuple) else (other.mean, other.error, other.half_width, other.seed_share)
                )
        moved = of_images(5 - 3 * values, EQUAL)
        assert moved.mean == pytest.approx(5 - 3 * found.mean)
        assert (moved.half_width, moved.seed_share) == pytest.approx((3 * found.half_width, found.seed_share))

    def test_one_seed_speaks_of_its_training_alone(self):
        values = simulated(0, 1, 0, (1, 20))
        found = of_images(values, np.arange(20))
        low, high = scipy_stats.t.interval(0.95, 19, values.mean(), scipy_stats.sem(values[0]))
        assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))
        assert (found.over, found.seed_share, found.n_seeds) == ("images", 0.0, 1)

    @pytest.mark.parametrize("groups", [0, 1])
    def test_one_group_speaks_of_its_images_alone(self, groups):
        values = np.array([1.0, 2.0, 4.0])
        found = crossed(values, np.ones((3, groups)), np.full(groups, 40))
        expected = t_interval(list(values))
        assert (found.mean, found.half_width) == pytest.approx((expected.mean, expected.half_width))
        assert (found.over, found.df, found.seed_share) == ("seeds", (2, None), 1.0)

    def test_one_of_each_has_no_interval(self):
        found = crossed(np.array([0.25]), np.array([[0.25]]), np.array([40]))
        assert found.mean == 0.25
        assert (found.error, found.half_width, found.over, found.df) == (None, None, None, (None, None))

    def test_what_does_not_vary(self):
        found = of_images(np.full((3, 40), 0.1), EQUAL)
        assert (found.mean, found.half_width, found.seed_share) == (pytest.approx(0.1, rel=1e-15), 0.0, None)
        alike_images = np.repeat(generator().normal(size=(3, 1)), 40, 1)
        assert of_images(alike_images, EQUAL).half_width == pytest.approx(t_interval(list(alike_images[:, 0])).half_width)
        alike_seeds = np.repeat(generator().normal(size=(1, 20)), 3, 0)
        assert of_images(alike_seeds, np.arange(20)).half_width == pytest.approx(t_interval(list(alike_seeds[0])).half_width)

    def test_unequal_groups_count_for_fewer(self):
        groups = np.repeat([0, 1, 2], [10, 10, 20])
        assert of_images(generator().normal(size=(1, 40)), groups).df[1] == pytest.approx(1 / (1 / 16 + 1 / 16 + 1 / 4) - 1)

    @pytest.mark.parametrize(
        ("values", "left_out", "sizes"),
        [([], np.ones((0, 2)), [1, 1]), ([1], np.ones((1, 2)), [1]), ([1, 2], np.ones((1, 2)), [1, 1]), ([1], np.ones((1, 2)), [2, 0])],
    )
    def test_shapes_that_do_not_fit_raise(self, values, left_out, sizes):
        with pytest.raises(ValueError, match="expected S, S×G and G"):
            crossed(np.array(values), left_out, np.array(sizes))

    def test_what_is_no_number_raises(self):
        with pytest.raises(ValueError, match="isn't finite"):
            crossed(np.array([1.0, math.nan]), np.ones((2, 2)), np.array([1, 1]))


class TestDifference:
    def test_is_the_estimate_of_the_differences(self):
        a, b = simulated(0.4, 0.4, 0.2, (2, 3, 40))
        found = difference(measured(a, EQUAL), measured(b, EQUAL), np.full(20, 2), "lower")
        expected = of_images(a - b, EQUAL)
        assert found is not None
        assert (found.mean, found.half_width, found.seed_share) == pytest.approx((expected.mean, expected.half_width, expected.seed_share))
        tails = [2 * scipy_stats.t.sf(abs(found.mean) / found.error, df) for df in found.df]
        assert found.p == pytest.approx(found.seed_share * tails[0] + (1 - found.seed_share) * tails[1])

    def test_p_and_interval_agree(self):
        """At any level: the interval ends at 0 where p is 1 − level."""
        a, b = simulated(0.4, 0.4, 0.2, (2, 3, 40))
        runs, sizes = (measured(a, EQUAL), measured(b - 3, EQUAL)), np.full(20, 2)
        p = difference(*runs, sizes, "lower").p
        found = difference(*runs, sizes, "lower", level=1 - p)
        assert abs(found.mean) == pytest.approx(found.half_width)

    def test_sides(self):
        a, b = simulated(0.4, 0.4, 0.2, (2, 3, 40))
        a = a - 2
        runs, sizes = (measured(a, EQUAL), measured(b, EQUAL)), np.full(20, 2)
        lower, higher, back = difference(*runs, sizes, "lower"), difference(*runs, sizes, "higher"), difference(*runs[::-1], sizes, "lower")
        assert lower is not None
        assert higher is not None
        assert back is not None
        assert lower.mean == pytest.approx(-back.mean)
        assert lower.mean < 0
        assert lower.confidence() == pytest.approx(1 - lower.p / 2)
        assert lower.confidence() == pytest.approx(1 - higher.confidence()) == pytest.approx(1 - back.confidence())
        assert back.confidence(abs(back.mean)) == pytest.approx(0.5)
        assert back.confidence() < back.confidence(0.5) < back.confidence(5.0)

    def test_common_seeds_only(self):
        a, b = simulated(0.4, 0.4, 0.2, (2, 3, 40))
        found = difference(measured(a, EQUAL, (0, 1, 2)), measured(b, EQUAL, (1, 2, 3)), np.full(20, 2), "lower")
        assert found is not None
        assert found.n_seeds == 2
        assert found.mean == pytest.approx(a[1:].mean() - b[:2].mean())
        assert difference(measured(a, EQUAL, (0, 1, 2)), measured(b, EQUAL, (3, 4, 5)), np.full(20, 2), "lower") is None

    def test_images_known_to_be_difficult_pair(self):
        a, b = simulated(0.0, 0.0, 0.1, (2, 3, 40)) + 10 * generator().normal(size=40)
        found = difference(measured(a, EQUAL), measured(b, EQUAL), np.full(20, 2), "lower")
        assert found is not None
        assert found.half_width < of_images(a, EQUAL).half_width / 3

    def test_without_image_groups_as_the_paired_t_test(self):
        a, b = {0: 1.0, 1: 2.0, 2: 4.0}, {0: 1.5, 1: 2.25, 2: 4.125}
        runs = ({seed: Measured(value=value, left_out=[]) for seed, value in one.items()} for one in (a, b))
        found, expected = difference(*runs, np.zeros(0, dtype=int), "lower"), scipy_stats.ttest_rel(list(a.values()), list(b.values()))
        assert found is not None
        low, high = expected.confidence_interval(0.95)
        assert found.p == pytest.approx(expected.pvalue)
        assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))

    @pytest.mark.parametrize(("shift", "p", "confidence"), [(0.0, 1.0, 0.5), (0.1, 0.0, 0.0), (-0.1, 0.0, 1.0)])
    def test_differences_that_do_not_vary(self, shift, p, confidence):
        b = 100 * simulated(0.4, 0.4, 0.2)
        found = difference(measured(b + shift, EQUAL), measured(b, EQUAL), np.full(20, 2), "lower")
        assert found is not None
        assert (found.p, found.confidence(), found.half_width) == (p, confidence, 0.0)

    def test_one_of_each_has_no_p(self):
        one = {0: Measured(value=1.0, left_out=[])}
        found = difference(one, one, np.zeros(0, dtype=int), "lower")
        assert found is not None
        assert (found.p, found.confidence(), found.over) == (None, None, None)


def test_probability_of_improvement():
    a, b = np.array([[1.0, 5.0], [2.0, 5.0]]), np.array([[2.0, 4.0]])
    # Lower is better: seed 0 wins and loses, seed 1 ties and loses.
    assert probability_of_improvement(a, b, "lower") == pytest.approx((1 + 0.5) / 4)
    assert probability_of_improvement(b, a, "lower") == probability_of_improvement(a, b, "higher") == pytest.approx(1 - 1.5 / 4)
    assert probability_of_improvement(a, a, "lower") == 0.5
    with pytest.raises(ValueError, match="of the same images"):
        probability_of_improvement(a, b[:, :1], "lower")
    with pytest.raises(ValueError, match="isn't finite"):
        probability_of_improvement(a * math.nan, b, "lower")


def test_leaders():
    recall = {"a": 0.44, "b": 0.74, "c": 0.73, "d": 0.74}
    assert margin(0.74, [0.82, 0.0]) == pytest.approx(0.008)
    assert leaders(recall, margin(0.74, [0.82, 0.0]), "higher") == ("b", "d")
    assert leaders(recall, 0.02, "higher") == ("b", "d", "c")
    assert leaders(recall, 0.0, "lower") == ("a",)
    assert margin(0.74, []) == 0
    assert leaders({}, 0.1, "lower") == ()
    # whatever the references, ten per cent of what there is to lose can't reach from 0.74 to 0.44
    assert "a" not in leaders(recall, margin(0.74, [0.0]), "higher")


PARTS = {"seeds": (0.85, 0.1, 0.05), "mixed": (0.45, 0.35, 0.2), "images": (0.05, 0.8, 0.15)}


@pytest.mark.parametrize("dominates", PARTS)
def test_coverage(dominates):
    """Of 95% intervals from 3 seeds, in 2000 simulated data sets; one over seeds alone would hold the truth in 80% where images vary."""
    values = simulated(*PARTS[dominates], shape=(2000, 3, 40))
    left_out = means_left_out(values, EQUAL)
    found = [crossed(*pair, np.full(20, 2)) for pair in zip(values.mean(-1), left_out, strict=True)]
    covered = np.mean([abs(one.mean) <= one.half_width for one in found])
    assert 0.92 <= covered <= 0.98
    if dominates == "images":
        by_seeds = [t_interval(list(one)) for one in values.mean(-1)]
        assert np.mean([abs(one.mean) <= (one.half_width or 0) for one in by_seeds]) < 0.85
