"""What is on disk: finished runs with their fingerprints, and trainings that are going on.

A fingerprint is of what a run is: its settings, data, code and what came of them. How long it took is no part of it, so that a training
that is repeated with the same outcome is the same run.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cgm.core.errors import UserError
from cgm.core.files import read_json, sha256, write_json
from cgm.experiment import paths
from cgm.experiment.params import Params, Run

LIVE = Path("build/live")
"""Here a training writes what it has so far, in ``<dataset>/<method>/<seed>/``; the folder goes when its results are in place."""
PROGRESS = "progress"
"""Below a run's folder: ``<images seen, 9 digits>.png`` and ``system.csv``."""
FILES = ("run.json", "history.csv", "metrics.json", "grid.png", "model.safetensors")
TRAINED = ("run.json", "history.csv", "model.safetensors")
FORMAT = 4
"""Of what is written to MLflow; a new one writes every run anew."""
MEASURED = ("images_per_second", "cpu_percent", "memory_bytes", "gpu_memory_bytes")
"""Of ``system.csv``."""
TIMINGS = ("seconds", "images_per_second")
"""Columns of ``history.csv`` that say how fast it went."""
CACHE = Path("build/tracking.json")
"""Fingerprints by folder, with sizes and times of the files that they are of."""
SILENT_SECONDS = 600.0
"""A training on another machine that has written nothing for so long counts as dead."""
Row = tuple[int, dict[str, float]]
"""Images seen, and what was measured there."""


@dataclass(frozen=True)
class RunOnDisk:
    run: Run
    folder: Path

    began: int
    """When its training began, milliseconds since the epoch."""

    @property
    def group(self) -> str:
        """Its dataset × method."""
        return f"{self.run.dataset}/{self.run.method}"


@dataclass(frozen=True)
class FinishedRun(RunOnDisk):
    """A run that has all of its files."""

    ended: int
    digest: str
    """Its fingerprint."""


@dataclass(frozen=True)
class LiveRun(RunOnDisk):
    """A run that isn't finished: it trains, was killed, or waits for its evaluation."""

    alive: bool
    written: tuple[tuple[str, int, int], ...]
    """Its files with sizes and times: what has changed when they have."""
    record: dict[str, Any]


def finished_runs(params: Params, root: Path = Path()) -> Iterator[FinishedRun]:
    """Runs count once all of their files are there. A file is only read again when its size or time has changed."""
    path = root / CACHE
    try:
        known: dict[str, Any] = read_json(path)
    except (OSError, ValueError):  # whatever stands there, it can be found again
        known = {}
    found: dict[str, Any] = {}
    for run in params.runs():
        folder = root / paths.run_folder(run)
        files = [folder / name for name in FILES]
        try:
            seen = [[state.st_size, state.st_mtime_ns] for state in (file.stat() for file in files)]
        except FileNotFoundError:
            continue
        key = str(run)
        entry = known.get(key)
        if not (isinstance(entry, dict) and entry.get("seen") == seen and entry.get("format") == FORMAT):
            entry = {
                "seen": seen,
                "format": FORMAT,
                "digest": _fingerprint(folder),
                "seconds": read(folder / "run.json").get("seconds") or 0,
            }
        found[key] = entry
        ended = seen[0][1] // 1_000_000
        digest = hashlib.sha256(f"{params.experiment} {entry['digest']}".encode()).hexdigest()
        yield FinishedRun(run, folder, ended - round(entry["seconds"] * 1000), ended, digest)
    if found != known:
        write_json(path, found)


def _fingerprint(folder: Path) -> str:
    record = read(folder / "run.json")
    identity = ("dataset", "method", "seed", "config", "data_sha256", "code_sha256", "status", "reason", "device", "precision", "outputs")
    rows = [
        [step, {name: value for name, value in values.items() if name not in TIMINGS}] for step, values in curves(folder / "history.csv")
    ]
    content = [FORMAT, {key: record.get(key) for key in identity}, read(folder / "metrics.json"), rows]
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(f"{text} {sha256(folder / 'model.safetensors')} {sha256(folder / 'grid.png')}".encode()).hexdigest()


