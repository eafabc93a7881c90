"""Metrics that compare each output with its own target. Images are uint8 N×H×W×3; every function returns one float64 an image.

Errors (dtype, shape, unequal shapes) are ``ValueError``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cgm.metrics import checks

PSNR_CAP = 60.0
"""dB; identical images would give infinity."""
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5
SSIM_K1, SSIM_K2 = 0.01, 0.03
SSIM_SMALLEST = 2 * SSIM_RADIUS + 1
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Wang et al. 2003, section 3.2; from the finest scale to the coarsest."""
MS_SSIM_SMALLEST = (SSIM_SMALLEST - 1) * 2 ** (len(MS_SSIM_WEIGHTS) - 1) + 1
"""Pixels, 161: below, the coarsest scale would be smaller than the window."""
CHUNK, MS_SSIM_CHUNK = 64, 8
"""Images held in float64 at a time; bounds the memory, changes no result."""


def mae(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Mean absolute difference over pixels and channels of images in [0, 1]."""
    checks.pair(outputs, targets)
    return np.array([np.abs(x.astype(np.int32) - y).sum() for x, y in zip(outputs, targets, strict=True)]) / (255.0 * outputs[0].size)


def mse(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Mean squared difference over pixels and channels of images in [0, 1]."""
    checks.pair(outputs, targets)
    squares = [np.square(x.astype(np.int64) - y).sum() for x, y in zip(outputs, targets, strict=True)]
    return np.array(squares) / (255.0**2 * outputs[0].size)


def psnr(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """−10 log₁₀ MSE in dB (peak 1), capped at 60."""
    error = mse(outputs, targets)
    return -10.0 * np.log10(np.maximum(error, 10.0 ** (-PSNR_CAP / 10.0)))


def ssim(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Structural similarity (Wang et al. 2004, eq. 13), mean over channels and over positions whose whole window lies inside the image.

    Equals ``skimage.metrics.structural_similarity(..., gaussian_weights=True, sigma=1.5, use_sample_covariance=False)``.
    Raises ``ValueError`` also for images smaller than the 11 px window.
    """
    checks.pair(outputs, targets)
    height, width = outputs.shape[1:3]
    if min(height, width) < SSIM_SMALLEST:
        raise ValueError(f"ssim: found images of {height}×{width} px, expected {SSIM_SMALLEST} px or more each way")
    windows = _gaussian(height), _gaussian(width)
    values = []
    for start in range(0, len(outputs), CHUNK):
        x, y = (_unit(images[start : start + CHUNK]) for images in (outputs, targets))
        values.append(_similarity(x, y, windows)[0].mean(1))
    return torch.cat(values).numpy()


def ms_ssim(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Multi-scale structural similarity (Wang et al. 2003, eq. 7): the contrast-structure terms of five scales and the luminance term of
    the coarsest, each to its weight; per channel, then the mean.

    Window as :func:`ssim`; 2×2 averages between the scales (an odd side gets a border of zeros first); a negative term counts as 0: all
    as in the package ``pytorch-msssim``. Raises ``ValueError`` also for images of less than 161 px.
    """
    checks.pair(outputs, targets)
    height, width = outputs.shape[1:3]
    if min(height, width) < MS_SSIM_SMALLEST:
        raise ValueError(f"ms_ssim: found images of {height}×{width} px, expected {MS_SSIM_SMALLEST} px or more each way")
    scales = len(MS_SSIM_WEIGHTS)
    values = []
    for start in range(0, len(outputs), MS_SSIM_CHUNK):
        x, y = (_unit(images[start : start + MS_SSIM_CHUNK]) for images in (outputs, targets))
        product = torch.ones(x.shape[:2], dtype=torch.float64)
        for scale, weight in enumerate(MS_SSIM_WEIGHTS, 1):
            similarity, contrast = _similarity(x, y, (_gaussian(x.shape[2]), _gaussian(x.shape[3])))
            product *= (contrast if scale < scales else similarity).clamp_min(0) ** weight
            border = x.shape[2] % 2, x.shape[3] % 2
            x, y = (F.avg_pool2d(images, 2, padding=border) for images in (x, y))
        values.append(product.mean(1))
    return torch.cat(values).numpy()


def pd(embedding: Tensor, other: Tensor) -> np.ndarray:
    """Perceptual distance through a judge: ‖a − b‖² of two :func:`cgm.metrics.judges.perceptual_embedding` batches N×P, row by row."""
    if embedding.shape != other.shape or embedding.ndim != 2:
        raise ValueError(f"pd: found embeddings of shape {tuple(embedding.shape)} and {tuple(other.shape)}, expected the same N×P")
    return (embedding - other).square().sum(dim=1, dtype=torch.float64).cpu().numpy()


def _unit(images: np.ndarray) -> Tensor:
    """uint8 N×H×W×3 → float64 N×3×H×W in [0, 1]."""
    return torch.from_numpy(images.transpose(0, 3, 1, 2) / 255.0)


def _similarity(x: Tensor, y: Tensor, windows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """N×C×H×W in [0, 1] → SSIM and its contrast-structure term, N×C, means over positions. ``windows``: :func:`_gaussian` of H and W."""
    # the window is separable and stays inside the image: two products with a band matrix each
    rows, columns = windows[0], windows[1].T

    def mean(values: Tensor) -> Tensor:
        return rows @ (values @ columns)

    mean_x, mean_y = mean(x), mean(y)
    product, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    covariance, variances = mean(x * y) - product, mean(x * x + y * y) - squares
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    contrast = (2 * covariance + c2) / (variances + c2)
    luminance = (2 * product + c1) / (squares + c1)
    return (luminance * contrast).mean(dim=(2, 3)), contrast.mean(dim=(2, 3))


def _gaussian(size: int) -> Tensor:
    """(size − 10)×size: a row is the window at one position."""
    offsets = torch.arange(-SSIM_RADIUS, SSIM_RADIUS + 1, dtype=torch.float64)
    window = torch.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
    window /= window.sum()
    matrix = torch.zeros(size - 2 * SSIM_RADIUS, size, dtype=torch.float64)
    for row in range(len(matrix)):
        matrix[row, row : row + len(window)] = window
    return matrix
