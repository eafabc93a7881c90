"""How far an output is from the nearest of its input's targets: whether it is one of the plausible pictures."""

from __future__ import annotations

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.several import SEVERAL, Answers, per_image, ratio_of, rms, spreads


def mode_distance(outputs: np.ndarray, answers: Answers) -> np.ndarray:
    """n×P in [0, 1] → n."""
    found: np.ndarray = np.min([rms(outputs - mode) for mode in answers.modes], axis=0)
    return found


MODE_DISTANCE = Metric(
    name="mode_distance",
    about=About(
        title="distance to the nearest plausible picture",
        short="to nearest mode",
        citation="this benchmark",
        protocol="root mean squared difference to the nearest of the targets that one input has, over test images whose input has several; "
        "in units of those targets' own mean distance from their mean",
    ),
    group="conditioning",
    direction="lower",
    bounds=(0, None),
    needs=(TARGETS, SEVERAL),
    ranked=False,
    per_image=per_image(mode_distance),
    column="mode_rmse",
    compute=ratio_of("mode_rmse", spreads),
)
