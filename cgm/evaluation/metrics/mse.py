"""Mean squared error."""

from __future__ import annotations

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.over_images import mean_of


def mse(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 each → N: mean squared difference over pixels and channels of images in [0, 1].

    Raises ``ValueError`` on another dtype or shape, or unequal shapes.
    """
    checks.pair(outputs, targets)
    squares = [np.square(x.astype(np.int64) - y).sum() for x, y in zip(outputs, targets, strict=True)]
    return np.array(squares) / (255.0**2 * outputs[0].size)


MSE = Metric(
    name="mse",
    about=About(
        title="MSE",
        citation="mean squared error",
        protocol="images in [0, 1]; mean over pixels and channels, then over test images",
    ),
    group="paired",
    direction="lower",
    bounds=(0, 1),
    needs=(TARGETS,),
    decimals=4,
    per_image=lambda block: mse(block.outputs, block.targets),
    compute=mean_of("mse"),
)
