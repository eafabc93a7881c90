"""How far a training or an evaluation is: a bar with images/s and time left on a terminal, ten plain lines in a log."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
PATIENCE = 10.0
"""Seconds: of an evaluation's parts that take no longer, nothing is said."""


def evenly_spaced_steps(total: int, count: int) -> set[int]:
    """``count`` steps, evenly spread, the last one being ``total``."""
    return {math.ceil(total * (index + 1) / count) for index in range(count)}


def counted(items: Iterable[T], total: int, name: str, unit: str = "image", patience: float = 0.0) -> Iterator[T]:
    """``items``, with a bar on a terminal and five plain lines in a log, both from ``patience`` seconds on, and with the time to go from
    :data:`PATIENCE` on. Standard error."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=name, unit=unit, delay=patience)
        return
    clock = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        seconds = time.monotonic() - clock
        if done * 5 // total > (done - 1) * 5 // total and seconds >= patience:
            left = f", {seconds / done * (total - done):.0f} s left" if seconds >= PATIENCE and done < total else ""
            print(f"{name}: {done} of {total} {unit}s{left}", file=sys.stderr, flush=True)


@contextmanager
def parts(total: int, label: str, unit: str = "part") -> Iterator[Callable[[], object]]:
    """What to call when one of ``total`` parts of a long work is done, which :func:`counted` shows; silent for an empty label, and within
    :data:`PATIENCE`."""
    if not label:
        yield lambda: None
        return
    items = counted(range(total), total, label, unit, PATIENCE)
    next(items, None)
    yield partial(next, items, None)


def passing(blocks: Iterable[np.ndarray], total: int, label: str) -> Iterator[np.ndarray]:
    """``blocks``, a row an image, as :class:`Progress` shows a pass over ``total`` images; silent for an empty label, and for a pass within
    :data:`PATIENCE`."""
    done = 0
    with Progress(label, total, 0, 1, shown=bool(label), unit="image", patience=PATIENCE) as progress:
        for block in blocks:
            yield block
            done += len(block)
            progress.update(done)


class Progress:
    """``total``, ``start``: in steps of ``batch_size`` images each. ``shown`` is false where another process of the same run talks to the
    user. ``patience``: seconds; of what takes no longer nothing is shown."""

    def __init__(
        self, label: str, total: int, start: int, batch_size: int, shown: bool = True, unit: str = "step", patience: float = 0.0
    ) -> None:
        self._label, self._total, self._start, self._batch = label, total, start, batch_size
        self._done, self._unit, self._patience = start, unit, patience
        self._bar = tqdm(
            total=total * batch_size,
            initial=start * batch_size,
            desc=label,
            unit="img",
            file=sys.stderr,
            disable=None if shown else True,
            mininterval=0.5,
            delay=patience,
        )
        self._lines = evenly_spaced_steps(total, 10) if shown and self._bar.disable else set()
        self._clock = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def update(self, step: int, history: Sequence[dict[str, float]] = ()) -> None:
        """``step``: how many are done. The last row of ``history`` is shown with them."""
        self._bar.update((step - self._done) * self._batch)
        self._done = step
        if due := {line for line in self._lines if line <= step}:
            self._lines -= due
            seconds = time.monotonic() - self._clock
            rate = (step - self._start) * self._batch / seconds
            left = (self._total - step) * self._batch / rate
            if seconds + left < self._patience:
                return
            last = history[-1] if history else {}
            losses = "".join(f" {name} {value:.4g}" for name, value in last.items() if "/" in name)
            print(
                f"{self._label}: {step}/{self._total} {self._unit}s, {rate:.0f} img/s, {left:.0f} s left{losses and ';'}{losses}",
                file=sys.stderr,
                flush=True,
            )

    def __exit__(self, *_: object) -> None:
        self._bar.close()
