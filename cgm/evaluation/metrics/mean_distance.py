"""How far an output is from the mean of its input's targets, where least squares ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.several import SEVERAL, Answers, per_image, ratio_of, rms, spreads

if TYPE_CHECKING:
    import numpy as np


def mean_distance(outputs: np.ndarray, answers: Answers) -> np.ndarray:
    """n×P in [0, 1] → n."""
    return rms(outputs - answers.mean)


MEAN_DISTANCE = Metric(
    name="mean_distance",
    about=About(
        title="distance to the mean of the plausible",
        short="to mean",
        citation="this benchmark",
        protocol="root mean squared difference to the mean of the targets that one input has, over test images whose input has several; in "
        "units of those targets' own mean distance from it, so that a target scores 1",
    ),
    group="conditioning",
    direction="lower",
    bounds=(0, None),
    needs=(TARGETS, SEVERAL),
    ranked=False,
    per_image=per_image(mean_distance),
    column="mean_rmse",
    compute=ratio_of("mean_rmse", spreads),
)
