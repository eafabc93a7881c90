"""High-frequency energy, output ÷ target: averaging shows as blur."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.over_images import median_of
from cgm.evaluation.metrics.spectrum import ENERGY_EPSILON, highfreq_energy, of_outputs, of_targets

if TYPE_CHECKING:
    import numpy as np

    from cgm.evaluation.view import Block


def highfreq_ratio(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 each → N: high-frequency energy of the output ÷ that of the target, both plus the energy of rounding.

    Raises ``ValueError`` on another dtype or shape, or unequal shapes.
    """
    checks.pair(outputs, targets)
    return ratio(highfreq_energy(outputs), highfreq_energy(targets))


def ratio(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Of two vectors of energies."""
    return (outputs + ENERGY_EPSILON) / (targets + ENERGY_EPSILON)


def per_image(block: Block) -> np.ndarray:
    return ratio(block.once(of_outputs).highfreq, block.once(of_targets).highfreq)


HIGHFREQ_RATIO = Metric(
    name="highfreq_ratio",
    about=About(
        title="high-frequency ratio",
        short="HF ratio",
        citation="this benchmark",
        protocol="spectral energy of the luminance from 0.25 cycles/px on (Hann window), output ÷ target, median over test "
        "images; noise masks blur",
    ),
    group="sharpness",
    direction="target",
    target=1.0,
    bounds=(0, None),
    needs=(TARGETS,),
    main=True,
    per_image=per_image,
    compute=median_of("highfreq_ratio"),
)
