"""MS-SSIM against the package ``pytorch-msssim``."""

import numpy as np
import pytest
import pytorch_msssim
import torch
from skimage import data

from cgm.evaluation.metrics.ms_ssim import ms_ssim


def peer(x: np.ndarray, y: np.ndarray, **settings) -> np.ndarray:
    a, b = (torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).double() for images in (x, y))
    return pytorch_msssim.ms_ssim(a, b, data_range=255, size_average=False, **settings).numpy()


@pytest.mark.parametrize(("height", "width"), [(161, 161), (176, 203), (256, 256)])  # odd at several scales
def test_ms_ssim(height, width):
    generator = np.random.default_rng(0)
    astronaut = data.astronaut()
    x = np.stack([astronaut[top : top + height, left : left + width] for top, left in generator.integers(0, 512 - 256, (11, 2))])
    y = np.clip(x + generator.normal(0, np.arange(11)[:, None, None, None] * 6, x.shape), 0, 255).astype(np.uint8)
    y[0] = 255 - x[0]  # negative terms
    y[1] = x[1]
    found = ms_ssim(y, x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, peer(y, x), atol=1e-5)  # its window is rounded to float32
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    np.testing.assert_allclose(found, peer(y, x, win=(window / window.sum()).repeat(3, 1, 1, 1)), atol=1e-10)
    assert found[0] < 0.2
    assert found[1] == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found, [ms_ssim(y[i : i + 1], x[i : i + 1])[0] for i in range(11)], rtol=1e-12)
