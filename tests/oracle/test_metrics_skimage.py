"""SSIM and PSNR against scikit-image."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from cgm.evaluation.metrics.mse import mse
from cgm.evaluation.metrics.psnr import psnr
from cgm.evaluation.metrics.ssim import ssim


def grey(image: np.ndarray) -> np.ndarray:
    """H×W → 1×H×W×3."""
    return np.repeat(image[None, ..., None], 3, axis=-1)


def peer_ssim(x: np.ndarray, y: np.ndarray) -> float:
    return structural_similarity(x, y, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)


@pytest.mark.parametrize(
    ("name", "known_ssim", "known_psnr"),
    [("blurred", 0.748042, 25.9068), ("inverted", -0.094259, 4.7654), ("brighter", 0.935767, 22.1318)],
)
def test_camera(name, known_ssim, known_psnr):
    camera = data.camera()
    changed = {
        "blurred": gaussian_filter(camera.astype(np.float64), 2).round().astype(np.uint8),
        "inverted": 255 - camera,
        "brighter": np.minimum(camera.astype(np.int64) + 20, 255).astype(np.uint8),
    }[name]
    x, y = grey(changed), grey(camera)
    assert ssim(x, y)[0] == pytest.approx(peer_ssim(x[0], y[0]), abs=1e-9)
    assert psnr(x, y)[0] == pytest.approx(peak_signal_noise_ratio(y[0], x[0], data_range=255), abs=1e-9)
    # the values on record for these three
    assert ssim(x, y)[0] == pytest.approx(known_ssim, abs=1e-4)
    assert psnr(x, y)[0] == pytest.approx(known_psnr, abs=1e-2)


def test_colour_images_of_odd_shapes():
    generator = np.random.default_rng(0)
    x, y = (generator.integers(0, 256, (70, 33, 41, 3), dtype=np.uint8) for _ in range(2))
    y[::2] = np.clip(x[::2] + generator.integers(-9, 10, x[::2].shape), 0, 255)
    images = list(zip(x, y, strict=True))
    np.testing.assert_allclose(ssim(x, y), [peer_ssim(a, b) for a, b in images], atol=1e-9)
    np.testing.assert_allclose(mse(x, y), [mean_squared_error(a / 255, b / 255) for a, b in images], rtol=1e-12)
    np.testing.assert_allclose(psnr(x, y), [peak_signal_noise_ratio(a, b, data_range=255) for a, b in images], rtol=1e-12)
