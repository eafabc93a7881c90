"""The engine, or all of its jobs with it, killed while each kind of stage is at work: a re-run leads to the undisturbed run's bytes.

In an empty folder a run is killed at the first moment that comes, its re-run at the next, and so forth until one ends by itself. What it
leaves is compared with what a run leaves that nobody disturbed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from project import Project, pairs_only

from cgm.core.files import read_json, sha256
from pipeline import agreement
from pipeline.stage_table import load_table

PLAN, RECORD = "the plan", "the record"
"""The engine before its first job, and after its last one, when it writes down for DVC what was made."""
KINDS = (PLAN, "fetch", "prepare", "weights", "filters", "reference", "train", "translate", "evaluate", "track", "report", RECORD)
ROUNDS = {0.2: 0, 0.4: 3, 0.6: 6, 0.8: 9}
"""How much of a stage's time has passed when it is killed, a round each; and how many kills of the round precede that of the plan."""
FOLDERS = 5
"""That a round may take."""
EARLIER = 0.7
"""A moment that did not come, since its stage ended sooner than the undisturbed run's, comes by so much earlier in the next folder."""
COMPARED = ("data/prepared", "data/reference", "results", "reports/results.csv")
OF_THE_CLOCK = {"seconds", "images_per_second", "peak_memory_bytes", "resumed"}
"""Of ``run.json``: what may differ between two runs."""
INTERVAL = 0.03
"""Seconds between two looks at a run."""
TOO_LONG = 900.0
"""Seconds after which a run is stuck."""

pytestmark = pytest.mark.slow


def many_checkpoints(raw: dict) -> None:
    """Two trainings that are more than their imports, and a checkpoint after nearly every step."""
    pairs_only(raw)
    raw["datasets"]["openmoji"]["kimg"] = 1.6
    raw["training"]["checkpoint_seconds"] = 0.02


@dataclass(frozen=True)
class Moment:
    kind: str
    occurrence: int
    """Which stage of the kind it is, in the order in which they start."""
    share: float
    """Of the time that the undisturbed run's stage took."""
    whole_group: bool
    """Whether the jobs are killed together with the engine; otherwise they notice and end by themselves."""

    @property
    def resumes(self) -> bool:
        """A training killed this late has left a checkpoint, from which it goes on."""
        return self.kind == "train" and self.share > 0.5


@dataclass
class Span:
    """When a stage, the plan or the record began, and when it was last seen."""

    first: float
    last: float

    @property
    def seconds(self) -> float:
        return self.last - self.first


@dataclass
class Watched:
    """One run of Snakemake, followed by looking at its processes."""

    project: Project
    spans: dict[str, Span] = field(default_factory=dict)
    """By a stage's command (``train dataset=… method=… seed=…``), or :data:`PLAN` and :data:`RECORD`."""

    def __post_init__(self) -> None:
        self.table = load_table(self.project.folder)
        self.others = set(self.project.stages_at_work())  # of the engine before, if they still end
        self.process: subprocess.Popen[str] = self.project.start(*self.project.snakemake_command())
        self.started = time.monotonic()

    def looks(self) -> Iterator[float]:
        """Bring :attr:`spans` up to date again and again until the run ends; seconds since the start."""
        while self.process.poll() is None:
            now = time.monotonic() - self.started
            assert now < TOO_LONG, f"{self.project.folder}: still at work after {now:.0f} s"
            at_work = [command for process, command in self.project.stages_at_work().items() if process not in self.others]
            if not at_work and not self._stages():
                at_work = [PLAN]
            elif not at_work and all(agreement.is_complete(self.table, stage) for stage in self.table.jobs()):
                at_work = [RECORD]
            for name in at_work:
                self.spans.setdefault(name, Span(0.0 if name == PLAN else now, now)).last = now
            yield now
            time.sleep(INTERVAL)

    def _stages(self) -> list[str]:
        return [name for name in self.spans if name not in (PLAN, RECORD)]

    def first_of(self, moments: Iterable[Moment], seconds: Mapping[str, float]) -> Moment | None:
        """Run on to one of the moments; None where the run ended by itself before. ``seconds``: what a stage of each kind takes."""
        for now in self.looks():
            for moment in moments:
                spans = [span for name, span in self.spans.items() if kind_of(name) == moment.kind][moment.occurrence - 1 :]
                at_work = bool(spans) and spans[0].last == now and spans[0].seconds >= moment.share * seconds[moment.kind]
                if at_work and (not moment.resumes or any(self.project.folder.glob("build/checkpoints/*/*/*/state.pt"))):
                    return moment
        assert self.process.returncode == 0, self.process.communicate()[0][-4000:]
        return None

    def kill(self, whole_group: bool) -> None:
        if whole_group:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.project.kill(self.process)


