"""Mean gradient magnitude, output ÷ target: averaging shows as blur."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import torch
from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.luminance import each
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.over_images import median_of
from cgm.evaluation.metrics.spectrum import ENERGY_EPSILON

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

EPSILON = (2 * ENERGY_EPSILON) ** 0.5
"""The standard deviation of the difference of two roundings."""


def gradient_ratio(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 each → N: mean gradient magnitude of the output ÷ that of the target, both plus the difference that rounding makes.

    Raises ``ValueError`` on another dtype or shape, or unequal shapes.
    """
    checks.pair(outputs, targets)
    return (gradient(outputs) + EPSILON) / (gradient(targets) + EPSILON)


def gradient(images: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 → N: mean of √(Δx² + Δy²) of the luminance (in [0, 1]), differences to the right and the lower neighbour."""
    return each(images, _magnitude)


def _magnitude(luminance: Tensor) -> Tensor:
    corner = luminance[:, :-1, :-1]
    return torch.hypot(luminance[:, :-1, 1:] - corner, luminance[:, 1:, :-1] - corner).mean(dim=(1, 2))


GRADIENT_RATIO = Metric(
    name="gradient_ratio",
    about=About(
        title="gradient ratio",
        citation="this benchmark",
        protocol="mean gradient magnitude of the luminance (differences of neighbours), output ÷ target, median over test images; noise "
        "masks blur",
    ),
    group="sharpness",
    direction="target",
    target=1.0,
    bounds=(0, None),
    needs=(TARGETS,),
    per_image=lambda block: gradient_ratio(block.outputs, block.targets),
    compute=median_of("gradient_ratio"),
)
