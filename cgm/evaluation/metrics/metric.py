"""One metric: its facts, and how it is computed. Imports no torch, since reports and docs read the records too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cgm.core.registry import About
from cgm.evaluation.metrics.needs import SAMPLES, TARGETS, Need

if TYPE_CHECKING:
    import numpy as np

    from cgm.evaluation.view import Block, Parts, View


@dataclass(frozen=True, kw_only=True)
class Value:
    """What a metric says of one run's outputs."""

    value: float | None
    """None: it doesn't exist, for the reason in :attr:`note`."""
    note: str = ""
    n_real: int = 0
    n_fake: int = 0
    """The numbers of images behind it."""
    interval: tuple[float, float] | None = None
    """At 95%."""
    chance: float | None = None
    """What guessing scores."""
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Per-image values, N in test order, that are known only once all images have been seen; for ``per_image.csv``."""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.note):
            raise ValueError(f"value: found {self.value} with the note {self.note!r}; a note goes with a value of None, and only with it")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric. Its function stands in the same file."""

    name: str
    about: About
    """``short``: the heading where it isn't the title; ``citation``; ``protocol``."""
    group: Literal["paired", "distribution", "diversity", "conditioning", "sharpness"]
    """``paired``, ``conditioning`` and ``sharpness`` compare with the test targets, ``distribution`` and ``diversity`` with the train
    targets: the latter two are also measured between real images, which gives the floors."""
    unit: str = ""
    direction: Literal["higher", "lower", "target"]
    """What is better; ``target``: closer to :attr:`target`."""
    target: float | None = None
    bounds: tuple[float | None, float | None] = (None, None)
    judge: Literal["none", "judge", "lpips"] = "none"
    """The network it looks through: none, each of the evaluation's judges, or each of its variants of LPIPS."""
    network: str = ""
    """The name of a network of its own, as ``judges`` in ``metrics.json`` has it."""
    needs: tuple[Need, ...] = ()
    """What it can't be computed without; the first one that isn't met gives the reason."""
    main: bool = False
    """Belongs to the main table, whose columns stand in the order of the registry."""
    main_through_all: bool = False
    """Through every judge, and not only through the one that leads."""
    ranked: bool = True
    """Whether methods are compared by it; not where the value of a random sampler says nothing."""
    canonical: str = ""
    """The name that only Inception-2015 as the judge earns: FID. With any other judge the heading is ``about.heading`` and the judge's."""
    judge_in_heading: bool = False
    """Whether the heading names the judge (PD-EffLite0), since values through different judges are on different scales."""
    scale: float = 1.0
    """Shown times this."""
    decimals: int = 3
    """Shown with at most this many."""
    per_image: Callable[[Block], np.ndarray] | None = None
    """Some test images → one float64 an image, in ``per_image.csv`` and in :attr:`View.columns`; called only where the needs are met."""
    column: str = ""
    """The name of those values, where it isn't the metric's."""
    compute: Callable[[View], Value]
    """Called only where the needs are met."""
    of_parts: Callable[[Parts], list[float]] | None = None
    """G: :meth:`compute`'s values of parts of the images, all at once. Intervals over images need them without each of 20 groups; worth
    writing where most of the work is the same for all parts, such as products among all images. None: each part is computed by itself.
    Called only where every part meets the needs."""

    def __post_init__(self) -> None:
        if (self.direction == "target") != (self.target is not None):
            raise ValueError(f"{self.name}: 'target' goes with direction 'target', and only with it")

    @property
    def column_name(self) -> str:
        return self.column or self.name

    @property
    def has_floor(self) -> bool:
        """Whether it can be said of any set of images beside a set of reals, and so of real images too."""
        alone = self.per_image is None and TARGETS not in self.needs and SAMPLES not in self.needs
        return alone and self.group in ("distribution", "diversity")

    def lacking(self, view: View) -> str:
        """Which need these outputs don't meet, in a reader's words; empty where they meet all."""
        return next((reason for need in self.needs if (reason := need.lacking(view))), "")

    def value(self, view: View) -> Value:
        reason = self.lacking(view)
        return Value(value=None, note=reason) if reason else self.compute(view)

    def values_of_parts(self, parts: Parts) -> list[float | None]:
        if self.of_parts is None or any(self.lacking(part) for part in parts.each()):
            return [self.value(part).value for part in parts.each()]
        return [*self.of_parts(parts)]
