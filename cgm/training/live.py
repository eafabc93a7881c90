"""What a training shows of itself while it runs, in a folder that anybody may read:

- ``run.json``: which run it is, how long it is going to be, which process makes it;
- ``history.csv``: the history so far;
- ``progress/``: a grid of the first validation images at each validation, named by the images seen, a row each of inputs, outputs and
  targets, as far as there are any; and ``system.csv``: how fast it went, and what it took of the machine.

Each file is written whole or not at all. The folder outlives a kill, and the run that goes on from its checkpoint goes on here. At the end
``progress/`` is a part of the results. A training doesn't depend on any of this: where the folder can't be written, it says so once and
goes on.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cgm.core.errors import refusal
from cgm.core.files import read_json, remove, replacing, write_json, write_text
from cgm.data.images import contact_sheet
from cgm.training.history import Row, as_csv, history_csv

SYSTEM = ("seconds", "kimg", "images_per_second", "cpu_percent", "memory_bytes", "gpu_memory_bytes")
"""Columns of ``system.csv``. Seconds of training; the speed of the steps alone and the process's share of one core, both since the row
before; memory that the process holds now, and on a GPU what torch holds there. Empty: the system doesn't say."""
GRID = 8
"""Validation images in a grid: the first of the split, which is sorted by id."""
SECONDS_BETWEEN_HISTORIES = 2.0
SECONDS_BETWEEN_SAMPLES = 5.0
STATM = Path("/proc/self/statm")
"""Linux alone has it."""
RECORD, HISTORY, PROGRESS, MACHINE = "run.json", "history.csv", "progress", "system.csv"


