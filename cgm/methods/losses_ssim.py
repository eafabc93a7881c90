"""Structural similarity as a loss: 1 − SSIM and 1 − MS-SSIM, and Zhao et al.'s mixture; means over the batch.

Images are N×C×H×W in [-1, 1], and are compared in [0, 1], for SSIM's luminance term depends on where black lies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.errors import UserError
from cgm.core.lazy import F, torch
from cgm.data import windows
from cgm.methods.losses import float32

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of MS-SSIM's scales, from the finest: Wang et al. 2003, section 3.2."""
SIGMAS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pixels; of the windows that are Zhao et al.'s scales (2017, section IV)."""
LEAST = 1e-3
"""As how much a smaller term of MS-SSIM counts: the slope of a power below 1 has no bound at 0, and negative terms have no power."""


@float32
def ssim(y_hat: Tensor, y: Tensor) -> Tensor:
    """1 − SSIM. Wang et al. 2004, eq. 13; as a loss Zhao et al. 2017, eq. 5–7.

    Gaussian window of 11 px, σ = 1.5, at positions where it lies inside the image: the metric's (:mod:`cgm.evaluation.metrics.ssim`).
    Raises :class:`UserError` where an image is smaller than the window.
    """
    _large_enough(y_hat, "ssim")
    return 1 - _terms(_unit(y_hat), _unit(y))[0].mean()


@float32
def ms_ssim(y_hat: Tensor, y: Tensor) -> Tensor:
    """1 − MS-SSIM. Wang et al. 2003, eq. 7; as a loss Zhao et al. 2017, eq. 8.

    Contrast and structure at up to five scales, 2×2 averages apart, and the luminance of the coarsest. There are as many scales as the
    window of 11 px fits into (64 px: three; all five from 161 px on), and their weights are scaled to the sum of all five. With five it is
    the metric (:mod:`cgm.evaluation.metrics.ms_ssim`), but for terms below :data:`LEAST`.
    Raises :class:`UserError` where an image is smaller than the window.
    """
    _large_enough(y_hat, "ms_ssim")
    x, y, count = _unit(y_hat), _unit(y), scales(min(y_hat.shape[2:]))
    share = sum(WEIGHTS[:count]) / sum(WEIGHTS)
    product = torch.ones((), device=x.device)
    for scale, weight in enumerate(WEIGHTS[:count], 1):
        similarity, contrast = _terms(x, y)
        product = product * (contrast if scale < count else similarity).clamp_min(LEAST) ** (weight / share)
        if scale < count:
            border = x.shape[2] % 2, x.shape[3] % 2
            x, y = (F.avg_pool2d(images, 2, padding=border) for images in (x, y))
    return 1 - product.mean()


@float32
def pixelwise_ms_ssim(y_hat: Tensor, y: Tensor) -> Tensor:
    """1 − E l₅(p) Π_j cs_j(p), p the pixels: MS-SSIM as Zhao et al. 2017 train with it, eq. 8 and 9 (α = β_j = 1).

    Scale j is a Gaussian window of σ = 0.5, 1, 2, 4, 8 px over the image as it is; nothing is made smaller. The paper looks at the pixel in
    the middle of a patch of 31 px. Here every pixel counts, and what of a window lies outside of the image goes to what lies inside.
    """
    x, y = _unit(y_hat), _unit(y)
    product = torch.ones((), device=x.device)
    for sigma in SIGMAS:
        luminance, contrast = windows.terms(x, y, _blurs(x, sigma))
        product = product * contrast
    return 1 - (luminance * product).mean()


@float32
def gaussian_l1(y_hat: Tensor, y: Tensor) -> Tensor:
    """E G ∗ |y − ŷ|, with the widest window of :func:`pixelwise_ms_ssim`, of images in [0, 1]. Zhao et al. 2017, eq. 10, second part."""
    rows, columns = _blurs(y, SIGMAS[-1])
    return (rows @ ((_unit(y_hat) - _unit(y)).abs() @ columns.T)).mean()


def _blurs(images: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """H×H and W×W: a row is the window around one place, as much of it as lies inside."""
    height, width = (_blur(side, sigma, images) for side in images.shape[2:])
    return height, width


def _blur(side: int, sigma: float, like: Tensor) -> Tensor:
    places = torch.arange(side, dtype=like.dtype, device=like.device)
    window = torch.exp(-0.5 * ((places[None] - places[:, None]) / sigma) ** 2)
    return window / window.sum(1, keepdim=True)


def scales(side: int) -> int:
    """How many of MS-SSIM's scales an image of ``side`` pixels has; an odd side gets a border of zeros before it is halved."""
    count = 1
    while count < len(WEIGHTS) and (side := (side + side % 2 * 2) // 2) >= windows.SMALLEST:
        count += 1
    return count


def _unit(images: Tensor) -> Tensor:
    return (images + 1) / 2


def _terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure term, N×C each."""
    rows, columns = (windows.gaussian(side, x.dtype, x.device) for side in x.shape[2:])
    return windows.similarity(x, y, (rows, columns))


def _large_enough(images: Tensor, loss: str) -> None:
    height, width = images.shape[2:]
    if min(height, width) < windows.SMALLEST:
        raise UserError(
            f"{loss}: found images of {height}×{width} px, expected {windows.SMALLEST} px or more each way; "
            "take a larger image_size, or another loss"
        )
