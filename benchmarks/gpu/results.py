"""The third part: runs of an experiment, as many as the time allows, the longest first, in archives that a checkout can adopt."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.clock import Children, Clock
from benchmarks.page import ROOT, thread_limits
from cgm.core.errors import UserError
from cgm.experiment import paths
from cgm.experiment.params import Run
from pipeline.archives import Archives
from pipeline.stage_table import Stage, load_table

NEEDED = ("cgm", "pipeline", "data/embedded", "dvc.yaml")
"""Of the project: what the stages and their fingerprints read."""
SECONDS_BETWEEN_LOOKS = 0.2
STAGES = ("train", "translate")


@dataclass
class Going:
    """A run that is being made."""

    stage: Stage
    run: Run
    part: int
    """Of :data:`STAGES`."""
    child: subprocess.Popen[str]
    started: float


class Results:
    """Trains in a copy of the project, so that nothing of the checkout's own results is touched."""

    def __init__(self, clock: Clock, until: float, experiment: str, at_once: int, out: Path, work: Path) -> None:
        """``experiment``: a name in ``experiments/``, or a file."""
        self.clock, self.until, self.at_once, self.out = clock, until, at_once, out
        self.folder = work / "project"
        for name in NEEDED:
            copy(ROOT / name, self.folder / name)
        file = ROOT / (experiment if experiment.endswith(".yaml") else f"experiments/{experiment}.yaml")
        copy(file, self.folder / "params.yaml")
        self.table = load_table(self.folder)
        trainings = [stage for stage in self.table.stages.values() if stage.kind == "train"]
        self.waiting = deque(sorted(trainings, key=self.table.priority, reverse=True))
        self.total = len(trainings)
        # The prepared sets that lie here, or were carried here, are of params.yaml.
        self.datasets = list(self.table.params.all_datasets)
        for dataset in self.datasets:
            if file == ROOT / "params.yaml" and (ROOT / paths.prepared(dataset)).is_dir():
                copy(ROOT / paths.prepared(dataset), self.folder / paths.prepared(dataset))

    def prepare(self) -> None:
        """Make the sets that are not there. Raises :class:`UserError` where that fails."""
        for dataset in self.datasets:
            for stage in () if (self.folder / paths.prepared(dataset)).is_dir() else ("fetch", "prepare"):
                made = subprocess.run(
                    [sys.executable, "-m", f"pipeline.{stage}", f"dataset={dataset}"],
                    cwd=self.folder,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if made.returncode:
                    raise UserError(f"{stage} {dataset}: {made.stderr.strip()[-500:]}")

    def make(self) -> None:
        self.prepare()
        archives = Archives(self.out)
        kept: list[tuple[Run, Future[Any]]] = []
        going: list[Going] = []
        seconds_by_weight: list[float] = []
        with Children() as children, ThreadPoolExecutor(1) as packer:  # one writer
            while (self.waiting or going) and self.clock.gone < self.until:
                while self.waiting and len(going) < self.at_once:
                    stage = self.waiting.popleft()
                    expected = max(seconds_by_weight, default=0.0) * self.table.priority(stage)
                    if expected > self.until - self.clock.gone:
                        self.clock.say("run left out", stage.name, f"it would take some {expected:.0f} s")
                        continue
                    going.append(self._start(children, stage, 0))
                for one in [one for one in going if one.child.poll() is not None]:
                    going.remove(one)
                    if one.child.returncode:
                        self.clock.say(
                            "run failed", str(one.run), self._log(one.stage, one.part).read_text(encoding="utf-8").strip()[-500:]
                        )
                    elif one.part + 1 < len(STAGES):
                        going.append(self._start(children, one.stage, one.part + 1))
                        seconds_by_weight.append((time.monotonic() - one.started) / self.table.priority(one.stage))
                    else:
                        kept.append((one.run, packer.submit(archives.add, one.run, self.folder)))
                        self.clock.say("run made", str(one.run))
                time.sleep(SECONDS_BETWEEN_LOOKS)
        how = Counter(packed.result() for _, packed in kept)
        self.clock.say("results", f"{len(kept)} of {self.total} runs", ", ".join(f"{count} {kind}" for kind, count in how.items()))

    def _start(self, children: Children, stage: Stage, part: int) -> Going:
        run = Run(dataset=stage.item["dataset"], method=stage.item["method"], seed=int(stage.item["seed"]))
        command = [sys.executable, "-m", f"pipeline.{STAGES[part]}", *(f"{key}={value}" for key, value in stage.item.items())]
        log = self._log(stage, part)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as output:
            limits = thread_limits(self.table.params.compute.threads)
            child = children.start(command, folder=self.folder, environment=limits, log=output)
        return Going(stage, run, part, child, time.monotonic())

    def _log(self, stage: Stage, part: int) -> Path:
        return self.folder / "build" / f"{STAGES[part]}-{stage.name}.log"


def copy(source: Path, target: Path) -> None:
    """Raises :class:`UserError` where there is nothing to copy."""
    if not source.exists():
        raise UserError(f"{source}: not found; run the command in the project's folder, with a name in experiments/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
