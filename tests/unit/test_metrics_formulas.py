"""Each metric at a value that can be worked out by hand, and at every kind of input that it must refuse."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from metrics_inputs import blurred, noisy, pairs

from cgm.evaluation.judges import perceptual_embedding
from cgm.evaluation.metrics import METRICS, blocks
from cgm.evaluation.metrics.bins import bin_shares, kmeans
from cgm.evaluation.metrics.colourfulness_ratio import colourfulness, colourfulness_ratio
from cgm.evaluation.metrics.derangement import derangement
from cgm.evaluation.metrics.distinct_share import distinct_share
from cgm.evaluation.metrics.fid import fid
from cgm.evaluation.metrics.fjd import fjd
from cgm.evaluation.metrics.gradient_ratio import gradient, gradient_ratio
from cgm.evaluation.metrics.highfreq_ratio import highfreq_ratio
from cgm.evaluation.metrics.intra_diversity import intra_diversity
from cgm.evaluation.metrics.jsd import jsd
from cgm.evaluation.metrics.kid import kernel_mean, kid
from cgm.evaluation.metrics.mae import mae
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.mse import mse
from cgm.evaluation.metrics.ndb import ndb
from cgm.evaluation.metrics.near_duplicate_share import nearest_other, share_within
from cgm.evaluation.metrics.neighbourhood import neighbourhood
from cgm.evaluation.metrics.pairgain import pairgain
from cgm.evaluation.metrics.pd import pd
from cgm.evaluation.metrics.psnr import psnr
from cgm.evaluation.metrics.retrieval import retrieval
from cgm.evaluation.metrics.spectrum import highfreq_energy, radial_spectrum, spectra
from cgm.evaluation.metrics.spectrum_distance import profile_distance, spectrum_distance
from cgm.evaluation.metrics.ssim import ssim
from cgm.evaluation.metrics.vendi_ratio import vendi
from cgm.evaluation.view import Block, View


def constant(value, count=1, size=16) -> np.ndarray:
    return np.full((count, size, size, 3), value, np.uint8)


# ---- paired


def test_pixel_metrics_of_constant_images():
    black, white, grey = constant(0), constant(255), constant(51)
    assert mae(grey, black)[0] == pytest.approx(0.2, abs=1e-15)
    assert mse(grey, black)[0] == pytest.approx(0.04, abs=1e-15)
    assert psnr(grey, black)[0] == pytest.approx(-10 * np.log10(0.04))
    assert psnr(black, white)[0] == pytest.approx(0)
    assert psnr(white, white)[0] == 60
    assert mae(white, black)[0] == mse(white, black)[0] == 1
    assert ssim(black, white)[0] == pytest.approx(9.999e-5, rel=1e-4)
    assert ssim(grey, grey)[0] == pytest.approx(1)


def test_psnr_is_the_mean_of_the_images_not_of_the_pixels():
    x = np.concatenate([constant(51), constant(255)])
    assert psnr(x, np.zeros_like(x)).mean() == pytest.approx((-10 * np.log10(0.04) + 0) / 2)


def test_perceptual_embedding():
    one, two = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    one[:, 0], two[:, 1] = 3.0, 0.5
    # orthogonal directions everywhere: 1 + 1 at each position, whatever the length; two maps add up
    assert pd(perceptual_embedding([one]), perceptual_embedding([two]))[0] == pytest.approx(2)
    assert pd(perceptual_embedding([one, one]), perceptual_embedding([two, two]))[0] == pytest.approx(4)
    assert pd(perceptual_embedding([one]), perceptual_embedding([7 * one]))[0] == pytest.approx(0)
    with pytest.raises(ValueError, match="expected the same N×P"):
        pd(torch.zeros(2, 3), torch.zeros(2, 4))


# ---- distribution


def whitened(count: int, width: int) -> np.ndarray:
    """Rows with mean exactly 0 and covariance (÷ N − 1) exactly the identity."""
    x = np.random.default_rng(0).normal(size=(count, width))
    x -= x.mean(0)
    return np.linalg.qr(x)[0] * np.sqrt(count - 1)


@pytest.mark.parametrize("count", [50, 400])
def test_fid_of_gaussians(count):
    x = whitened(count, 8)
    assert fid(x, x) == pytest.approx(0, abs=1e-9)
    assert fid(x + 0.5, x) == pytest.approx(2.0)
    assert fid(2 * x, x) == pytest.approx(8.0)
    assert fid(x * np.arange(1, 9), x) == pytest.approx(140.0)
    # fewer rows than features
    assert fid(np.array([[0.0, 0], [2, 0]]), np.array([[0.0, 0], [0, 2]])) == pytest.approx(6.0)


def test_kid_by_hand():
    assert kid(np.array([[0.0, 0], [1, 1]]), np.array([[1.0, 0], [0, 1]])) == pytest.approx(-2.375)
    x = np.random.default_rng(0).normal(size=(30, 4))
    assert kid(x, x) < 0  # unbiased: not 0 for the same sample
    assert kid(x, x[:20], kernel_mean(x[:20])) == kid(x, x[:20])


def test_blocks_change_nothing(monkeypatch):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 6)), generator.normal(0.4, 1, size=(70, 6))
    before = kid(x, y), neighbourhood(x, y, 3)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 8 * 7 * 70)
    assert kid(x, y) == pytest.approx(before[0], rel=1e-12)
    after = neighbourhood(x, y, 3)
    for name, value in vars(after).items():
        np.testing.assert_allclose(value, getattr(before[1], name), rtol=1e-12, err_msg=name)


def test_neighbourhood_by_hand():
    real, fake = np.array([[0.0], [1], [2], [3], [10]]), np.array([[0.1], [0.1], [2.9]])
    found = neighbourhood(fake, real, 1)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx((1, 0.6, 2, 0.8))
    assert found.inside.tolist() == [True, True, True]
    assert not neighbourhood(fake + 50, real, 1).inside.any()


def test_identical_rows_have_empty_balls():
    real = np.random.default_rng(0).normal(size=(20, 1280)) * 1e3
    found = neighbourhood(np.repeat(real[:1], 20, axis=0), real, 5)
    assert found.recall == 1 / 20  # the one real that they copy
    assert found.precision == 1


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_fjd_sees_which_condition_an_output_is_of(scale):
    x = whitened(400, 16)
    condition, other = x[:, :8], x[:, 8:]  # uncorrelated
    assert fjd(condition, scale * condition, condition, scale * condition) == pytest.approx(0, abs=1e-9)
    # joint covariances [[1, 1], [1, 1]] and the identity, eight times: tr = 16 + 16 − 2 · 8 · √2; α undoes the scale
    found = fjd(other, scale * condition, condition, scale * condition)
    assert found == pytest.approx(32 - 16 * 2**0.5)
    assert fid(other, condition) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="fake_conditions: found 399 rows, expected one for each of the 400"):
        fjd(other, condition[1:], condition, condition)
    with pytest.raises(ValueError, match="found zeros alone"):
        fjd(other, condition, condition, 0 * condition)


# ---- diversity


def test_vendi():
    assert vendi(np.ones((7, 3))) == pytest.approx(1)
    assert vendi(np.eye(8)) == pytest.approx(8)
    assert vendi(np.repeat(np.eye(2), 5, axis=0)) == pytest.approx(2)
    assert vendi(np.eye(8) * np.arange(1, 9)) == pytest.approx(8)  # direction only
    with pytest.raises(ValueError, match="row of zeros"):
        vendi(np.zeros((3, 3)))


def test_jsd():
    assert jsd(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 0
    assert jsd(np.array([1.0, 0]), np.array([0, 1.0])) == pytest.approx(1)
    assert jsd(np.array([1.0, 0]), np.array([0.5, 0.5])) == pytest.approx(0.311278, abs=1e-6)
    with pytest.raises(ValueError, match="probability vectors"):
        jsd(np.array([1.0, 1.0]), np.array([0.5, 0.5]))


def test_kmeans_finds_separate_groups_and_repeats():
    generator = np.random.default_rng(0)
    middles = np.array([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    x = np.concatenate([middle + generator.normal(0, 0.3, (25 * (index + 1), 2)) for index, middle in enumerate(middles)])
    centres = kmeans(x, 4, np.random.default_rng(1))
    centres_sorted = sorted(centres.tolist(), key=lambda centre: (round(centre[1]), round(centre[0])))
    np.testing.assert_allclose(centres_sorted, middles, atol=0.3)
    np.testing.assert_allclose(np.sort(bin_shares(x, centres)), [0.1, 0.2, 0.3, 0.4])
    assert np.array_equal(centres, kmeans(x, 4, np.random.default_rng(1)))
    with pytest.raises(ValueError, match="20 or more distinct ones"):
        kmeans(np.ones((100, 2)), 20, generator)


def test_intra_diversity_by_hand():
    embeddings = torch.tensor([[[0.0], [1]], [[1], [1]], [[3], [1]]])  # K=3 samples of N=2 conditions
    assert intra_diversity(embeddings).tolist() == pytest.approx([(1 + 9 + 4) / 3, 0])
    with pytest.raises(ValueError, match="K of 2 or more"):
        intra_diversity(embeddings[:1])


def test_ndb_is_a_z_test():
    shares, others = np.array([0.6, 0.4, 0.0]), np.array([0.5, 0.5, 0.0])
    assert ndb(shares, others, 100, 100) == 0  # z = 0.1 ÷ √(0.55 · 0.45 · 0.02) = 1.42; the empty bin doesn't differ
    assert ndb(shares, others, 400, 400) == pytest.approx(2 / 3)  # z = 2.84
    assert ndb(shares, others, 400, 400, alpha=0.001) == 0  # 3.29 would be needed
    generator = np.random.default_rng(0)
    by_chance = [ndb(*generator.multinomial(300, np.full(20, 0.05), size=2) / 300, 300, 300) for _ in range(300)]
    assert np.mean(by_chance) == pytest.approx(0.05, abs=0.015)
    for wrong in [(shares, others[:2], 9, 9), (shares, others, 0, 9), (shares, others, 9, 9, 1.5)]:
        with pytest.raises(ValueError, match="ndb: "):
            ndb(*wrong)


def near_duplicate_share(fake: np.ndarray, real: np.ndarray) -> float:
    return share_within(nearest_other(fake), nearest_other(real))


def test_distinct_and_near_duplicates():
    images = constant(0, 8)
    assert distinct_share(images) == 1 / 8
    images[3, 2, 5, 1] = 1
    assert distinct_share(images) == 2 / 8
    real = np.arange(20.0)[:, None] ** 2  # nearest others at 1, 1, 3, 5, …: the quantile at 5% is 1
    assert nearest_other(real)[:4].tolist() == [1, 1, 3, 5]
    assert near_duplicate_share(real, real) == 0.1
    assert near_duplicate_share(2 * real, real) == 0
    assert near_duplicate_share(real // 10, real) == 0.4
    assert near_duplicate_share(np.ones((20, 1)), real) == 1
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 600, 6))
    assert near_duplicate_share(x, x) == 31 / 600  # two that are nearest to one another share their distance
    assert near_duplicate_share(x, y) == pytest.approx(0.05, abs=0.03)


# ---- conditioning


@pytest.mark.parametrize("count", [2, 3, 32, 33, 34, 64, 97])
def test_derangement_visits_everything_once_and_never_alone(count):
    blocks = derangement(count, np.random.default_rng(0), 32)
    assert sorted(np.concatenate(blocks)) == list(range(count))
    assert all(2 <= len(block) <= 33 for block in blocks)
    with pytest.raises(ValueError, match="expected 2 or more"):
        derangement(1, np.random.default_rng(0), 32)


def test_pairgain():
    assert pairgain(np.zeros(3), np.ones(3)) == 1
    assert pairgain(np.ones(3), np.ones(3)) == 0
    assert pairgain(np.array([1.0, 2]), np.array([2.0, 4])) == 0.5
    with pytest.raises(ValueError, match="targets that differ"):
        pairgain(np.ones(3), np.zeros(3))


def test_retrieval():
    targets = np.eye(4)
    assert retrieval(targets * 3, targets).tolist() == [1, 1, 1, 1]
    assert retrieval(np.roll(targets, 1, axis=0), targets).tolist() == [0, 0, 0, 0]
    assert retrieval(np.ones((4, 4)), targets).mean() == 0.25  # chance, not luck
    with pytest.raises(ValueError, match="expected the outputs' 4"):
        retrieval(targets, targets[:3])


# ---- sharpness


def test_highfreq_of_known_patterns():
    flat = constant(200, size=32)
    assert highfreq_energy(flat)[0] == pytest.approx(0, abs=1e-20)
    stripes = constant(0, size=32)
    stripes[:, :, ::2] = 255  # Nyquist: all of its variance, ¼, lies above the cutoff
    assert highfreq_energy(stripes)[0] == pytest.approx(0.25, rel=0.02)
    slow = np.repeat((127.5 + 127.5 * np.sin(np.arange(32) * 2 * np.pi / 16)).round().astype(np.uint8)[None, :, None], 32, 0)
    assert highfreq_energy(slow[None].repeat(3, axis=-1))[0] < 1e-4
    assert highfreq_ratio(flat, flat)[0] == 1
    target = pairs(40)[1]
    medians = [float(np.median(highfreq_ratio(blurred(target, sigma), target))) for sigma in (0, 0.5, 1, 2)]
    assert medians[0] == 1
    assert medians == sorted(medians, reverse=True)


@pytest.mark.parametrize("sigma", [0.5, 0.75])
def test_blur_attenuates_a_wave_as_its_transfer_function_says(sigma):
    wave = (127.5 + 127.5 * np.cos(np.arange(48) * 2 * np.pi / 3)).round().astype(np.uint8)  # ⅓ cycle a pixel
    target = np.broadcast_to(wave[None, None, :, None], (1, 48, 48, 3)).copy()
    offsets = np.arange(-9, 10)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    expected = (kernel @ np.cos(offsets * 2 * np.pi / 3) / kernel.sum()) ** 2
    assert highfreq_ratio(blurred(target, sigma), target)[0] == pytest.approx(expected, rel=0.05)


def test_colourfulness():
    assert colourfulness(constant(77))[0] == 0
    half = constant(0)
    half[:, :8] = (255, 0, 0)  # red and black: rg ∈ {255, 0}, yb ∈ {127.5, 0}
    expected = np.hypot(127.5, 63.75) + 0.3 * np.hypot(127.5, 63.75)
    assert colourfulness(half)[0] == pytest.approx(expected)
    assert colourfulness_ratio(constant(3), constant(200))[0] == 1  # two greys
    assert colourfulness_ratio(half, constant(9))[0] > 100


def test_gradient_of_a_ramp():
    ramp = np.broadcast_to((5 * np.arange(16, dtype=np.uint8))[None, None, :, None], (1, 16, 16, 3)).copy()
    steeper = np.broadcast_to((5 * np.arange(16) + 12 * np.arange(16)[:, None])[None, :, :, None], (1, 16, 16, 3)).astype(np.uint8)
    assert gradient(ramp)[0] == pytest.approx(5 / 255)
    assert gradient(steeper)[0] == pytest.approx(13 / 255)  # 5, 12, 13
    rounding = (1 / 255) / 6**0.5
    assert gradient_ratio(steeper, ramp)[0] == pytest.approx((13 / 255 + rounding) / (5 / 255 + rounding))
    assert gradient_ratio(constant(9), constant(200))[0] == 1


def white_noise(count: int, height: int, width: int, low: int = 0, high: int = 256) -> np.ndarray:
    grey = np.random.default_rng(0).integers(low, high, (count, height, width, 1), dtype=np.uint8)
    return np.repeat(grey, 3, axis=-1)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 48), (48, 31)])
def test_the_spectrum_of_white_noise_is_its_variance_everywhere(height, width):
    noise = white_noise(400, height, width)
    frequencies, profiles = radial_spectrum(noise)
    shorter = min(height, width)
    np.testing.assert_allclose(frequencies, np.arange(1, shorter // 2 + 1) / shorter)
    assert profiles.shape == (400, len(frequencies))
    np.testing.assert_allclose(profiles.mean(axis=0)[1:], (256**2 - 1) / 12 / 255**2, rtol=0.06)  # the window costs the first some
    # the share of the plane from 0.25 cycles/px on: 1 − π/16
    assert highfreq_energy(noise).mean() == pytest.approx((256**2 - 1) / 12 / 255**2 * (1 - np.pi / 16), rel=0.03)


def test_the_spectrum_of_a_wave_is_a_peak():
    wave = (127.5 + 100 * np.cos(np.arange(64) * 2 * np.pi * 8 / 64)).round().astype(np.uint8)
    image = np.broadcast_to(wave[None, :, None, None], (1, 64, 64, 3)).copy()
    frequencies, profiles = radial_spectrum(image)
    assert frequencies[profiles[0].argmax()] == 8 / 64
    assert profiles[0, 12:].max() < 1e-3 * profiles[0].max()
    np.testing.assert_allclose(radial_spectrum(image.transpose(0, 2, 1, 3))[1], profiles)


def test_spectrum_distance():
    noise = white_noise(30, 32, 32, high=128)
    assert spectrum_distance(noise, noise) == 0
    assert spectrum_distance(2 * noise, noise) == pytest.approx(np.log10(4), rel=1e-3)  # twice the contrast, four times the power
    assert spectrum_distance(noise[:10], 2 * noise) == pytest.approx(np.log10(4), abs=0.05)  # other images of the kind
    with pytest.raises(ValueError, match="expected the outputs' "):
        spectrum_distance(noise, noise[:, :16])
    with pytest.raises(ValueError, match="two vectors of the same length"):
        profile_distance(np.ones(3), np.ones(4))


def test_one_transform_gives_what_the_single_functions_give():
    outputs, targets = noisy(pairs(70)[1], 0.05), pairs(70)[1]
    np.testing.assert_array_equal(spectra(outputs).profiles, radial_spectrum(outputs)[1])
    nothing = dict.fromkeys(("reals", "real_images", "judge", "config", "generator", "look"))
    block = Block(View(samples=outputs[None], targets=targets, **nothing), np.arange(70), 0)
    np.testing.assert_array_equal(METRICS["highfreq_ratio"].per_image(block), highfreq_ratio(outputs, targets))


# ---- what is refused


TWO_IMAGES = [
    mae, mse, psnr, ssim, highfreq_ratio, gradient_ratio, colourfulness_ratio
]  # fmt: skip


@pytest.mark.parametrize("metric", TWO_IMAGES)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((2, 16, 16, 3), np.float32), r"dtype float32 in \[0, 1\], expected uint8.*multiply by 255 and round"),
        (np.zeros((2, 3, 16, 16), np.uint8), "expected N×H×W×3"),
        (np.zeros((16, 16, 3), np.uint8), "expected N×H×W×3"),
        (np.zeros((0, 16, 16, 3), np.uint8), "N of 1 or more"),
        (np.zeros((3, 16, 16, 3), np.uint8), "expected the outputs'|expected the"),
    ],
)
def test_wrong_images(metric, wrong, message):
    with pytest.raises(ValueError, match=message):
        metric(constant(0, 2), wrong)


def test_ssim_refuses_images_below_its_window():
    with pytest.raises(ValueError, match="11 px or more"):
        ssim(constant(0, size=10), constant(0, size=10))


@pytest.mark.parametrize("metric", [fid, kid, lambda a, b: neighbourhood(a, b, 2)])
def test_wrong_features(metric):
    x = np.random.default_rng(0).normal(size=(10, 4))
    broken = x.copy()
    broken[3, 2] = np.nan
    for fake, real, message in [
        (broken, x, "fake: found NaN"),
        (x, broken, "real: found NaN"),
        (x, x[:, :3], "found 3 features, expected the fakes' 4"),
        (x, x[:1], "real: found 1 rows, expected \\d or more"),
        (x[0], x, "fake: found shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            metric(fake, real)


# ---- invariance


@pytest.mark.parametrize("metric", TWO_IMAGES)
def test_one_image_at_a_time_gives_the_same(metric):
    _, target = pairs(70)
    output = noisy(target, 0.05)
    together = metric(output, target)
    assert together.dtype == np.float64
    assert together.shape == (70,)
    np.testing.assert_allclose(together, [metric(output[i : i + 1], target[i : i + 1])[0] for i in range(70)], rtol=1e-12)
    order = np.random.default_rng(0).permutation(70)
    np.testing.assert_allclose(metric(output[order], target[order]), together[order], rtol=1e-12)


def test_order_of_the_features_does_not_matter():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(60, 16)), generator.normal(0.2, 1, size=(90, 16))
    a, b = x[generator.permutation(60)], y[generator.permutation(90)]
    assert fid(a, b) == pytest.approx(fid(x, y), rel=1e-9)
    assert kid(a, b) == pytest.approx(kid(x, y), rel=1e-9)
    assert vendi(a) == pytest.approx(vendi(x), rel=1e-9)
    one, two = neighbourhood(a, b, 3), neighbourhood(x, y, 3)
    assert (one.precision, one.recall, one.density, one.coverage) == (two.precision, two.recall, two.density, two.coverage)


# ---- the facts


def test_registry():
    names = """
        mae mse psnr ssim ms_ssim pd lpips  kid fid fjd precision recall density coverage
        vendi_ratio ndb jsd distinct_share near_duplicate_share intra_diversity  pairgain retrieval
        highfreq_ratio gradient_ratio colourfulness_ratio spectrum_distance
        mean_distance median_distance mode_distance modes_found saturation_lost
    """
    assert [*METRICS] == names.split()
    for name, spec in METRICS.items():
        assert spec.name == name
        assert spec.about.citation
        assert spec.about.protocol
    facts = dict(vars(METRICS["mae"]), direction="target")
    with pytest.raises(ValueError, match="mae: 'target' goes with"):
        Metric(**facts)


def test_the_records_are_read_without_torch():
    code = "import sys; from cgm.evaluation.metrics import METRICS; dict(METRICS); print(*{'torch', 'numpy', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
