"""What the metrics of one evaluation look at: images, features, reals, settings. Everything is computed when a metric first asks for it,
and once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cgm.core.lazy import np, torch
from cgm.evaluation.metrics import METRICS
from cgm.evaluation.metrics.pd import pd
from cgm.evaluation.metrics.spectrum import radial_spectrum

if TYPE_CHECKING:
    from torch import Tensor

    from cgm.evaluation.judges import Judge
    from cgm.evaluation.metrics.checks import ChannelOrder
    from cgm.evaluation.metrics.metric import Metric
    from cgm.evaluation.reference import Reals
    from cgm.experiment.settings import Evaluation, WantedLPIPS

T = TypeVar("T")
AT_ONCE, BYTES = 16, 2**26
"""Images in one forward pass of a block; fewer where their embeddings are more than so many bytes, which a pass holds several times over.
Through Inception-2015 an image's is 12 MB. More at once would be no faster."""
COMPARED = 4
"""Embeddings that are subtracted at a time; bounds the memory, changes no result."""


class Shared:
    """Intermediate results that several metrics share."""

    @cached_property
    def _results(self) -> dict[Callable[[Any], Any], Any]:
        return {}

    def once(self, function: Callable[[Self], T]) -> T:
        """``function(self)``, computed for the first metric that asks."""
        if function not in self._results:
            self._results[function] = function(self)
        found: T = self._results[function]
        return found


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one pass over the images leaves."""

    features: np.ndarray | None = None
    """float32 N×D: the judge's features of the outputs, in test order; None where no metric looks through it."""
    target_features: np.ndarray | None = None
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    """N, in test order: what the metrics' ``per_image`` gave."""
    profiles: np.ndarray | None = None
    target_profiles: np.ndarray | None = None
    """N×F, in test order: radial spectra. None: not looked at."""
    channels: ChannelOrder | None = None
    """Whether red and blue look exchanged; None without targets."""


@dataclass(kw_only=True, eq=False)
class View(Shared):
    """The outputs of one run, or real images in their place, and what they are compared with."""

    channels: int = 3
    """1 where the pictures are grey, which judges and metrics see three times over."""
    samples: np.ndarray
    """uint8 K×N×H×W×3, perhaps a memory map; all metrics but those of several samples see :attr:`outputs` alone."""
    targets: np.ndarray | None = None
    """uint8 N×H×W×3, the outputs' own targets; None where there are none."""
    known_targets: tuple[np.ndarray, np.ndarray] | None = None
    """float32 N×D and N×P: the judge's features and perceptual embeddings of the targets, where they are known already."""
    reals: Reals
    """The train targets as the judge sees them."""
    real_images: Callable[[], np.ndarray]
    """The train targets themselves, uint8 M×H×W×3, row by row those of :attr:`reals`."""
    train_spectrum: np.ndarray | None = None
    """F: the train targets' mean radial spectrum, where it is known already."""
    conditions: np.ndarray | None = None
    real_conditions: np.ndarray | None = None
    """float32 N×D and M×D: the judge's features of the outputs' and of the train targets' conditions; None where train holds no pairs."""
    inputs: np.ndarray | None = None
    """N: the number of each image's input; images with the same input have the same one. None: nothing is known of that."""
    judge: Judge
    lpips: WantedLPIPS | None = None
    config: Evaluation
    metrics: Mapping[str, Metric] = field(default_factory=lambda: METRICS)
    """Those that are asked for, by name."""
    generator: Callable[[str], np.random.Generator]
    """For a purpose, a random generator of its own."""
    look: Callable[[View], Seen]
    """How the images are looked at."""
    rows: np.ndarray | None = None
    """The test images that this view is of; None: all."""
    shared: dict[Callable[[Any], Any], Any] = field(default_factory=dict)
    """What doesn't depend on the outputs, for a view and its parts: see :meth:`for_all`."""

    @cached_property
    def seen(self) -> Seen:
        return self.look(self)

    @property
    def outputs(self) -> np.ndarray:
        """uint8 N×H×W×3: the first sample."""
        return self._own(self.samples[0])

    @property
    def count(self) -> int:
        """N."""
        return self.samples.shape[1] if self.rows is None else len(self.rows)

    def only(self, rows: np.ndarray) -> View:
        """Of these test images alone, compared with the same reals; nothing is looked at again. What this view was given and
        :attr:`seen` stay those of all images; its properties and methods give these images' part."""
        return replace(self, rows=rows, look=lambda view: self.seen)

    @property
    def features(self) -> np.ndarray:
        """float32 N×D: the judge's features of the outputs."""
        return self._own(_there(self.seen.features, "features", "no judge"))

    @property
    def looked_through(self) -> set[str]:
        """``none``, ``judge``, ``lpips``: what the metrics look through."""
        return {metric.judge for metric in self.metrics.values()}

    @property
    def target_features(self) -> np.ndarray:
        """float32 N×D: the judge's features of the targets."""
        return self._own(_there(self.seen.target_features, "target_features", "TARGETS"))

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """N each: the per-image values of all metrics that have some, by column."""
        return {name: self._own(column) for name, column in self.seen.columns.items()}

    @property
    def subset_size(self) -> int:
        return min(self.samples.shape[1], len(self.reals.features))

    @cached_property
    def subset(self) -> np.ndarray:
        """float32 M'×D: the features of as many reals as there are outputs, chosen by a fixed seed; all of them where there are fewer."""
        return self.reals.features[self.reals.subset[: self.subset_size]]

    @cached_property
    def spectrum(self) -> np.ndarray:
        """F: the outputs' mean radial spectrum."""
        known = self.seen.profiles
        return _mean_spectrum(self.outputs) if known is None else self._own(known).mean(axis=0)

    @cached_property
    def real_spectrum(self) -> np.ndarray:
        """F: what the outputs' spectrum is compared with, that of their targets, or, without any, of the train targets."""
        if self.targets is None:
            return _mean_spectrum(self.real_images()) if self.train_spectrum is None else self.train_spectrum
        known = self.seen.target_profiles
        return _mean_spectrum(self._own(self.targets)) if known is None else self._own(known).mean(axis=0)

    def for_all(self, function: Callable[[View], T]) -> T:
        """``function(self)``, which must not depend on the outputs: computed for the first metric that asks, here or in a part of this."""
        if function not in self.shared:
            self.shared[function] = function(self)
        found: T = self.shared[function]
        return found

    def both_conditions(self) -> tuple[np.ndarray, np.ndarray]:
        """:attr:`conditions` and :attr:`real_conditions`."""
        return self._own(_there(self.conditions, "conditions", "PAIRS")), _there(self.real_conditions, "real_conditions", "PAIRS")

    def _own(self, values: np.ndarray) -> np.ndarray:
        """Of values of all images, row by row."""
        found: np.ndarray = values if self.rows is None else values[self.rows]
        return found


