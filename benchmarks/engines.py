"""What Snakemake and DVC cost by themselves: ``python -m benchmarks.engines --runs 10 100 1000 --write``.

Everything is the project's own (``dvc.yaml``, ``Snakefile``, ``profiles/default``, ``pipeline/``, ``cgm/``), in copies below a temporary
folder, except that a stage's job writes small files at once (``benchmarks/stand_in.py``): the engines are measured, not the training.
The entry points keep their code below the stand-in's call, so that fingerprints cover, and imports load, what they really do.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from benchmarks import PAGE, ROOT, copy_checkout, environment, machine, renew_section, stand_in, table
from cgm.errors import UserError
from cgm.params import Yaml
from pipeline.stages import load_table

STAGES = ("fetch", "prepare", "reference", "train", "translate", "evaluate", "track", "report")
FUTURE = "from __future__ import annotations\n"
SHAPES = {10: (1, 1, 5), 100: (1, 5, 10), 1000: (5, 10, 10)}
"""Runs: datasets and methods of each group, paired and unpaired, and seeds."""
STAND_IN = """
if __name__ == "__main__":
    from pipeline import stand_in

    stand_in.main({stage!r}, {outs!r})
    raise SystemExit
"""
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
LIMITS = {"`snakemake -n all`": {10: 4.0, 100: 4.0, 1000: 8.0}, "`dvc status`": {10: 2.0, 100: 5.0, 1000: 40.0}}
CHANGE = (("`snakemake --cores 2 all`", SNAKEMAKE), ("`dvc repro`", (*DVC, "repro")))
CHANGE_LIMITS = {"`snakemake --cores 2 all`": {100: 15.0}, "`dvc repro`": {100: 120.0}}
"""Seconds beyond the jobs' own work."""
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
        shutil.copy2(stand_in.__file__, folder / "pipeline/stand_in.py")
        for stage in STAGES:
            outs = next(template.outs for template in load_table(folder).templates if template.name == stage)
            path = folder / f"pipeline/{stage}.py"
            before, future, after = path.read_text(encoding="utf-8").partition(FUTURE)
            if not future:
                raise UserError(f"pipeline/{stage}.py: no line {FUTURE.strip()!r}, behind which the stand-in goes; put it back")
            path.write_text(before + future + STAND_IN.format(stage=stage, outs=outs) + after, encoding="utf-8")
        self.run("git", "init", "--quiet")
        self.run(sys.executable, "-c", "from pipeline import stand_in; stand_in.write_all()")
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
        """Both engines say that nothing is to be done; the time of it is not counted, so it also warms caches."""
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
    """The default profile with other runs: datasets and variants of two methods, as many paired as unpaired, and seeds."""
    raw: dict[str, Any] = yaml.load((ROOT / "profiles/default.yaml").read_text(encoding="utf-8"), Yaml)
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


def nothing_to_do(project: Project, repeats: int) -> list[list[str]]:
    """Rows: command, runs, stages, median, min–max, repeats, limit, kept."""
    rows = []
    stages = len(load_table(project.folder).stages)
    for name, command, said in NOTHING_TO_DO:
        seconds = [project.run(*command, expected=said).seconds for _ in range(repeats)]
        if jobs := project.jobs():
            raise UserError(f"{name}: ran {len(jobs)} jobs where nothing was to be done, the first {jobs[0][0]!r}; the engines disagree")
        rows.append(
            [name, f"{project.runs}", f"{stages}", *_summary(seconds), f"{repeats}", *_verdict(seconds, LIMITS, name, project.runs)]
        )
        _progress(rows[-1])
    return rows


def one_method_changed(project: Project, repeats: int) -> tuple[list[list[str]], str]:
    """Rows: command, runs, jobs, wall time, time beyond the jobs, its min–max, repeats, limit, kept; and what the jobs were."""
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
        limit = _verdict(beyond, CHANGE_LIMITS, name, project.runs)
        rows.append([name, f"{project.runs}", count, median, *_summary(beyond), f"{repeats}", *limit])
        _progress(rows[-1])
    jobs_of = {", ".join(f"{count} {stage}" for stage, count in sorted(counts.items())) for counts in executed.values()}
    if len(jobs_of) != 1:
        raise UserError(f"one method changed: the engines executed different jobs: {' | '.join(sorted(jobs_of))}")
    return rows, jobs_of.pop()


