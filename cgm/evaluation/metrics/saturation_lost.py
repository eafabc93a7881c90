"""How much of the colour of the plausible pictures an output has lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import COLOUR, TARGETS
from cgm.evaluation.metrics.several import SEVERAL, Answers, chroma, chromas, per_image, ratio_of

if TYPE_CHECKING:
    import numpy as np


def saturation_lost(outputs: np.ndarray, answers: Answers) -> np.ndarray:
    """n×P in [0, 1] → n: the chroma of the input's targets, on average, less that of the output."""
    found: np.ndarray = answers.chroma - chroma(outputs)
    return found


SATURATION_LOST = Metric(
    name="saturation_lost",
    about=About(
        title="saturation lost",
        citation="this benchmark",
        protocol="1 − chroma of the outputs ÷ mean chroma of the targets of the same inputs, over test images whose input has several "
        "targets; chroma is max − min over the channels, mean over pixels: an average of pictures never has more than they have",
    ),
    group="conditioning",
    direction="target",
    target=0.0,
    bounds=(None, 1),
    needs=(TARGETS, COLOUR, SEVERAL),
    ranked=False,
    per_image=per_image(saturation_lost),
    column="chroma_lost",
    compute=ratio_of("chroma_lost", chromas, "the targets are grey"),
)
