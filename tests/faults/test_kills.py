"""The engine, or with it all of its jobs, killed at random moments: a plain re-run leads to the results of a run that nobody disturbed.

Chains: in an empty folder a run is killed, its re-run is killed later on, and so forth, until one ends by itself and is compared.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from project import Project

from cgm.files import read_json, sha256
from pipeline import agree
from pipeline.stages import load_table

KILLS = 20
KILLS_IN_CHAIN = 5
SEED = 20
COMPARED = ("data/prepared", "data/reference", "results", "reports/results.csv")
OF_THE_CLOCK = {"seconds", "images_per_second", "peak_memory_bytes", "resumed"}
"""Of ``run.json``: what may differ between two runs."""
INTERVAL = 0.02
"""Seconds between two looks at a run."""
TOO_LONG = 3600.0
"""Seconds after which a run is stuck."""

pytestmark = pytest.mark.slow


def many_checkpoints(profile: dict) -> None:
    """Trainings that are more than their imports, and a checkpoint after nearly every step."""
    for dataset in (*profile["datasets"].values(), *profile["unpaired"]["datasets"].values()):
        dataset["kimg"] *= 4
    profile["training"]["checkpoint_seconds"] = 0.02


@dataclass
class Watched:
    """A project whose progress is followed while its engine is at work: how many stages have all of their outputs."""

    project: Project
    finished: list[float] = field(default_factory=list)
    """Seconds from the start of the run until 1, 2, … stages were complete."""

    def __post_init__(self) -> None:
        self.table = load_table(self.project.folder)
        self.waiting = [stage for stage in self.table.stages.values() if stage.kind != "fingerprint"]

    def start(self) -> subprocess.Popen[str]:
        self.process = self.project.start(*self.project.snakemake_command())
        self.started = time.monotonic()
        return self.process

    def look(self) -> float:
        """Bring ``finished`` up to date; the seconds since the start."""
        now = time.monotonic() - self.started
        assert now < TOO_LONG, f"{self.project.folder}: still at work after {now:.0f} s"
        ended = [stage for stage in self.waiting if agree.is_complete(self.table, stage)]
        self.waiting = [stage for stage in self.waiting if stage not in ended]
        self.finished += [now] * len(ended)
        return now


@dataclass(frozen=True, order=True)
class Moment:
    """A time of the undisturbed run, said so that it also means something in a run that goes on from another's files."""

    stages: int
    """So many were complete …"""
    seconds: float
    """… since so long."""


@dataclass
class Undisturbed:
    """The run that all others are compared with."""

    duration: float
    finished: list[float]
    files: dict[str, Any]

    def moment(self, seconds: float) -> Moment:
        stages = bisect_right(self.finished, seconds)
        return Moment(stages, seconds - (self.finished[stages - 1] if stages else 0.0))


def contents(folder: Path) -> dict[str, Any]:
    """Of every compared file its hash; of ``run.json`` what doesn't depend on the clock."""
    paths = [path for name in COMPARED for path in ([folder / name] if (folder / name).is_file() else (folder / name).rglob("*"))]
    found: dict[str, Any] = {}
    for path in paths:
        name = str(path.relative_to(folder))
        if path.name == "run.json":
            found[name] = {key: value for key, value in read_json(path).items() if key not in OF_THE_CLOCK}
        elif path.is_file() and path.name != ".snakemake_timestamp":
            found[name] = sha256(path)
    return found


def moments(undisturbed: Undisturbed, rng: np.random.Generator) -> Iterator[list[Moment]]:
    """Kill times of one chain after the other: uniform over the undisturbed run's duration, in the order of time."""
    while True:
        times = np.sort(rng.uniform(0, undisturbed.duration, KILLS_IN_CHAIN))
        yield [undisturbed.moment(seconds) for seconds in times.tolist()]


def ended_before(watched: Watched, moment: Moment) -> bool:
    """Run on to ``moment``; whether the run had ended by itself until then.

    A re-run that finds as much done already, or more, is killed ``moment.seconds`` after its start: while it still makes its plan, perhaps.
    """
    process = watched.start()
    found = len(watched.finished)
    since = 0.0
    while process.poll() is None:
        before = len(watched.finished)
        now = watched.look()
        if before < moment.stages <= len(watched.finished):
            since = now
        if len(watched.finished) >= moment.stages and now - since >= moment.seconds:
            return False
        time.sleep(INTERVAL)
    assert process.returncode == 0, (found, process.communicate()[0][-4000:])
    return True


def kill(watched: Watched, whole_group: bool) -> list[str]:
    """The engine alone, whose jobs then end by themselves, or everybody at once. Returns the kinds of stages that were at work."""
    at_work = [command.partition("-m pipeline.")[2].split()[0] for command in watched.project.stages_at_work()]
    if whole_group:
        os.killpg(watched.process.pid, signal.SIGKILL)
    watched.project.kill(watched.process)
    if whole_group:
        watched.project.wait_for(lambda: not watched.project.stages_at_work(), "the end of the killed group", 5)
    return at_work or ["the engine alone"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    watched = Watched(Project(tmp_path_factory.mktemp("undisturbed"), many_checkpoints))
    process = watched.start()
    while process.poll() is None:
        duration = watched.look()
        time.sleep(INTERVAL)
    assert process.returncode == 0, process.communicate()[0][-4000:]
    watched.look()
    assert watched.waiting == []
    return Undisturbed(duration, watched.finished, contents(watched.project.folder))


def test_killed_at_random_moments(undisturbed: Undisturbed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chains = moments(undisturbed, np.random.default_rng(SEED))
    kills = chain = resumed = 0
    hit: Counter[str] = Counter()
    while kills < KILLS:
        folder = tmp_path / str(chain)
        folder.mkdir()
        watched = Watched(Project(folder, many_checkpoints))
        for moment in next(chains)[: KILLS - kills]:
            if ended_before(watched, moment):
                break
            at_work = kill(watched, whole_group=kills % 2 == 1)
            kills += 1
            hit.update(set(at_work))
            with capsys.disabled():
                print(f"\nchain {chain + 1}, kill {kills}: {len(watched.finished)} stages complete, at work: {', '.join(sorted(at_work))}")
        last = watched.project.snakemake()
        assert last.code == 0, last.output[-4000:]
        assert contents(folder) == undisturbed.files
        assert not [path for name in ("data", "results", "reports", "build") for path in (folder / name).rglob(".*.tmp*")]
        watched.project.assert_agreed()
        gone_on = sum(read_json(path)["resumed"] > 0 for path in folder.glob("results/*/*/*/run.json"))
        resumed += gone_on
        chain += 1
        with capsys.disabled():
            print(f"\nchain {chain}: the undisturbed run's bytes after {kills} kills so far; {gone_on} runs resumed from a checkpoint")
        shutil.rmtree(folder)
    assert resumed > 0
    with capsys.disabled():
        stages = ", ".join(f"{kind} {count}" for kind, count in hit.most_common())
        print(f"\n{kills} kills in {chain} chains, {resumed} runs resumed from a checkpoint; at work: {stages}")