def imports(project: Project, repeats: int) -> list[list[str]]:
    """Rows: statement, wall seconds, min–max, CPU seconds, what it loads.

    ``project`` has the stages' own modules: the stand-in takes over only where one is the main module.
    """
    statements = ["pass", *(f"import pipeline.{stage}" for stage in ("fingerprint", *STAGES))]
    statements += [f"import {module}" for module in ("torch", "mlflow", "snakemake.cli", "dvc.repo")]
    rows = []
    for statement in statements:
        command = (sys.executable, "-c", f"{statement}\n{LOADED}")
        loaded = project.run(*command).output.strip()  # compiles
        outcomes = [project.run(*command) for _ in range(repeats)]
        walls, cpus = [outcome.seconds for outcome in outcomes], [outcome.cpu for outcome in outcomes]
        wall, span, cpu = f"{statistics.median(walls):.2f}", f"{min(walls):.2f}–{max(walls):.2f}", f"{statistics.median(cpus):.2f}"
        rows.append([f"`{statement}`", wall, span, cpu, loaded])
        _progress(rows[-1])
    return rows


def measure(runs: Sequence[int], changed_at: int, repeats: int) -> str:
    """The section of the page."""
    idle: list[list[str]] = []
    changed: list[list[str]] = []
    jobs = ""
    starts: list[list[str]] = []
    for count in runs:
        with tempfile.TemporaryDirectory(prefix="cgm-engines-") as folder:
            project = Project(Path(folder), count)
            if not starts:
                starts = imports(project, repeats)
            idle += nothing_to_do(project, min(repeats, FEW) if count >= 1000 else repeats)
            if count == changed_at:
                changed, jobs = one_method_changed(project, min(repeats, FEW))
    options = f"--runs {' '.join(map(str, runs))} --change {changed_at} --repeats {repeats}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("snakemake", "dvc", "mlflow", "torch"))
    parts = [
        "## The engines",
        f"{machine()}; Python {sys.version.split()[0]}, {versions}; {datetime.date.today().isoformat()}.\n"
        f"Renewed by `python -m benchmarks.engines {options} --write`.",
        "The engines are measured, not the training: this is the project's own `dvc.yaml`, `Snakefile` and `pipeline/`, in a copy where\n"
        "each stage's job writes a few small files at once. Reading and hashing large outputs is therefore not in these figures.\n"
        "Runs are groups (paired, unpaired) × datasets × methods × seeds, and each has three stages:\n"
        f"{', '.join(f'{count} = {_shape(count)}' for count in runs)}.\n"
        "All times are seconds; the limit holds for the median.",
        "### Nothing to do",
        table(["command", "runs", "stages", "median", "min–max", "repeats", "limit", "kept"], idle),
    ]
    if changed:
        parts += [
            "### One parameter of one method changed",
            f"Both engines executed the same jobs: {jobs}.\n"
            "*Beyond the jobs* is the wall time in which no job was at work; the start of a job's interpreter counts as overhead.",
            table(["command", "runs", "jobs", "wall", "beyond the jobs", "min–max", "repeats", "limit", "kept"], changed),
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


def _summary(seconds: Sequence[float]) -> tuple[str, str]:
    return f"{statistics.median(seconds):.1f}", f"{min(seconds):.1f}–{max(seconds):.1f}"


def _verdict(seconds: Sequence[float], limits: dict[str, dict[int, float]], name: str, runs: int) -> tuple[str, str]:
    limit = limits.get(name, {}).get(runs)
    return ("", "") if limit is None else (f"{limit:g}", "yes" if statistics.median(seconds) <= limit else "**no**")


def _progress(row: Sequence[str]) -> None:
    print(*filter(None, row), sep="  ", file=sys.stderr, flush=True)


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
    parser.add_argument("--write", action="store_true", help=f"renew the section in {PAGE}; otherwise it is printed")
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error(f"--repeats {arguments.repeats}: expected 1 or more")
    try:
        text = measure(arguments.runs, arguments.change, arguments.repeats)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if arguments.write:
        renew_section("engines", text, ROOT / PAGE)
    else:
        print(text)


if __name__ == "__main__":
    main()
