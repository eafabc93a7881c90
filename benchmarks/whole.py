"""The whole benchmark from an empty folder, and where its time goes: ``python -m benchmarks.whole --experiment smoke --cores 2 8 --write``.

For each number of cores the project is copied into an empty folder, where ``snakemake --cores N all`` runs it. ``--keep FOLDER`` leaves the
copy with its results; ``--experiment default --cores 2 --keep …`` takes half an hour.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.checkout import copy_checkout, environment
from benchmarks.page import ROOT, heading, progress, run_command, table
from cgm.core.errors import UserError
from cgm.core.files import read_json, sha256
from pipeline.stage_command import TIMINGS
from pipeline.stage_table import Table, cores, load_table

STARTED = re.compile(r"^Job (\d+): (.+)$")
FINISHED = re.compile(r"^Finished jobid: (\d+) ")
STEPS = re.compile(r"^\d+ of \d+ steps .* done$")
COMPUTING = ("reference", "train", "translate", "evaluate")
"""Stages that run torch, one job to ``compute.threads`` cores."""
PURE = ("train", "evaluate")
"""Stages whose own work is the computation that the wall time is compared with."""
LAST_LINES = 40
"""Shown of a Snakemake that fails."""
BUSY = 0.1
"""Share of the processor that others may use before the figures are doubtful."""


@dataclass(frozen=True)
class Job:
    """A job as Snakemake announced its start and its end, in seconds since the command began."""

    name: str
    """Stage and arguments: ``train openmoji mae 0``."""
    start: float
    end: float
    own: float | None = None
    """Seconds of the stage's own work, without interpreter and imports; ``None`` where the stage notes none."""

    @property
    def kind(self) -> str:
        return self.name.split()[0].removesuffix("-unpaired")

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Whole:
    """One run of everything."""

    cores: int
    at_once: int
    """Computing jobs that can be at work at once: the cores there are, ÷ threads of a job."""
    wall: float
    jobs: list[Job]
    results: str
    """SHA-256 of ``reports/results.csv``."""
    in_use: float
    """Share of the processor that others used just before."""

    @property
    def pure(self) -> float:
        """Seconds of the own work of trainings and evaluations, summed."""
        return sum(job.own or 0.0 for job in self.jobs if job.kind in PURE)

    @property
    def over_pure(self) -> float:
        return self.wall / (self.pure / self.at_once)


def breakdown(jobs: Sequence[Job], wall: float, at_once: int) -> dict[str, float]:
    """Seconds of the wall time by what they went into; their sum is ``wall``.

    At each instant the time is divided among ``at_once`` places (more where more jobs are at work): a job takes one of them, ``prepare``,
    which works in processes, all. A place that no job takes is idle: in the *tail* after the last instant at which computing jobs took all
    places and before the last of them ended.
    """
    parts: Counter[str] = Counter()
    computing = [job for job in jobs if job.kind in COMPUTING]
    computed = max((job.end for job in computing), default=0.0)
    bounds = sorted({0.0, wall, *(time for job in jobs for time in (job.start, job.end))})
    spans = [(begin, end, [job for job in jobs if job.start <= begin and end <= job.end]) for begin, end in pairwise(bounds)]
    full = max((end for _, end, present in spans if sum(job in computing for job in present) >= at_once), default=0.0)
    for begin, end, present in spans:
        taken = {job: at_once if job.kind == "prepare" else 1 for job in present}
        places = max(at_once, sum(taken.values()))
        for job, count in taken.items():
            share = (end - begin) * count / places
            own = 1.0 if job.own is None or not job.seconds else min(1.0, job.own / job.seconds)
            parts[job.kind] += share * own
            parts[f"start of {job.kind}"] += share * (1 - own)
        idle = (end - begin) * (places - sum(taken.values())) / places
        if not present:
            ahead, behind = (any(job.start >= end for job in jobs), any(job.end <= begin for job in jobs))
            parts[
                "engine between jobs" if ahead and behind else "engine before the first job" if ahead else "engine after the last job"
            ] += idle
        elif begin >= computed:
            parts["idle beside track or report"] += idle
        else:
            parts["tail" if begin >= full else "idle between jobs"] += idle
    return dict(parts)


def run(folder: Path, experiment: str, count: int) -> Whole:
    """Copy the project into ``folder`` and run ``experiment`` there with ``--cores count``.

    Raises :class:`UserError` where Snakemake fails.
    """
    copy_checkout(folder)
    shutil.copy2(folder / f"experiments/{experiment}.yaml", folder / "params.yaml")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    stages = load_table(folder)
    in_use = psutil.cpu_percent(interval=2) / 100
    if in_use > BUSY:
        progress(f"note: others use {in_use:.0%} of the processor; the times will not be this project's own")
    running: dict[str, tuple[str, float]] = {}
    jobs: list[Job] = []
    last: deque[str] = deque(maxlen=LAST_LINES)
    command = [sys.executable, "-m", "snakemake", "--cores", str(count), "all"]
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            now = time.perf_counter() - start
            last.append(line)
            if started := STARTED.match(line):
                running[started[1]] = started[2], now
            elif (finished := FINISHED.match(line)) and finished[1] in running:
                name, began = running.pop(finished[1])
                jobs.append(Job(name, began, now, _own_seconds(folder, name)))
            elif STEPS.match(line):
                progress(f"--cores {count}: {now:.0f} s, {line.strip()}")
    wall = time.perf_counter() - start
    if process.returncode:
        raise UserError(f"{' '.join(command)}: exit code {process.returncode}, expected 0; its last lines:\n{''.join(last)}")
    # Snakemake announces the target like a job.
    jobs = [job for job in jobs if not job.name.startswith("all of")]
    return Whole(count, at_once(stages, count), wall, jobs, sha256(folder / "reports/results.csv"), in_use)


