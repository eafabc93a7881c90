"""A copy of the project in an empty folder, driven as a user drives it: through the commands."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from code_cache import give_code_cache

from cgm.experiment.reading import read_yaml

ROOT = Path(__file__).parents[2]
JOB = re.compile(r"^Job (\d+): (\w[\w-]*)(.*)$")
FINISHED = re.compile(r"^Finished jobid: (\d+) ")
STAGE = re.compile(r" -m (?:pipeline\.forks )?pipeline\.(\w+(?: \w+=[\w-]+)*)")
RUNNING = re.compile(r"^Running stage '([^']+)':$", re.MULTILINE)
COMPUTING = {name for name, entry in read_yaml(ROOT / "dvc.yaml", remedy="")["stages"].items() if entry.get("meta", {}).get("computes")}


@dataclass
class Outcome:
    """What a command printed, and the jobs that Snakemake ran for it."""

    code: int
    output: str
    started: list[str] = field(default_factory=list)
    most_at_once: int = 0
    """Computing jobs between their start and their end."""

    @property
    def executed(self) -> set[str]:
        """Stages that either engine ran, by DVC's names; without the fingerprints, which Snakemake takes while it reads the Snakefile."""
        jobs = [job.split() for job in self.started if not job.startswith("all of")]
        names = ["@".join([name, "-".join(values)]) if values else name for name, *values in jobs]
        assert len(names) == len(set(names)), names
        return {*names, *RUNNING.findall(self.output)} - {"fingerprint"}


LAMBDA = "methods.pix2pix.l1_weight"
ENGINES = ("snakemake", "dvc")
LAST = {"track", "report"}
MINIATURE = {"mae": "openmoji-mae-0", "pix2pix": "openmoji-pix2pix-0", "unpaired_gan": "fluent-unpaired-unpaired_gan-0"}


def stages(*kinds: str, of: Iterable[str] = MINIATURE) -> set[str]:
    """DVC's names of these kinds of stages for these methods of the miniature."""
    return {
        f"{kind}-unpaired@{MINIATURE[method]}" if method == "unpaired_gan" else f"{kind}@{MINIATURE[method]}"
        for kind in kinds
        for method in of
    }


def whole_run(*methods: str) -> set[str]:
    """What a change of these methods runs."""
    unpaired = [method for method in methods if method == "unpaired_gan"]
    return stages("train", "translate", "evaluate", of=methods) | stages("round_trip", of=unpaired) | LAST


def miniature(raw: dict) -> None:
    """Three runs of two steps each: two methods on pairs and one without."""
    raw["seeds"] = [0]
    raw["methods"] = {name: raw["methods"][name] for name in ("mae", "pix2pix")}
    raw["unpaired"]["methods"] = {"unpaired_gan": raw["unpaired"]["methods"]["unpaired_gan"]}
    for dataset in (*raw["datasets"].values(), *raw["unpaired"]["datasets"].values()):
        dataset |= {"kimg": 0.016, "limit": 24}


def pairs_only(raw: dict) -> None:
    """Two of the miniature's runs."""
    miniature(raw)
    raw["unpaired"] = {"datasets": {}, "methods": {}}


class Project:
    """``edit`` changes the smoke experiment before it becomes the copy's ``params.yaml``."""

    def __init__(self, folder: Path, edit: Callable[[dict], None] | None = None, source: Path = ROOT) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"], cwd=source, capture_output=True, check=True, text=True
        ).stdout.split("\0")
        for name in filter(None, listed):
            if (source / name).is_file() and not name.startswith("reports/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, folder / name)
        (folder / "dvc.lock").unlink(missing_ok=True)
        if source == ROOT:
            raw = read_yaml(folder / "experiments/smoke.yaml", remedy="")
            if edit:
                edit(raw)
            self.params.write_text(yaml.safe_dump(raw, sort_keys=False))
        give_code_cache(folder)
        self.git("init", "--quiet", "--initial-branch=main")

    @classmethod
    def copy(cls, project: Project, folder: Path) -> Project:
        """A finished project with everything in it, times included: neither engine has anything to do there."""
        made = cls.__new__(cls)
        made.folder = folder
        shutil.copytree(project.folder, folder, symlinks=True, dirs_exist_ok=True)
        return made

    @property
    def params(self) -> Path:
        return self.folder / "params.yaml"

    @property
    def results(self) -> bytes:
        return (self.folder / "reports/results.csv").read_bytes()

    def start(self, *command: str) -> subprocess.Popen[str]:
        """In a process group of its own, as in a terminal."""
        # DVC runs its commands through $SHELL; not every shell leaves its place to the last command by itself, as bash does.
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "SHELL": "/bin/sh"}
        # Hundreds of jobs import the same modules; nothing here shall time the compiler.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Tests that a shell started in the background ignore Ctrl-C, and so would all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *command: str) -> Outcome:
        process = self.start(*command)
        output, _ = process.communicate()
        return self.read(process.returncode, output)

    def snakemake(self, *arguments: str, cores: int = 2) -> Outcome:
        return self.run(*self.snakemake_command(*arguments, cores=cores))

    @staticmethod
    def snakemake_command(*arguments: str, cores: int = 2) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments, "--", "all"]

    def dvc(self, *arguments: str) -> Outcome:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def execute(self, engine: str) -> Outcome:
        return self.snakemake() if engine == "snakemake" else self.dvc("repro")

    def assert_agreed(self) -> None:
        """Neither engine has anything to do."""
        again = self.snakemake("--dry-run")
        assert "Nothing to be done" in again.output, again.output[-4000:]
        assert again.executed == set()
        status = self.dvc("status")
        assert "up to date" in status.output, status.output

    def git(self, *arguments: str) -> Outcome:
        outcome = self.run("git", "-c", "user.name=cgm", "-c", "user.email=cgm@localhost", *arguments)
        assert outcome.code == 0, outcome.output
        return outcome

    def change(self, key: str, value: object) -> None:
        """Set one value of params.yaml, by its dotted name; ``None`` takes it out."""
        raw = read_yaml(self.params, remedy="")
        *parents, last = key.split(".")
        place = raw
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
        self.params.write_text(yaml.safe_dump(raw, sort_keys=False))

    @staticmethod
    def read(code: int, output: str) -> Outcome:
        outcome = Outcome(code, output)
        running: set[str] = set()
        for line in output.splitlines():
            if job := JOB.match(line):
                outcome.started.append(job[2] + job[3])
                if job[2] in COMPUTING:
                    running.add(job[1])
                    outcome.most_at_once = max(outcome.most_at_once, len(running))
            elif done := FINISHED.match(line):
                running.discard(done[1])
        return outcome

    def stages_at_work(self) -> dict[int, str]:
        """The stages that are at work in this folder: process → ``train dataset=openmoji method=mae seed=0``."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink() == self.folder.resolve():
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if stage := STAGE.search(command):
                        found[int(process.name)] = stage[1]
            except OSError:  # ended meanwhile
                continue
        return found

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
            time.sleep(0.1)

    @staticmethod
    def kill(process: subprocess.Popen[str], number: signal.Signals = signal.SIGKILL) -> str:
        """The engine alone, or everybody as Ctrl-C does; returns what was printed."""
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        output, _ = process.communicate()
        return output
