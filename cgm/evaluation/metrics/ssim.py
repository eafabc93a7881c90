"""Structural similarity."""

from __future__ import annotations

from cgm.core.lazy import np, torch
from cgm.core.registry import About
from cgm.data import windows
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.over_images import mean_of

CHUNK = 64
"""Images held in float64 at a time; bounds the memory, changes no result."""


def ssim(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 each → N: structural similarity (Wang et al. 2004, eq. 13), mean over channels and over positions whose whole window
    lies inside the image.

    Equals ``skimage.metrics.structural_similarity(..., gaussian_weights=True, sigma=1.5, use_sample_covariance=False)``.
    Raises ``ValueError`` on another dtype or shape, unequal shapes, or images smaller than the 11 px window.
    """
    checks.pair(outputs, targets)
    height, width = outputs.shape[1:3]
    if min(height, width) < windows.SMALLEST:
        raise ValueError(f"ssim: found images of {height}×{width} px, expected {windows.SMALLEST} px or more each way")
    window = windows.gaussian(height), windows.gaussian(width)
    values = []
    for start in range(0, len(outputs), CHUNK):
        x, y = (windows.unit(images[start : start + CHUNK]) for images in (outputs, targets))
        values.append(windows.similarity(x, y, window)[0].mean(1))
    return torch.cat(values).numpy()


SSIM = Metric(
    name="ssim",
    about=About(
        title="SSIM",
        citation="Wang et al., IEEE TIP 2004",
        protocol="RGB, Gaussian window σ = 1.5 (11 px), population covariance, border of 5 px cropped, as in scikit-image; "
        "rewards copying the input",
    ),
    group="paired",
    direction="higher",
    bounds=(-1, 1),
    needs=(TARGETS,),
    main=True,
    per_image=lambda block: ssim(block.outputs, block.targets),
    compute=mean_of("ssim"),
)
