"""Inputs that have several targets: what is plausible for each of them, and how far outputs are from it.

The same input may stand in the test set several times, with different targets: an outline in several colours. Its targets are then a sample
of p(y | x), and three kinds of picture can be told apart: their mean, which minimises the expected squared error; their coordinate-wise
median, which minimises the expected absolute error; and their modes, which are the different targets themselves (Bishop, Pattern
Recognition and Machine Learning, 2006, section 1.5.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cgm.core.lazy import np
from cgm.evaluation.metrics.metric import Value
from cgm.evaluation.metrics.needs import Need

if TYPE_CHECKING:
    from cgm.evaluation.view import Block, View

MOST = 256
"""Of one input's images, so many are looked at: where all images have one and the same input, each of them would be compared with each."""
KEPT = 2**28
"""Bytes: what is plausible is kept for all metrics and blocks up to here, which is 2,700 pictures of 64 px. Of more it is found anew each
time."""
ALONE = -1
"""In place of an input's number: it has but one target, or the image is beyond :data:`MOST`."""


@dataclass(frozen=True)
class Answers:
    """What is plausible for one input. Pixels are float64 in [0, 1]; P is their number times that of the channels."""

    modes: np.ndarray
    """M×P: its different targets."""
    mode_of: np.ndarray
    """n: the mode that each of its n images has as the target."""
    mean: np.ndarray
    """P."""
    median: np.ndarray
    """P: coordinate by coordinate; halfway where the middle is between two."""

    @classmethod
    def of(cls, targets: np.ndarray) -> Answers:
        """uint8 n×H×W×C: one input's targets, each as often as it occurs."""
        flat = np.ascontiguousarray(targets).reshape(len(targets), -1)
        rows = [row.tobytes() for row in flat]
        places = {row: place for place, row in enumerate(sorted(set(rows)))}  # numpy's unique of rows takes seconds
        modes = np.frombuffer(b"".join(places), np.uint8).reshape(len(places), -1)
        return cls(modes / 255, np.array([places[row] for row in rows]), flat.mean(axis=0) / 255, np.median(flat, axis=0) / 255)

    @cached_property
    def spread(self) -> float:
        """The mean distance of its targets from their mean: the scale on which distances are given."""
        return float(rms(self.modes - self.mean)[self.mode_of].mean())

    @cached_property
    def chroma(self) -> float:
        """The mean :func:`chroma` of its targets."""
        return float(chroma(self.modes)[self.mode_of].mean())

    @property
    def nbytes(self) -> int:
        return self.modes.nbytes + self.mode_of.nbytes + self.mean.nbytes + self.median.nbytes


class _Kept:
    """What was found already of inputs, by their number."""

    def __init__(self, view: View) -> None:
        self._answers: dict[int, Answers] = {}
        self._left = KEPT

    def of(self, view: View, number: int) -> Answers:
        if number in self._answers:
            return self._answers[number]
        assert view.targets is not None
        found = Answers.of(view.targets[view.for_all(rows_of)[number]])
        if found.nbytes <= self._left:
            self._answers[number] = found
            self._left -= found.nbytes
        return found


def answers_of(view: View, number: int) -> Answers:
    """What is plausible for an input of :func:`rows_of`."""
    return view.for_all(_Kept).of(view, number)


def rms(differences: np.ndarray) -> np.ndarray:
    """…×P → …: the root of the mean square."""
    found: np.ndarray = np.sqrt(np.square(differences).mean(axis=-1))
    return found


def rows_by_input(inputs: np.ndarray, targets: np.ndarray) -> dict[int, np.ndarray]:
    """For each input with several different targets, by its number, the images that have it, at most :data:`MOST`.

    ``inputs``: N, the number of each image's input; ``targets``: uint8 N×H×W×C.
    """
    order = np.argsort(inputs, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(inputs[order])) + 1)
    found = {int(inputs[rows[0]]): rows[:MOST] for rows in runs if len(rows) > 1}
    return {number: rows for number, rows in found.items() if any((targets[row] != targets[rows[0]]).any() for row in rows[1:])}


