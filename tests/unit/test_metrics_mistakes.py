"""Mistakes of range, type, layout, colour and number: each is an error that names what it looks like and what helps, never a number."""

import numpy as np
import pytest
from metrics_inputs import blurred, noisy, pairs

from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.colourfulness_ratio import colourfulness_ratio
from cgm.evaluation.metrics.distinct_share import distinct_share
from cgm.evaluation.metrics.fid import fid
from cgm.evaluation.metrics.fjd import fjd
from cgm.evaluation.metrics.gradient_ratio import gradient_ratio
from cgm.evaluation.metrics.highfreq_ratio import highfreq_ratio
from cgm.evaluation.metrics.kid import kid, kid_with_interval
from cgm.evaluation.metrics.mae import mae
from cgm.evaluation.metrics.ms_ssim import ms_ssim
from cgm.evaluation.metrics.mse import mse
from cgm.evaluation.metrics.near_duplicate_share import nearest_other
from cgm.evaluation.metrics.neighbourhood import neighbourhood
from cgm.evaluation.metrics.psnr import psnr
from cgm.evaluation.metrics.retrieval import retrieval
from cgm.evaluation.metrics.spectrum_distance import spectrum_distance
from cgm.evaluation.metrics.ssim import ssim

COUNT = 60
ON_IMAGES = [
    mae, mse, psnr, ssim, ms_ssim, highfreq_ratio, gradient_ratio,
    colourfulness_ratio, spectrum_distance, lambda x, y: distinct_share(y), checks.channel_order,
]  # fmt: skip


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 16, 20, 3), dtype=np.uint8)


@pytest.mark.parametrize("metric", ON_IMAGES)
@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda x: x / np.float32(255), r"float32 in \[0, 1\], expected uint8 in 0…255; multiply by 255 and round"),
        (lambda x: x / 127.5 - 1, r"float64 in \[-1, 1\], expected uint8 in 0…255; add 1, multiply by 127\.5 and round"),
        (lambda x: x.astype(np.float16), r"float16 in 0…255, expected uint8 in 0…255; round and convert"),
        (lambda x: x.astype(np.int64), r"int64 in 0…255, expected uint8"),
        (lambda x: x.astype(np.int16) - 300, r"int16 from -300 to -4\d, expected uint8"),
        (lambda x: np.where(x > 250, np.nan, x), r"float64 with NaN or infinity, expected uint8 in 0…255; what made the images has failed"),
        (lambda x: x.transpose(0, 3, 1, 2), r"\(2, 3, 16, 20\) \(N×3×H×W\?\), expected N×H×W×3 .*; transpose\(0, 2, 3, 1\)"),
        (lambda x: np.concatenate([x, x[..., :1]], axis=-1), r"\(2, 16, 20, 4\) \(RGBA\?\), expected .*drop alpha"),
        (lambda x: x[..., :1], r"\(greyscale\?\), expected .*repeat the channel three times"),
        (lambda x: x[0], r"\(one image\?\), expected .*image\[None\]"),
        (lambda x: x[:0], r"with N of 1 or more"),
        (lambda x: x > 9, r"found dtype bool, expected uint8 in 0…255"),
    ],
)
def test_images(images, metric, mistake, message):
    with pytest.raises(ValueError, match=message):
        metric(images, mistake(images))


def test_small_images(images):
    with pytest.raises(ValueError, match="found images of 16×20 px, expected 161 px or more each way"):
        ms_ssim(images, images)


@pytest.mark.parametrize(
    ("metric", "fewest"),
    [
        (fid, 2),
        (kid, 2),
        (lambda a, b: kid_with_interval(a, b, np.random.default_rng(0)), 2),
        (lambda a, b: fjd(a, a, b, b), 2),
        (lambda a, b: neighbourhood(a, b, 5), 6),
        (retrieval, 1),
    ],
)
def test_features(metric, fewest):
    x = np.random.default_rng(0).normal(size=(10, 4))
    broken = x.copy()
    broken[3, 2] = np.inf
    for fake, real, message in [
        (broken, x, "found NaN or infinity among the features"),
        (x, broken, "found NaN or infinity among the features"),
        (x[:, :3], x, "real: found 4 features, expected the fakes' 3"),
        (x[:, 0], x, r"found shape \(10,\), expected N×D features"),
        (x[: fewest - 1], x[: fewest - 1], f"found {fewest - 1} rows, expected {fewest} or more"),
    ]:
        with pytest.raises(ValueError, match=message):
            metric(fake, real)


