"""How far a training is: a bar with images/s and time left on a terminal, ten plain lines in a log."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def evenly_spaced_steps(total: int, count: int) -> set[int]:
    """``count`` steps, evenly spread, the last one being ``total``."""
    return {math.ceil(total * (index + 1) / count) for index in range(count)}


def counted(items: Iterable[T], total: int, name: str, unit: str = "image") -> Iterator[T]:
    """``items``, while a bar on a terminal, or five plain lines in a log, say how many of the ``total`` are done. Standard error."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=name, unit=unit)
        return
    for done, item in enumerate(items, start=1):
        if done * 5 // total > (done - 1) * 5 // total:
            print(f"{name}: {done} of {total} {unit}s", file=sys.stderr, flush=True)
        yield item


class Progress:
    """``shown`` is false where another process of the same run talks to the user."""

    def __init__(self, label: str, total: int, start: int, batch_size: int, shown: bool = True) -> None:
        self._label, self._total, self._start, self._batch = label, total, start, batch_size
        self._bar = tqdm(
            total=total * batch_size,
            initial=start * batch_size,
            desc=label,
            unit="img",
            file=sys.stderr,
            disable=None if shown else True,
            mininterval=0.5,
        )
        self._lines = evenly_spaced_steps(total, 10) if shown and self._bar.disable else set()
        self._clock = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def update(self, step: int, history: list[dict[str, float]]) -> None:
        self._bar.update(self._batch)
        if step in self._lines:
            rate = (step - self._start) * self._batch / (time.monotonic() - self._clock)
            left = (self._total - step) * self._batch / rate
            last = history[-1] if history else {}
            losses = " ".join(f"{name} {value:.4g}" for name, value in last.items() if "/" in name)
            print(f"{self._label}: {step}/{self._total} steps, {rate:.0f} img/s, {left:.0f} s left; {losses}", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        self._bar.close()
