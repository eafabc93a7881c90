"""How far an output is from the median of its input's targets, where least absolute errors end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.several import SEVERAL, Answers, per_image, ratio_of, rms, spreads

if TYPE_CHECKING:
    import numpy as np


def median_distance(outputs: np.ndarray, answers: Answers) -> np.ndarray:
    """n×P in [0, 1] → n."""
    return rms(outputs - answers.median)


MEDIAN_DISTANCE = Metric(
    name="median_distance",
    about=About(
        title="distance to the median of the plausible",
        short="to median",
        citation="this benchmark",
        protocol="root mean squared difference to the coordinate-wise median of the targets that one input has, over test images whose "
        "input has several; in units of those targets' own mean distance from their mean",
    ),
    group="conditioning",
    direction="lower",
    bounds=(0, None),
    needs=(TARGETS, SEVERAL),
    ranked=False,
    per_image=per_image(median_distance),
    column="median_rmse",
    compute=ratio_of("median_rmse", spreads),
)
