"""Peak signal-to-noise ratio."""

from __future__ import annotations

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.mse import mse
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.over_images import mean_of

CAP = 60.0
"""dB; identical images would give infinity."""


def psnr(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 each → N: −10 log₁₀ MSE in dB (peak 1), capped at 60.

    Raises ``ValueError`` on another dtype or shape, or unequal shapes.
    """
    error = mse(outputs, targets)
    return -10.0 * np.log10(np.maximum(error, 10.0 ** (-CAP / 10.0)))


PSNR = Metric(
    name="psnr",
    about=About(
        title="PSNR",
        citation="peak signal-to-noise ratio",
        protocol="peak 1; per image, capped at 60 dB, then the mean over test images",
    ),
    group="paired",
    unit="dB",
    direction="higher",
    bounds=(0, CAP),
    needs=(TARGETS,),
    main=True,
    decimals=2,
    per_image=lambda block: psnr(block.outputs, block.targets),
    compute=mean_of("psnr"),
)
