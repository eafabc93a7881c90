"""What a number means: every metric's facts beside its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """The facts of one metric; the functions stand in the module of its ``group``."""

    name: str
    title: str
    group: Literal["paired", "distribution", "diversity", "conditioning", "sharpness"]
    unit: str
    """Empty where the number has none."""
    direction: Literal["higher", "lower", "target"]
    """What is better; ``target``: closer to :attr:`target`."""
    target: float | None = None
    bounds: tuple[float | None, float | None] = (None, None)
    judge: Literal["none", "judge", "lpips"] = "none"
    """The network it looks through: none, the evaluation's judge, or LPIPS's own."""
    needs_targets: bool = False
    """Whether each output is compared with its own target (so that unpaired data without hidden pairs has no value)."""
    citation: str
    protocol: str

    def __post_init__(self) -> None:
        if (self.direction == "target") != (self.target is not None):
            raise ValueError(f"{self.name}: 'target' goes with direction 'target', and only with it")
