"""KID's interval: the weighted pairs by hand, and its coverage where the truth is known."""

import numpy as np
import pytest

from cgm.evaluation.metrics.kid import kernel_mean, kid, kid_real_part, kid_with_interval

WIDTH, FAKES, REALS = 16, 100, 200
SHIFT = np.full(WIDTH, 0.3)


def samples(seed: int, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(FAKES, WIDTH)) + shift, generator.normal(size=(REALS, WIDTH))


def true_kid(shift: np.ndarray) -> float:
    """Of unit Gaussians at ``shift`` and 0: E (s/D + 1)³ from the moments of s = x·y, which are sums of products of x's and y's."""
    d, m = len(shift), float(shift @ shift)

    def mean(first: float, second: float, third: float) -> float:
        return third / d**3 + 3 * second / d**2 + 3 * first / d + 1

    fakes = mean(m, d + 2 * m + m**2, m**3 + 6 * m**2 + (3 * d + 6) * m)
    return fakes + mean(0, d, 0) - 2 * mean(0, d + m, 0)


def kid_interval(fake: np.ndarray, real: np.ndarray, generator: np.random.Generator, **settings) -> tuple[float, float]:
    return kid_with_interval(fake, real, generator, **settings)[1]


def plain_bootstrap(fake: np.ndarray, real: np.ndarray, generator: np.random.Generator) -> tuple[float, float]:
    """KID of drawn rows as if they were new: a row drawn twice is paired with itself."""
    values = [kid(fake[generator.integers(FAKES, size=FAKES)], real[generator.integers(REALS, size=REALS)]) for _ in range(100)]
    return tuple(np.quantile(values, [0.025, 0.975]))


def test_coverage():
    truth = true_kid(SHIFT)
    estimates, hits = [], []
    for seed in range(200):
        fake, real = samples(seed, SHIFT)
        estimate, (low, high) = kid_with_interval(fake, real, np.random.default_rng(seed))
        estimates.append(estimate)
        hits.append(low <= truth <= high)
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * np.std(estimates) / 200**0.5)
    assert 0.9 <= np.mean(hits) <= 0.99  # nominal 0.95, ± 3 standard errors


def test_coverage_for_equal_distributions_errs_on_the_safe_side():
    """There the statistic is degenerate, and the interval about twice as wide as it need be."""
    intervals = [kid_interval(*samples(seed, 0 * SHIFT), np.random.default_rng(seed)) for seed in range(100)]
    assert np.mean([low <= 0 <= high for low, high in intervals]) >= 0.97
    assert np.mean(intervals, axis=0).mean() == pytest.approx(0, abs=0.01)  # centred


def test_a_plain_bootstrap_is_biased():
    truth = true_kid(SHIFT)
    plain = [plain_bootstrap(*samples(seed, SHIFT), np.random.default_rng(seed)) for seed in range(25)]
    ours = [kid_interval(*samples(seed, SHIFT), np.random.default_rng(seed)) for seed in range(25)]
    assert np.mean([low <= truth <= high for low, high in plain]) < 0.8
    assert all(high > truth for _, high in plain)  # every miss lies above
    fake, real = samples(0, SHIFT)
    expected = sum((np.mean((np.square(x).sum(1) / WIDTH + 1) ** 3) - kernel_mean(x)) / len(x) for x in (fake, real))
    assert np.mean(plain[0]) - np.mean(ours[0]) == pytest.approx(expected, rel=0.25)


def test_the_weighted_pairs_by_hand():
    fake, real = (x[:7] for x in samples(0, SHIFT))
    part = kid_real_part(real, np.random.default_rng(1), resamples=5)
    assert part.weights.shape == (5, 7)
    assert (part.weights.sum(axis=1) == 7).all()
    assert part.mean == pytest.approx(kernel_mean(real), rel=1e-12)
    kernel = (real @ real.T / WIDTH + 1) ** 3
    for weights, term in zip(part.weights, part.terms, strict=True):
        pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
        top, bottom = (sum(float(weights[i]) * weights[j] * value[i, j] for i, j in pairs) for value in (kernel, np.ones((7, 7))))
        assert term == pytest.approx(top / bottom, rel=1e-12)
    # weights of one draw that leaves the sample as it is: KID itself
    assert kid_with_interval(fake, real, np.random.default_rng(1))[0] == pytest.approx(kid(fake, real), rel=1e-12)


def test_two_rows():
    """Half of all draws would hold one row alone, and no pair."""
    low, high = kid_interval(np.eye(2), 1 - np.eye(2), np.random.default_rng(0))
    assert np.isfinite([low, high]).all()


def test_the_interval_repeats_and_the_real_part_may_come_first():
    fake, real = samples(3, SHIFT)
    part = kid_real_part(real, np.random.default_rng(8))
    first, again = (kid_interval(fake, real, np.random.default_rng(5), real_part=part) for _ in range(2))
    assert first == again
    assert first != kid_interval(fake, real, np.random.default_rng(6), real_part=part)
    one_generator = np.random.default_rng(8)
    part = kid_real_part(real, one_generator)
    given = kid_interval(fake, real, one_generator, real_part=part)
    assert kid_interval(fake, real, np.random.default_rng(8)) == pytest.approx(given, rel=1e-12)
    wider = kid_interval(fake, real, np.random.default_rng(8), level=0.99)
    assert wider[0] < given[0] < given[1] < wider[1]
    with pytest.raises(ValueError, match=r"expected \(200, 199\), one for each real"):
        kid_interval(fake, real[1:], np.random.default_rng(0), real_part=part)
    with pytest.raises(ValueError, match=r"level: found 95"):
        kid_interval(fake, real, np.random.default_rng(0), level=95)
    with pytest.raises(ValueError, match="resamples: found 0"):
        kid_interval(fake, real, np.random.default_rng(0), resamples=0)