def rows_of(view: View) -> dict[int, np.ndarray]:
    """:func:`rows_by_input` of the test images."""
    return {} if view.inputs is None or view.targets is None else rows_by_input(view.inputs, view.targets)


def spreads(view: View) -> np.ndarray:
    """N: :attr:`Answers.spread` of each image's input, NaN where it has but one target. Doesn't depend on the outputs."""
    return _by_row(view, lambda answers: answers.spread)


def chromas(view: View) -> np.ndarray:
    """N: the mean :func:`chroma` of the targets of each image's input, NaN where it has but one. Doesn't depend on the outputs."""
    return _by_row(view, lambda answers: answers.chroma)


def chroma(flat: np.ndarray) -> np.ndarray:
    """…×P, the channels last of three → …: max − min over the channels, mean over the pixels. It is convex, so the mean of several pictures
    never has more of it than they have on average."""
    red, green, blue = (flat[..., channel::3] for channel in range(3))  # numpy reduces an axis of three number by number
    found: np.ndarray = (np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)).mean(axis=-1)
    return found


def per_image(of_outputs: Callable[[np.ndarray, Answers], np.ndarray]) -> Callable[[Block], np.ndarray]:
    """A metric's ``per_image``: ``of_outputs`` gets the outputs (n×P in [0, 1]) for one input and its answers, and gives n values. NaN for
    images whose input has but one target."""

    def values(block: Block) -> np.ndarray:
        found = np.full(len(block.rows), np.nan)
        numbers = block.view.for_all(_numbers)[block.rows]
        for number, answers in _answers(block.view, numbers):
            inside = np.flatnonzero(numbers == number)
            found[inside] = of_outputs(block.outputs[inside].reshape(len(inside), -1) / 255, answers)
        return found

    return values


def ratio_of(column: str, scale: Callable[[View], np.ndarray], nothing: str = "") -> Callable[[View], Value]:
    """A metric's ``compute``: the mean of a column of :func:`per_image` ÷ the mean of ``scale`` over the same images. The ratio of means,
    and not the mean of ratios: inputs whose targets hardly differ would decide it. ``nothing``: what is said where the scale is 0."""

    def compute(view: View) -> Value:
        scales = view.for_all(scale) if view.rows is None else view.for_all(scale)[view.rows]
        known = ~np.isnan(scales)
        total, count = float(scales[known].sum()), int(known.sum())
        if total == 0:
            return Value(value=None, note=nothing)
        return Value(value=float(view.columns[column][known].sum()) / total, n_real=count, n_fake=count)

    return compute


def _numbers(view: View) -> np.ndarray:
    """N: the number of each image's input, or :data:`ALONE`."""
    found = np.full(view.samples.shape[1], ALONE)
    for number, rows in view.for_all(rows_of).items():
        found[rows] = number
    return found


def _answers(view: View, numbers: np.ndarray) -> Iterator[tuple[int, Answers]]:
    """Each input once, with what is plausible for it. ``numbers``: of :func:`_numbers`."""
    return ((number, answers_of(view, number)) for number in dict.fromkeys(numbers.tolist()) if number != ALONE)


def _by_row(view: View, value: Callable[[Answers], float]) -> np.ndarray:
    numbers = view.for_all(_numbers)
    found = np.full(len(numbers), np.nan)
    for number, answers in _answers(view, numbers):
        found[numbers == number] = value(answers)
    return found


def _several(view: View) -> str:
    images = [row for rows in view.for_all(rows_of).values() for row in rows]
    there = images if view.rows is None else np.intersect1d(images, view.rows)
    return "" if len(there) else "no input of the test set has several targets"


SEVERAL = Need("several targets", _several)
"""An input that stands in the test set more than once, with different targets."""