def read(path: Path) -> dict[str, Any]:
    """A JSON object that a stage wrote. Raises :class:`UserError` where it can't be read."""
    try:
        value = read_json(path)
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); run the stage that writes it again") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: found {type(value).__name__}, expected an object; run the stage that writes it again")
    return value


def curves(path: Path) -> list[Row]:
    """Rows of ``history.csv``, whatever columns it has; what is empty or not finite counts as not measured."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return [
                (round(float(row["kimg"]) * 1000), _finite({name: row[name] for name in row if name not in ("kimg", "step")}))
                for row in csv.DictReader(file)
            ]
        except (TypeError, ValueError, KeyError) as error:
            raise UserError(f"{path}: found {error}, expected a number in every cell and a column kimg; run its training again") from None


def system(folder: Path) -> list[tuple[float, int, dict[str, float]]]:
    """Seconds since the training began and images seen; and speed, CPU in percent of a core and memory in bytes since the row before, what
    of them was measured."""
    path = folder / PROGRESS / "system.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return [
                (float(row["seconds"]), round(float(row["kimg"]) * 1000), _finite({name: row.get(name) for name in MEASURED}))
                for row in csv.DictReader(file)
            ]
        except (TypeError, ValueError, KeyError) as error:
            raise UserError(f"{path}: found {error}, expected numbers, and columns seconds and kimg; remove the file") from None


def samples(folder: Path) -> dict[int, Path]:
    """Grids of the same validation images, by images seen."""
    return {int(path.stem): path for path in sorted((folder / PROGRESS).glob("*.png")) if path.stem.isdecimal()}


def _finite(cells: dict[str, Any]) -> dict[str, float]:
    values = {name: float(text) for name, text in cells.items() if text}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def live_runs(params: Params, finished: set[str], root: Path = Path()) -> Iterator[LiveRun]:
    """Of the runs that ``params.yaml`` lists and that aren't finished: those that train, were killed, or are trained and not evaluated."""
    for run in params.runs():
        if str(run) in finished:
            continue
        folder, results = root / LIVE / run.dataset / run.method / str(run.seed), root / paths.run_folder(run)
        if (folder / "run.json").is_file():
            try:
                record = read_json(folder / "run.json")
                written = tuple(sorted(_written(folder)))
            except (OSError, ValueError):  # the training has just ended, and the folder goes
                continue
            yield LiveRun(run, folder, _began(record.get("started"), folder), _alive(record, written), written, record)
        elif all((results / name).is_file() for name in TRAINED):
            record, written = read(results / "run.json"), tuple(sorted(_written(results)))
            ended = (results / "run.json").stat().st_mtime
            yield LiveRun(run, results, round(1000 * (ended - float(record.get("seconds") or 0))), True, written, record)


def _written(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path in (*folder.glob("*"), *(folder / PROGRESS).glob("*")):
        if path.is_file() and not path.name.startswith("."):
            state = path.stat()
            yield path.relative_to(folder).as_posix(), state.st_size, state.st_mtime_ns


def _began(started: Any, folder: Path) -> int:
    """``started`` is a time in ISO's form; where there is none, that of the file."""
    try:
        return round(1000 * datetime.fromisoformat(started).timestamp())
    except (TypeError, ValueError):
        return round(1000 * (folder / "run.json").stat().st_mtime)


def _alive(record: dict[str, Any], written: tuple[tuple[str, int, int], ...]) -> bool:
    """Whether the process that writes the folder lives. Only its own machine can tell; elsewhere it does as long as it writes."""
    if record.get("host", socket.gethostname()) != socket.gethostname():
        return time.time() - max(changed for _, _, changed in written) / 1e9 < SILENT_SECONDS
    try:
        os.kill(int(record["pid"]), 0)
    except (ProcessLookupError, KeyError, TypeError, ValueError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True
