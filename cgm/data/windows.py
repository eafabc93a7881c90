"""SSIM's Gaussian window, and its two terms under it: what SSIM and MS-SSIM share, the metrics and the losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SIGMA, RADIUS = 1.5, 5
K1, K2 = 0.01, 0.03
SMALLEST = 2 * RADIUS + 1
"""Pixels that the window spans."""


def unit(images: np.ndarray) -> Tensor:
    """uint8 N×H×W×3 → float64 N×3×H×W in [0, 1]."""
    return torch.from_numpy(images.transpose(0, 3, 1, 2) / 255.0)


def similarity(x: Tensor, y: Tensor, windows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """N×C×H×W in [0, 1] → SSIM and its contrast-structure term, N×C, means over positions. ``windows``: :func:`gaussian` of H and W."""
    luminance, contrast = terms(x, y, windows)
    return (luminance * contrast).mean(dim=(2, 3)), contrast.mean(dim=(2, 3))


def terms(x: Tensor, y: Tensor, windows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """N×C×H×W in [0, 1] → luminance and contrast-structure at each position, N×C×h×w.

    ``windows``: h×H and w×W, the weights of rows and of columns for each position; the window is their product.
    """
    rows, columns = windows[0], windows[1].T

    def mean(values: Tensor) -> Tensor:
        return rows @ (values @ columns)

    mean_x, mean_y = mean(x), mean(y)
    product, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    covariance, variances = mean(x * y) - product, mean(x * x + y * y) - squares
    c1, c2 = K1**2, K2**2
    contrast = (2 * covariance + c2) / (variances + c2)
    luminance = (2 * product + c1) / (squares + c1)
    return luminance, contrast


def gaussian(size: int, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """(size − 10)×size: a row is the window at one position. float64 unless said. Made on ``device``: nothing waits for it."""
    dtype = dtype or torch.float64
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=dtype, device=device)
    window = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    window = window / window.sum()
    places = torch.arange(size, device=device)
    tap = places[None] - places[: size - 2 * RADIUS, None]
    inside = (tap >= 0) & (tap < SMALLEST)
    return torch.where(inside, window[tap.clamp(0, SMALLEST - 1)], torch.zeros((), dtype=dtype, device=device))