class Live:
    """The folder of one training. It is written between steps, by the training itself: no thread takes a core from it."""

    def __init__(self, device: torch.device, folder: Path | None = None, fingerprint: str = "", **about: Any) -> None:
        """``folder``: None where nobody is to look, as in all processes of a run but the first. ``fingerprint``: the checkpoint's; files of
        a training with another one go. ``about``: what else ``run.json`` says."""
        self.folder, self._device, self._fingerprint, self._about = folder, device, fingerprint, about
        self._warned = False
        self._system: list[Mapping[str, object]] = []
        self._shown = 0
        """Rows of the history that stand in the file."""
        self._wrote = self._sampled = time.monotonic()
        self._cpu, self._images = _cpu_seconds(), 0
        self._aside = 0.0
        """Seconds since the last sample that were no steps."""

    def begin(self, images: int, steps: int, batch_size: int) -> None:
        """``images``: seen so far. 0: an empty folder; otherwise what is there of this very training up to there stays. ``steps``: of the
        whole training."""
        self._wrote = self._sampled = time.monotonic()
        self._cpu, self._images, self._aside = _cpu_seconds(), images, 0.0
        if self.folder is None:
            return
        folder = self.folder

        def write() -> None:
            if images and self._mine():
                self._system = [row for row in _rows(folder / PROGRESS / MACHINE) if float(row["kimg"]) <= images / 1000]
                for grid in (folder / PROGRESS).glob("*.png"):
                    if grid.stem.isdecimal() and int(grid.stem) > images:  # it is going to be made again
                        grid.unlink()
            else:
                remove(folder)
            write_json(
                folder / RECORD,
                {
                    **self._about,
                    "fingerprint": self._fingerprint,
                    "steps": steps,
                    "batch_size": batch_size,
                    "kimg": steps * batch_size / 1000,
                    "pid": os.getpid(),
                    "started": datetime.now(UTC).isoformat(timespec="seconds"),
                },
            )

        self._attempt(write)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What happens meanwhile is no step: it doesn't count for the speed."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._aside += time.monotonic() - started

    def show(self, images: int, rows: Sequence[np.ndarray]) -> None:
        """A grid of what the generator makes after so many images. ``rows``: uint8 N×H×W×C each; their first :data:`GRID` are shown."""
        if self.folder is None:
            return
        path = self.folder / PROGRESS / _grid(images)
        sheet = contact_sheet(np.concatenate([row[:GRID] for row in rows]), columns=min(GRID, len(rows[0])))

        def write() -> None:
            with replacing(path, durable=True) as temporary:  # a resumed run counts on it
                sheet.save(temporary)

        self._attempt(write)

    def after_step(self, images: int, seconds: float, history: Sequence[Row], last: bool = False) -> None:
        """Bring the files up to date where it is time to. ``seconds``: of training so far. ``last``: in any case."""
        if self.folder is None:
            return
        folder, now = self.folder, time.monotonic()
        if len(history) > self._shown and (last or now - self._wrote >= SECONDS_BETWEEN_HISTORIES):
            self._attempt(lambda: write_text(folder / HISTORY, history_csv(history)))
            self._shown, self._wrote = len(history), now
        if images > self._images and (last or now - self._sampled >= SECONDS_BETWEEN_SAMPLES):
            self._sample(images, seconds, now)
            self._attempt(lambda: write_text(folder / PROGRESS / MACHINE, as_csv(self._system, SYSTEM)))

    def result(self, target: Path, grids: Sequence[int]) -> list[int]:
        """Make the folder of the results ``target``, whole or not at all. ``grids``: the images seen at each validation.

        Returns those whose grid isn't there, since the folder was lost, or could not be written.
        """
        missing = []
        with replacing(target) as temporary:
            temporary.mkdir()
            write_text(temporary / MACHINE, as_csv(self._system, SYSTEM))
            for images in grids:
                source = self.folder / PROGRESS / _grid(images) if self.folder and self._mine() else None
                if source is not None and source.is_file():
                    shutil.copyfile(source, temporary / source.name)
                else:
                    missing.append(images)
        return missing

    def end(self) -> None:
        """The results are in place: the folder goes."""
        if self.folder is not None:
            folder = self.folder
            self._attempt(lambda: remove(folder))

    def _sample(self, images: int, seconds: float, now: float) -> None:
        cpu, interval = _cpu_seconds(), max(now - self._sampled, 1e-9)
        self._system.append(
            {
                "seconds": round(seconds, 3),
                "kimg": images / 1000,
                "images_per_second": round((images - self._images) / max(interval - self._aside, 1e-9), 3),
                "cpu_percent": round(100 * (cpu - self._cpu) / interval, 1),
                "memory_bytes": _resident_bytes(),
                "gpu_memory_bytes": torch.cuda.memory_reserved(self._device) if self._device.type == "cuda" else None,
            }
        )
        self._sampled, self._cpu, self._images, self._aside = now, cpu, images, 0.0

    def _mine(self) -> bool:
        """Whether what lies in the folder is this training's."""
        try:
            found = read_json(self.folder / RECORD) if self.folder else {}
        except (OSError, ValueError):
            return False
        return isinstance(found, dict) and found.get("fingerprint") == self._fingerprint

    def _attempt(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            if not self._warned:
                reason = refusal(error) or f"{self.folder}: {error.strerror}"
                print(f"warning: {reason}; the training goes on, and what is missing there is missing from its progress", file=sys.stderr)
            self._warned = True


def write_no_progress(target: Path) -> None:
    """In the results of a run that nobody trained here."""
    Live(torch.device("cpu")).result(target, ())


def _grid(images: int) -> str:
    return f"{images:09d}.png"


def _rows(path: Path) -> list[dict[str, str]]:
    """Of ``system.csv``, if it is whole; a machine that lost its power may have left less."""
    found = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))) if path.is_file() else []
    return found if all(tuple(row) == SYSTEM and all(row[name] for name in SYSTEM[:2]) for row in found) else []


def _cpu_seconds() -> float:
    """Of this process, its threads included."""
    spent = os.times()
    return spent.user + spent.system


def _resident_bytes() -> int | None:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if STATM.exists() else None