def test_features_of_one_kind():
    x = np.random.default_rng(0).normal(size=(10, 4))
    for wrong, message in [
        (np.full((3, 2), np.nan), "found NaN or infinity"),
        (x[:, 0], "expected N×D"),
        (x[:1], "found 1 rows, expected 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            nearest_other(wrong)


# ---- red and blue exchanged


def hue(images: np.ndarray, third_turns: float) -> np.ndarray:
    """Colours turned around the grey axis by so many times 120°."""
    angle = third_turns * 2 * np.pi / 3
    rotation = np.full((3, 3), (1 - np.cos(angle)) / 3) + np.cos(angle) * np.eye(3)
    rotation += np.sin(angle) / 3**0.5 * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return np.clip(images @ rotation.T, 0, 255).round().astype(np.uint8)


def looks_like_bgr(outputs: np.ndarray, targets: np.ndarray) -> bool:
    return checks.looks_like_bgr(checks.channel_order(outputs, targets))


@pytest.mark.parametrize("change", [np.array, lambda x: blurred(x, 1), lambda x: noisy(x, 0.05)])
def test_bgr_is_seen_in_good_and_in_poor_outputs(change):
    target = pairs(COUNT)[1]
    assert looks_like_bgr(change(target)[..., ::-1], target)
    assert not looks_like_bgr(change(target), target)


@pytest.mark.parametrize(
    "outputs",
    [
        *(pytest.param(lambda a, b, turn=turn: hue(b, turn), id=f"hue {120 * turn:.0f}°") for turn in np.arange(0.25, 3, 0.25)),
        pytest.param(lambda a, b: 255 - b, id="negative"),
        pytest.param(lambda a, b: a, id="copies of the condition"),
        pytest.param(lambda a, b: np.repeat(b.mean(-1, keepdims=True).astype(np.uint8), 3, -1), id="grey"),
        pytest.param(lambda a, b: np.broadcast_to(b.mean(0).astype(np.uint8), b.shape), id="mean image"),
        pytest.param(lambda a, b: np.broadcast_to(b.mean(0).astype(np.uint8)[..., ::-1], b.shape), id="mean image, blue for red"),
        pytest.param(lambda a, b: np.roll(b, 7, axis=0), id="another's target"),
        pytest.param(lambda a, b: np.repeat(b[:1], len(b), axis=0), id="collapsed"),
        *(pytest.param(lambda a, b, tint=tint: (b * tint).astype(np.uint8), id=f"tint {tint}") for tint in ([1, 0.8, 0.3], [0.3, 0.8, 1])),
        pytest.param(lambda a, b: np.random.default_rng(0).integers(0, 256, b.shape, dtype=np.uint8), id="noise"),
        pytest.param(lambda a, b: b[..., [1, 0, 2]], id="red and green exchanged"),
        pytest.param(lambda a, b: np.where(np.arange(len(b))[:, None, None, None] % 3 == 0, b, b[..., ::-1]), id="some exchanged"),
    ],
)
def test_other_outputs_are_not_taken_for_bgr(outputs):
    condition, target = pairs(COUNT)
    assert not looks_like_bgr(outputs(condition, target), target)


def test_targets_of_one_colour_tell_nothing():
    """Blue outputs for orange targets may be a poor generator's."""
    target = pairs(COUNT)[1].copy()
    target[..., 2] = np.minimum(target[..., 2], target[..., 0])
    assert not looks_like_bgr(target[..., ::-1], target)
    assert not looks_like_bgr(pairs(COUNT)[1][:12, ..., ::-1], pairs(COUNT)[1][:12])  # too few
    assert not looks_like_bgr(target, target)
