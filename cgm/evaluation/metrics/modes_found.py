"""How many of the plausible pictures a generator makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.several import SEVERAL, Answers, answers_of, rms, rows_of

if TYPE_CHECKING:
    from cgm.evaluation.view import Parts, View


def modes_found(outputs: np.ndarray, answers: Answers) -> np.ndarray:
    """All outputs for one input, n×P in [0, 1] → bool M: the modes that some output is nearest to, and nearer to than to the mean.

    What an output has wrong beside the choice, such as noise or a crooked line, adds alike to all of its distances, so that the answer
    hardly depends on it. An output on the mean finds nothing, though it is nearest to some mode.
    """
    found = np.zeros(len(answers.modes), dtype=bool)
    distances = np.stack([rms(outputs - mode) for mode in answers.modes], axis=1)
    decided = distances.min(axis=1) < rms(outputs - answers.mean)
    found[distances.argmin(axis=1)[decided]] = True
    return found


def found_by_image(view: View) -> np.ndarray:
    """All N, whatever part this view is of: 1 where an output for the image's input found the image's target, else 0; NaN where the input
    has but one target."""
    values = np.full(view.samples.shape[1], np.nan)
    for number, rows in view.for_all(rows_of).items():
        answers = answers_of(view, number)
        outputs = view.samples[:, rows].reshape(len(view.samples) * len(rows), -1) / 255
        values[rows] = modes_found(outputs, answers)[answers.mode_of]
    return values


def compute(view: View) -> Value:
    values = view.once(found_by_image)
    own = values if view.rows is None else values[view.rows]
    count = int((~np.isnan(own)).sum())
    return Value(value=float(np.nanmean(own)), n_real=count, n_fake=len(view.samples) * count, columns={"mode_found": own})


def of_parts(parts: Parts) -> list[float]:
    values = parts.view.once(found_by_image)
    return [float(np.nanmean(values[part])) for part in parts.kept]


MODES_FOUND = Metric(
    name="modes_found",
    about=About(
        title="plausible pictures found",
        short="modes found",
        citation="this benchmark; in the sense of recall, Kynkäänniemi et al., NeurIPS 2019",
        protocol="share of test targets, among those whose input has several, that an output for the same input (any sample, for any copy "
        "of the input) is nearest to, and nearer to than to the mean of the input's targets; so a mode counts by its weight",
    ),
    group="conditioning",
    direction="higher",
    bounds=(0, 1),
    needs=(TARGETS, SEVERAL),
    ranked=False,
    compute=compute,
    of_parts=of_parts,
)