def at_once(stages: Table, count: int) -> int:
    """Computing jobs at once with ``--cores count`` on this machine: as many as threads fit its cores, one where they want its GPU."""
    if any(stages.gpus(stage) for stage in stages.stages.values()):
        return 1
    return max(1, min(count, cores()) // stages.params.compute.threads)


def _own_seconds(folder: Path, name: str) -> float | None:
    stage, *values = name.split()
    path = folder / TIMINGS.joinpath(stage.removesuffix("-unpaired"), *values).with_suffix(".json")
    return float(read_json(path)["seconds"]) if path.exists() else None


def section(experiment: str, runs: Sequence[Whole]) -> str:
    """The section of the page."""
    first = runs[0]
    options = f"--experiment {experiment} --cores {' '.join(str(whole.cores) for whole in runs)}"
    rows = [
        [
            f"{whole.cores}", f"{whole.at_once}", f"{whole.wall:.0f}", "" if whole is first else f"{whole.wall / first.wall:.2f}",
            f"{whole.pure:.0f}", f"{whole.over_pure:.2f}", f"`{whole.results[:16]}`",
        ]
        for whole in runs
    ]  # fmt: skip
    same = "the same bytes" if len({whole.results for whole in runs}) == 1 else "**not the same bytes**"
    parts = {whole.cores: breakdown(whole.jobs, whole.wall, whole.at_once) for whole in runs}
    head = ["cores", "jobs at once", "wall", f"÷ {first.cores} cores", "train + evaluate", "wall ÷ (that ÷ at once)", "`results.csv`"]
    return "\n\n".join(
        [
            heading(f"The whole benchmark, experiment {experiment}", f"benchmarks.whole {options}", ("snakemake", "torch")),
            "`snakemake --cores N all` in a fresh copy in an empty folder: data, trainings, evaluation, MLflow, report. One run each; all\n"
            "times are seconds. *train + evaluate* sums the stages' own work, without interpreter and imports; the column after it\n"
            "would be 1.00 if all cores did nothing but that work from start to end.\n"
            f"Others used {' and '.join(f'{whole.in_use:.0%}' for whole in runs)} of the processor just before."
            + (f" `results.csv` are {same}." if len(runs) > 1 else ""),
            table(head, rows),
            "### Where the time goes",
            "Seconds of the wall time, shared among the jobs that can be at work at once; a column's sum is its wall time.\n"
            "*Start*: interpreter, imports and the engine's part of a job. *Tail*: cores without a job while the last computing jobs end.",
            table(["part", *(f"--cores {whole.cores}" for whole in runs)], _rows(parts, runs)),
            f"### What a job takes, with --cores {first.cores}",
            "Medians of seconds, from Snakemake's announcement of the start to that of the end.",
            table(["stage", "jobs", "job", "own work", "start"], _kinds(first.jobs)),
        ]
    )


def _rows(parts: Mapping[int, Mapping[str, float]], runs: Sequence[Whole]) -> list[list[str]]:
    names = list(dict.fromkeys(name for each in parts.values() for name in each))
    names = [name for name in names if any(each.get(name, 0.0) >= 0.05 for each in parts.values())]
    names.sort(key=lambda name: -parts[runs[0].cores].get(name, 0.0))
    return [[name, *(f"{parts[whole.cores].get(name, 0.0):.1f}" for whole in runs)] for name in names]


def _kinds(jobs: Sequence[Job]) -> list[list[str]]:
    rows = []
    for kind in dict.fromkeys(job.kind for job in sorted(jobs, key=lambda job: job.start)):
        chosen = [job for job in jobs if job.kind == kind]
        noted = [job.own for job in chosen if job.own is not None]
        whole = statistics.median(job.seconds for job in chosen)
        own = [f"{statistics.median(noted):.1f}", f"{whole - statistics.median(noted):.1f}"] if noted else ["", ""]
        rows.append([kind, f"{len(chosen)}", f"{whole:.1f}", *own])
    return rows


def measure(experiment: str, counts: Sequence[int], keep: Path | None) -> str:
    runs = []
    for count in counts:
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            runs.append(run(keep, experiment, count))
        else:
            with tempfile.TemporaryDirectory(prefix="cgm-whole-") as folder:
                runs.append(run(Path(folder), experiment, count))
    return section(experiment, runs)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole", description="Measure the whole benchmark from an empty folder.")
    experiments = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))
    parser.add_argument("--experiment", choices=experiments, default="smoke", help="of experiments/ (default: %(default)s)")
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 8], help="of Snakemake, one run each (default: 2 8)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="run here, an empty folder, and leave it; for one number of cores")

    def checked(arguments: argparse.Namespace) -> tuple[str, str]:
        counts, keep = arguments.cores, arguments.keep
        if min(counts) < 1 or len(set(counts)) < len(counts):
            parser.error(f"--cores {' '.join(map(str, counts))}: expected different numbers from 1 on")
        if keep is not None and len(counts) > 1:
            parser.error(f"--keep {keep}: one folder holds one run; give one number to --cores")
        if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            parser.error(f"--keep {keep}: is there and not an empty folder; name another one")
        return f"whole {arguments.experiment}", measure(arguments.experiment, counts, keep)

    run_command(parser, checked)


if __name__ == "__main__":
    main()