class Parts(Shared):
    """Some parts of a view, of which a metric's ``of_parts`` gives its values all at once."""

    def __init__(self, view: View, kept: np.ndarray) -> None:
        """``kept``: bool G×N, the images of each part."""
        self.view, self.kept = view, kept

    def each(self) -> Iterator[View]:
        return (self.view.only(np.flatnonzero(rows)) for rows in self.kept)


class Block(Shared):
    """Some of the images, as a metric's ``per_image`` sees them."""

    def __init__(self, view: View, rows: np.ndarray, start: int) -> None:
        """``rows``: which images, in any order; ``start``: how many came in blocks before."""
        self.view, self.rows, self.start = view, rows, start

    @cached_property
    def outputs(self) -> np.ndarray:
        """uint8 n×H×W×3."""
        chosen = self.rows if self.view.rows is None else self.view.rows[self.rows]
        found: np.ndarray = self.view.samples[0][chosen]
        return found

    @cached_property
    def targets(self) -> np.ndarray:
        """uint8 n×H×W×3."""
        found: np.ndarray = _there(self.view.targets, "targets", "TARGETS")[self.rows]
        return found

    @property
    def features(self) -> np.ndarray:
        """float32 n×D: the judge's features of the outputs."""
        return self._look[0]

    @property
    def embedding(self) -> Tensor:
        """n×P: the judge's perceptual embeddings of the outputs."""
        return self._look[1]

    def target_distances(self, shift: int = 0) -> np.ndarray:
        """n: the perceptual distance of each output to its target, or to the one ``shift`` images further on in the block."""
        others = np.roll(np.arange(len(self.rows)), -shift)
        parts = np.split(np.arange(len(self.rows)), range(COMPARED, len(self.rows), COMPARED))
        return np.concatenate([pd(self.embedding[part], self.target_embedding[others[part]]) for part in parts])

    @property
    def target_features(self) -> np.ndarray:
        return self._look_at_targets[0]

    @property
    def target_embedding(self) -> Tensor:
        return self._look_at_targets[1]

    @cached_property
    def _look(self) -> tuple[np.ndarray, Tensor]:
        return looked_at(self.outputs, self.view.judge)

    @cached_property
    def _look_at_targets(self) -> tuple[np.ndarray, Tensor]:
        known = self.view.known_targets
        if known is None:
            return looked_at(self.targets, self.view.judge)
        features, embeddings = (each[self.rows] for each in known)
        return features, torch.from_numpy(embeddings).to(self.embedding.device)


def looked_at(images: np.ndarray, judge: Judge) -> tuple[np.ndarray, Tensor]:
    """uint8 N×H×W×3, a block → features N×D and perceptual embeddings N×P."""
    found, embedding = judge.look(images[:AT_ONCE])
    features, whole = [found], embedding.new_empty((len(images), embedding.shape[1]))
    whole[:AT_ONCE] = embedding
    step = max(min(AT_ONCE, BYTES // embedding[0].nbytes), 1)
    for start in range(AT_ONCE, len(images), step):
        del embedding  # before the next one is made
        found, embedding = judge.look(images[start : start + step])
        whole[start : start + step] = embedding
        features.append(found)
    return np.concatenate(features), whole


def _mean_spectrum(images: np.ndarray) -> np.ndarray:
    found: np.ndarray = radial_spectrum(images)[1].mean(axis=0)
    return found


def _there(value: np.ndarray | None, name: str, need: str) -> np.ndarray:
    if value is None:
        raise ValueError(f"{name}: there is none in this evaluation; expected a metric that asks for it to need {need}")
    return value
