"""Multi-scale structural similarity."""

from __future__ import annotations

from cgm.core.lazy import F, np, torch
from cgm.core.registry import About
from cgm.data import windows
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS, image_size
from cgm.evaluation.metrics.over_images import mean_of

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Wang et al. 2003, section 3.2; from the finest scale to the coarsest."""
SMALLEST = (windows.SMALLEST - 1) * 2 ** (len(WEIGHTS) - 1) + 1
"""Pixels, 161: below, the coarsest scale would be smaller than the window."""
CHUNK = 8
"""Images held in float64 at a time; bounds the memory, changes no result."""


def ms_ssim(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 each → N: multi-scale structural similarity (Wang et al. 2003, eq. 7), the contrast-structure terms of five scales and
    the luminance term of the coarsest, each to its weight; per channel, then the mean.

    Window as :func:`cgm.evaluation.metrics.ssim.ssim`; 2×2 averages between the scales (an odd side gets a border of zeros first); a
    negative term counts as 0: all as in the package ``pytorch-msssim``. Raises ``ValueError`` on another dtype or shape, unequal shapes, or
    images of less than 161 px.
    """
    checks.pair(outputs, targets)
    height, width = outputs.shape[1:3]
    if min(height, width) < SMALLEST:
        raise ValueError(f"ms_ssim: found images of {height}×{width} px, expected {SMALLEST} px or more each way")
    scales = len(WEIGHTS)
    values = []
    for start in range(0, len(outputs), CHUNK):
        x, y = (windows.unit(images[start : start + CHUNK]) for images in (outputs, targets))
        product = torch.ones(x.shape[:2], dtype=torch.float64)
        for scale, weight in enumerate(WEIGHTS, 1):
            similarity, contrast = windows.similarity(x, y, (windows.gaussian(x.shape[2]), windows.gaussian(x.shape[3])))
            product *= (contrast if scale < scales else similarity).clamp_min(0) ** weight
            border = x.shape[2] % 2, x.shape[3] % 2
            x, y = (F.avg_pool2d(images, 2, padding=border) for images in (x, y))
        values.append(product.mean(1))
    return torch.cat(values).numpy()


MS_SSIM = Metric(
    name="ms_ssim",
    about=About(
        title="MS-SSIM",
        citation="Wang et al., Asilomar 2003",
        protocol="SSIM's window at five scales, 2×2 averages between them, negative terms counted as 0, as in pytorch-msssim; needs "
        "images of 161 px or more",
    ),
    group="paired",
    direction="higher",
    bounds=(0, 1),
    needs=(TARGETS, image_size(SMALLEST)),
    per_image=lambda block: ms_ssim(block.outputs, block.targets),
    compute=mean_of("ms_ssim"),
)
