"""What Snakemake and DVC cost by themselves: ``python -m benchmarks.engines --runs 10 100 1000 --write``.

The project runs in copies below a temporary folder. There the commands of ``dvc.yaml`` call :mod:`benchmarks.stand_in`, which writes a
stage's outputs at once, so that the engines are measured and not the training. Everything else is the project's own.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import stand_in
from benchmarks.checkout import copy_checkout, environment
from benchmarks.page import ROOT, Lines, heading, progress, run_command, spread, table
from cgm.core.errors import UserError
from cgm.core.files import write_json
from cgm.experiment.reading import read_yaml
from pipeline.stage_table import load_table

STAGES = ("fetch", "prepare", "filters", "reference", "train", "translate", "round_trip", "evaluate", "track", "report")
SHAPES = {10: (1, 1, 5), 100: (1, 5, 10), 1000: (5, 10, 10)}
"""Runs: datasets and methods of each group, paired and unpaired, and seeds."""
COMMAND = re.compile(rf"python -m pipeline\.({'|'.join(STAGES)})\b")
"""A stage's command in dvc.yaml; the fingerprints stay the project's own."""
SNAKEMAKE = (sys.executable, "-m", "snakemake", "--cores", "2", "all")
PLAN = (sys.executable, "-m", "snakemake", "--dry-run", "all")
DVC = (sys.executable, "-m", "dvc")
NOTHING_TO_DO = (
    ("`snakemake -n all`", PLAN, "Nothing to be done"),
    ("`snakemake --cores 2 all`", SNAKEMAKE, "Nothing to be done"),
    ("`dvc status`", (*DVC, "status"), "up to date"),
    ("`dvc repro`", (*DVC, "repro"), "up to date"),
)
"""Command, and what it says when there is nothing to do."""
CHANGE = (("`snakemake --cores 2 all`", SNAKEMAKE), ("`dvc repro`", (*DVC, "repro")))
LOADED = "import sys; print(*(name for name in ('torch', 'mlflow', 'dvc', 'snakemake') if name in sys.modules), sep=', ')"
"""Says which of the heavy packages a process has imported."""
FEW = 3
"""At most so many repeats where one takes half a minute or more."""
METHOD = "pix2pix_1"
"""The method whose parameter changes."""


@dataclass
class Outcome:
    seconds: float
    cpu: float
    """Of the command and everything that it started."""
    output: str


class Project:
    """A copy of the project with ``runs`` runs, half of the methods paired and half unpaired, in the state after ``snakemake all``."""

    def __init__(self, folder: Path, runs: int) -> None:
        self.folder, self.runs = folder, runs
        copy_checkout(folder)
        self.params = _params(runs)
        self.write_params()
        table = folder / "dvc.yaml"
        text, count = COMMAND.subn(r"python -m benchmarks.stand_in \1", table.read_text(encoding="utf-8"))
        if count != len(STAGES):
            raise UserError(f"dvc.yaml: found {count} commands of the form 'python -m pipeline.<stage>', expected {len(STAGES)}")
        table.write_text(text, encoding="utf-8")
        write_json(
            folder / stand_in.OUTS, {template.name.removesuffix("-unpaired"): template.outs for template in load_table(folder).templates}
        )
        self.run("git", "init", "--quiet")
        self.run(sys.executable, "-c", "from benchmarks import stand_in; stand_in.write_all()")
        self.check_agreed()

    def write_params(self) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params, sort_keys=False), encoding="utf-8")

    def run(self, *command: str, expected: str = "") -> Outcome:
        """Run to the end.

        Raises :class:`UserError` where the command fails or does not say what is ``expected``.
        """
        cpu, start = _children_cpu(), time.perf_counter()
        done = subprocess.run(
            command, cwd=self.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        seconds = time.perf_counter() - start
        if done.returncode or expected not in done.stdout:
            said = " ".join(done.stdout.split())[-1000:]
            raise UserError(f"{' '.join(command)}: exit code {done.returncode}, expected 0 and {expected!r} in: {said}")
        return Outcome(seconds, _children_cpu() - cpu, done.stdout)

    def check_agreed(self) -> None:
        """Both engines say that nothing is to be done. Not timed: it also fills the caches."""
        for _, command, said in (NOTHING_TO_DO[0], NOTHING_TO_DO[2]):
            self.run(*command, expected=said)

    def change(self, value: float) -> None:
        self.params["methods"][METHOD]["l1_weight"] = value
        self.write_params()

    def jobs(self) -> list[tuple[str, float, float]]:
        """Stage with arguments, start and end of each job since the last call."""
        path = self.folder / stand_in.JOBS
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [(name, float(start), float(end)) for name, start, end in (line.split("\t") for line in lines)]


def _params(runs: int) -> dict[str, Any]:
    """The default experiment with other runs: datasets and variants of two methods, as many paired as unpaired, and seeds."""
    raw: dict[str, Any] = read_yaml(ROOT / "experiments/default.yaml", remedy="run the command in a checkout of the project")
    datasets, methods, seeds = SHAPES[runs]
    raw["compute"]["device"] = "cpu"
    raw["seeds"] = list(range(seeds))
    raw["datasets"] = _entries("openmoji", datasets, source="openmoji", image_size=64, kimg=1.0)
    raw["methods"] = _entries("pix2pix", methods, implementation="pix2pix", l1_weight=100.0)
    raw["unpaired"] = {
        "datasets": _entries("fluent", datasets, source="fluent-unpaired", image_size=64, kimg=1.0),
        "methods": _entries("unpaired_gan", methods, implementation="unpaired_gan", pool_size=50),
    }
    return raw


def _entries(name: str, count: int, **settings: Any) -> dict[str, dict[str, Any]]:
    return {f"{name}_{number}": dict(settings) for number in range(1, count + 1)}


def nothing_to_do(project: Project, repeats: int) -> Lines:
    """Rows: command, runs, stages, median, min–max, repeats."""
    rows = []
    stages = len(load_table(project.folder).stages)
    for name, command, said in NOTHING_TO_DO:
        seconds = [project.run(*command, expected=said).seconds for _ in range(repeats)]
        if jobs := project.jobs():
            raise UserError(f"{name}: ran {len(jobs)} jobs where nothing was to be done, the first {jobs[0][0]!r}; the engines disagree")
        rows.append([name, f"{project.runs}", f"{stages}", *spread(seconds), f"{repeats}"])
        progress(*rows[-1])
    return rows


def one_method_changed(project: Project, repeats: int) -> tuple[Lines, str]:
    """Rows: command, runs, jobs, wall time, time beyond the jobs, its min–max, repeats; and what the jobs were."""
    rows = []
    executed: dict[str, Counter[str]] = {}
    value = 100.0
    for name, command in CHANGE:
        walls, beyond = [], []
        for _ in range(repeats):
            value += 1
            project.change(value)
            wall = project.run(*command).seconds
            jobs = project.jobs()
            executed[name] = Counter(job.split()[0] for job, _, _ in jobs)
            walls.append(wall)
            beyond.append(wall - _at_work([(start, end) for _, start, end in jobs]))
            project.check_agreed()
        count = f"{executed[name].total()}"
        median = f"{statistics.median(walls):.1f}"
        rows.append([name, f"{project.runs}", count, median, *spread(beyond), f"{repeats}"])
        progress(*rows[-1])
    jobs_of = {", ".join(f"{count} {stage}" for stage, count in sorted(counts.items())) for counts in executed.values()}
    if len(jobs_of) != 1:
        raise UserError(f"one method changed: the engines executed different jobs: {' | '.join(sorted(jobs_of))}")
    return rows, jobs_of.pop()


def imports(project: Project, repeats: int) -> Lines:
    """Rows: statement, wall seconds, min–max, CPU seconds, what it loads."""
    statements = ["pass", *(f"import pipeline.{stage}" for stage in ("fingerprint", *STAGES))]
    statements += [f"import {module}" for module in ("torch", "mlflow", "snakemake.cli", "dvc.repo")]
    rows = []
    for statement in statements:
        command = (sys.executable, "-c", f"{statement}\n{LOADED}")
        loaded = project.run(*command).output.strip()  # compiles
        outcomes = [project.run(*command) for _ in range(repeats)]
        walls, cpus = [outcome.seconds for outcome in outcomes], [outcome.cpu for outcome in outcomes]
        rows.append([f"`{statement}`", *spread(walls, 2), f"{statistics.median(cpus):.2f}", loaded])
        progress(*rows[-1])
    return rows


def measure(runs: Sequence[int], changed_at: int, repeats: int) -> str:
    """The section of the page."""
    idle: Lines = []
    changed: Lines = []
    jobs = ""
    starts: Lines = []
    for count in runs:
        with tempfile.TemporaryDirectory(prefix="cgm-engines-") as folder:
            project = Project(Path(folder), count)
            if not starts:
                starts = imports(project, repeats)
            idle += nothing_to_do(project, min(repeats, FEW) if count >= 1000 else repeats)
            if count == changed_at:
                changed, jobs = one_method_changed(project, min(repeats, FEW))
    options = f"--runs {' '.join(map(str, runs))} --change {changed_at} --repeats {repeats}"
    parts = [
        heading("The engines", f"benchmarks.engines {options}", ("snakemake", "dvc", "mlflow", "torch")),
        "The engines are measured, not the training: the project's own `Snakefile`, `pipeline/` and stage table run in a copy where each\n"
        "job only writes a few small files. These figures therefore leave out what it takes to read and hash large outputs.\n"
        "Runs are groups (paired, unpaired) × datasets × methods × seeds, and each has three stages:\n"
        f"{', '.join(f'{count} = {_shape(count)}' for count in runs)}.\n"
        "All times are seconds.",
        "### Nothing to do",
        table(["command", "runs", "stages", "median", "min–max", "repeats"], idle),
    ]
    if changed:
        parts += [
            "### One parameter of one method changed",
            f"Both engines executed the same jobs: {jobs}.\n"
            "*Beyond the jobs* is the wall time in which no job was at work; the start of a job's interpreter counts as overhead.",
            table(["command", "runs", "jobs", "wall", "beyond the jobs", "min–max", "repeats"], changed),
        ]
    parts += [
        "### What a start costs",
        f"A new interpreter; bytecode is compiled, the files are in the system's cache. Median of {repeats}.",
        table(["`python -c`", "wall", "min–max", "CPU", "loads, of the heavy packages"], starts),
    ]
    return "\n\n".join(parts)


def _shape(runs: int) -> str:
    return " × ".join(map(str, (2, *SHAPES[runs])))


def _at_work(intervals: Sequence[tuple[float, float]]) -> float:
    """Seconds in which at least one of ``intervals`` was open."""
    total, until = 0.0, 0.0
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description="Measure what Snakemake and DVC cost by themselves.")
    parser.add_argument("--runs", type=int, nargs="+", choices=SHAPES, default=list(SHAPES), help="sizes of the experiment (default: all)")
    parser.add_argument(
        "--change",
        type=int,
        choices=SHAPES,
        default=100,
        help="the size, if it is among --runs, at which one method changes (default: 100)",
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help=f"of each measurement; at most {FEW} of the slow ones (default: %(default)s)"
    )

    def section(arguments: argparse.Namespace) -> tuple[str, str]:
        if arguments.repeats < 1:
            parser.error(f"--repeats {arguments.repeats}: expected 1 or more")
        return "engines", measure(arguments.runs, arguments.change, arguments.repeats)

    run_command(parser, section)


if __name__ == "__main__":
    main()