@dataclass
class Undisturbed:
    """The run that all others are compared with."""

    seconds: dict[str, float]
    """By kind, what its shortest stage took."""
    files: dict[str, Any]


def contents(folder: Path) -> dict[str, Any]:
    """Of every compared file its hash; of ``run.json`` what doesn't depend on the clock, and nothing of ``system.csv``."""
    paths = [path for name in COMPARED for path in ([folder / name] if (folder / name).is_file() else (folder / name).rglob("*"))]
    found: dict[str, Any] = {}
    for path in paths:
        name = str(path.relative_to(folder))
        if path.name == "run.json":
            found[name] = {key: value for key, value in read_json(path).items() if key not in OF_THE_CLOCK}
        elif path.is_file() and path.name not in (".snakemake_timestamp", "system.csv"):
            found[name] = sha256(path)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    watched = Watched(Project(tmp_path_factory.mktemp("undisturbed"), many_checkpoints))
    assert watched.first_of([], {}) is None
    seconds: dict[str, float] = {}
    for name, span in watched.spans.items():
        seconds[kind_of(name)] = min(span.seconds, seconds.get(kind_of(name), span.seconds))
    assert seconds.keys() == set(KINDS)
    seconds[RECORD] *= 0.7  # a re-run makes fewer stages, and records fewer
    return Undisturbed(seconds, contents(watched.project.folder))


def kind_of(name: str) -> str:
    return name if name in (PLAN, RECORD) else name.split()[0]


def moments(share: float) -> list[Moment]:
    """Of one round: each kind once, its engine killed alone in every second round."""
    number = list(ROUNDS).index(share)
    return [Moment(kind, 1 + number % 2 if kind == "train" else 1, share, (place + number) % 2 == 1) for place, kind in enumerate(KINDS)]


@pytest.mark.parametrize("share", ROUNDS)
def test_killed_while_each_kind_of_stage_is_at_work(
    undisturbed: Undisturbed, share: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n{share:.0%}: {text}", end="")

    waiting, kills, resumed = moments(share), 0, 0
    for number in range(FOLDERS):
        folder = tmp_path / str(number)
        folder.mkdir()
        project = Project(folder, many_checkpoints)
        while True:
            watched = Watched(project)
            due = [moment for moment in waiting if moment.kind != PLAN or kills >= ROUNDS[share] or len(waiting) == 1]
            moment = watched.first_of(due, {kind: value * EARLIER**number for kind, value in undisturbed.seconds.items()})
            if moment is None:
                break
            watched.kill(moment.whole_group)
            waiting.remove(moment)
            kills += 1
            say(f"folder {number}, kill {kills}: {moment.kind}, {'all at once' if moment.whole_group else 'the engine alone'}")
        assert contents(folder) == undisturbed.files
        assert not [path for name in ("data", "results", "reports", "build") for path in (folder / name).rglob(".*.tmp*")]
        project.assert_agreed()
        resumed += sum(read_json(path)["resumed"] > 0 for path in folder.glob("results/*/*/*/run.json"))
        shutil.rmtree(folder)
        say(f"folder {number}: the undisturbed run's bytes, and both engines agree")
        if not waiting:
            break
    assert waiting == []
    assert resumed or not any(moment.resumes for moment in moments(share))
    say(f"{resumed} trainings went on from a checkpoint")
