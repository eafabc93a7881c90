"""The smoke profile through the real Snakefile, dvc.yaml and stages, as a user runs it: one project, used by the tests in their order."""

from __future__ import annotations

import csv
import math
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from cgm.config import Yaml, load_params
from cgm.files import read_json
from pipeline.stages import load_table

ROOT = Path(__file__).parents[2]
JOB = re.compile(r"^Job (\d+): (\w[\w-]*)(.*)$")
FINISHED = re.compile(r"^Finished jobid: (\d+) ")
LAMBDA = "methods.pix2pix.l1_weight"
COMPUTING = ("reference", "train", "translate", "evaluate")


@dataclass
class Outcome:
    """What a command printed, and the jobs that Snakemake ran for it."""

    code: int
    output: str
    started: list[str] = field(default_factory=list)
    most_at_once: int = 0
    """Computing jobs between their start and their end."""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout.split("\0")
        for name in filter(None, listed):
            if (ROOT / name).is_file() and not name.startswith("reports/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        shutil.copy(folder / "profiles/smoke.yaml", self.params)
        (folder / "dvc.lock").unlink(missing_ok=True)
        self.run("git", "init", "--quiet")

    @property
    def params(self) -> Path:
        return self.folder / "params.yaml"

    @property
    def results(self) -> bytes:
        return (self.folder / "reports/results.csv").read_bytes()

    def run(self, *command: str) -> Outcome:
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        # Hundreds of jobs import the same modules; nothing here shall time the compiler.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        done = subprocess.run(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return self._read(done.returncode, done.stdout)

    def snakemake(self, *arguments: str, cores: int = 2) -> Outcome:
        return self.run(sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments, "--", "all")

    def dvc(self, *arguments: str) -> Outcome:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def edit(self, key: str, value: object) -> None:
        """Set one value of params.yaml, by its dotted name."""
        raw = yaml.load(self.params.read_text(), Yaml)
        *parents, last = key.split(".")
        place = raw
        for parent in parents:
            place = place[parent]
        place[last] = value
        self.params.write_text(yaml.safe_dump(raw, sort_keys=False))

    @staticmethod
    def _read(code: int, output: str) -> Outcome:
        outcome = Outcome(code, output)
        running: set[str] = set()
        for line in output.splitlines():
            if job := JOB.match(line):
                outcome.started.append(job[2].removesuffix("-unpaired") + job[3])
                if job[2].removesuffix("-unpaired") in COMPUTING:
                    running.add(job[1])
                    outcome.most_at_once = max(outcome.most_at_once, len(running))
            elif done := FINISHED.match(line):
                running.discard(done[1])
        return outcome


def the_error(outcome: Outcome) -> str:
    """The one line of an invocation that started nothing."""
    assert outcome.code != 0
    assert outcome.started == []
    lines = [line for line in outcome.output.splitlines() if not line.startswith("Using workflow specific profile")]
    assert len(lines) == 1, outcome.output
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def first(project: Project) -> Outcome:
    outcome = project.snakemake()
    assert outcome.code == 0, outcome.output[-4000:]
    return outcome


def test_every_run_of_the_profile_has_its_rows(project: Project, first: Outcome) -> None:
    params = load_params(project.params)
    with (project.folder / "reports/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["dataset", "method", "seed", "metric", "judge", "value", "n_real", "n_fake", "status"]
    metrics = Counter((row["dataset"], row["method"], row["seed"]) for row in rows)
    for run in params.runs():
        assert metrics[run.dataset, run.method, str(run.seed)] >= 10
    for dataset in params.all_datasets:
        references = ["baseline:copy_input", "baseline:mean_image", "floor:real"]
        references += ["baseline:nearest_neighbour"] if params.is_paired(dataset) else []
        assert {row["method"] for row in rows if row["dataset"] == dataset} >= set(references)
    # What a metric cannot give (no weights for LPIPS, one sample only) is said to be unmeasured; it is never NaN.
    assert {row["status"] for row in rows} <= {"ok", "not_measured"}
    assert all(math.isfinite(float(row["value"])) == (row["status"] == "ok") for row in rows if row["value"] or row["status"] == "ok")
    assert {row["metric"] for row in rows if row["value"]} >= {"mae", "ssim", "pd", "kid", "fid", "recall", "coverage", "retrieval"}


def test_every_stage_left_its_outputs_and_its_log(project: Project, first: Outcome) -> None:
    table = load_table(project.folder)
    stages = [stage for stage in table.stages.values() if stage.kind != "fingerprint"]
    assert len(first.started) == len(stages) + 1  # and the target itself
    for stage in stages:
        assert all((project.folder / out).exists() for out in stage.outs), stage.name
        assert project.folder.joinpath("build/logs", stage.template, *stage.item.values()).with_suffix(".log").exists(), stage.name
    leftovers = [path for folder in ("data", "results", "reports", "build") for path in (project.folder / folder).rglob(".*.tmp*")]
    assert leftovers == []


def test_jobs_at_once_and_threads_fit_the_machine(project: Project, first: Outcome) -> None:
    table = load_table(project.folder)
    assert 1 <= first.most_at_once <= table.compute_slots()
    for run in table.params.runs():
        record = read_json(project.folder / "results" / run.dataset / run.method / str(run.seed) / "run.json")
        assert record["threads"] == table.params.compute.threads


def test_mlflow_holds_every_run(project: Project, first: Outcome) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("cgm-smoke")
    assert experiment is not None
    names = {run.data.tags["cgm.name"] for run in client.search_runs([experiment.experiment_id], max_results=1000)}
    runs = {str(run) for run in load_params(project.params).runs()}
    assert names == runs | {name.rpartition("/")[0] for name in runs}


def test_a_second_run_has_nothing_to_do(project: Project, first: Outcome) -> None:
    before = project.results
    again = project.snakemake(cores=8)
    assert again.code == 0
    assert "Nothing to be done" in again.output
    assert again.started == []
    status = project.dvc("status")
    assert status.code == 0
    assert "up to date" in status.output, status.output
    assert project.results == before


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("methods.pix2pixx", {"l1_weight": 100.0}, "methods.pix2pixx"),
        ("datasets.openmoji.source", "openmojis", "datasets.openmoji.source"),
        ("datasets.openmoji.image_size", 48, "datasets.openmoji.image_size"),
        ("training.learning_rate", -0.0002, "training.learning_rate"),
        ("training.batch_size", "eight", "training.batch_size"),
        ("training.flipp", True, "training.flipp"),
        ("networks.patchgan.layers", 6, "networks.patchgan.layers"),
    ],
)
def test_bad_parameters_are_one_line_before_anything_starts(
    project: Project, first: Outcome, key: str, value: object, expected: str
) -> None:
    good, results = project.params.read_text(), project.results
    try:
        project.edit(key, value)
        outcome = project.snakemake()
    finally:
        project.params.write_text(good)
    assert expected in the_error(outcome)
    assert project.results == results


def test_broken_yaml_is_one_line(project: Project, first: Outcome) -> None:
    good = project.params.read_text()
    try:
        project.params.write_text(good + "seeds: [0, 1\n")
        outcome = project.snakemake()
    finally:
        project.params.write_text(good)
    assert "params.yaml: not valid YAML" in the_error(outcome)


def test_one_parameter_reruns_its_own_runs_only(project: Project, first: Outcome) -> None:
    before = project.results.decode().splitlines()
    project.edit(LAMBDA, 1.0)
    outcome = project.snakemake(cores=8)
    assert outcome.code == 0, outcome.output[-4000:]
    runs = [f"{kind} openmoji pix2pix {seed}" for kind in ("train", "translate", "evaluate") for seed in (0, 1)]
    assert sorted(outcome.started) == sorted(["all of params.yaml is done", "report", "track", *runs])
    assert outcome.most_at_once <= load_table(project.folder).compute_slots()
    assert "up to date" in project.dvc("status").output
    changed = set(before) ^ set(project.results.decode().splitlines())
    assert changed
    assert all(row.startswith("openmoji,pix2pix,") for row in changed)


def test_dvc_goes_back_and_snakemake_agrees(project: Project, first: Outcome) -> None:
    lock = project.folder / "dvc.lock"
    old = lock.read_bytes()
    project.edit(LAMBDA, 100.0)
    assert project.dvc("repro").code == 0
    assert "up to date" in project.dvc("status").output
    again = project.snakemake()
    assert "Nothing to be done" in again.output, again.output[-4000:]

    # The other experiment's parameters and lock come back without its files, as with `git checkout` alone: every time looks right.
    new = lock.read_bytes()
    lock.write_bytes(old)
    project.edit(LAMBDA, 1.0)
    assert "train openmoji pix2pix 0" in project.snakemake("--dry-run").started
    lock.write_bytes(new)
    project.edit(LAMBDA, 100.0)
    assert "Nothing to be done" in project.snakemake("--dry-run").output


def test_a_lost_run_is_made_again_bit_for_bit(project: Project, first: Outcome) -> None:
    before = project.results
    shutil.rmtree(project.folder / "results/openmoji/pix2pix/1")
    outcome = project.snakemake(cores=1)
    assert outcome.code == 0, outcome.output[-4000:]
    assert sum(name.startswith("train") for name in outcome.started) == 1
    assert project.results == before


def test_a_failing_run_takes_no_other_down(project: Project, first: Outcome) -> None:
    """A training that cannot remove its checkpoint fails; the rest of what a change touches is done, and its log is named and shown."""
    project.edit(LAMBDA, 2.0)
    in_the_way = project.folder / "build/checkpoints/openmoji/pix2pix/0/state.pt"
    in_the_way.mkdir(parents=True)
    outcome = project.snakemake()
    assert outcome.code != 0
    assert "build/logs/train/openmoji/pix2pix/0.log" in outcome.output
    assert "IsADirectoryError" in outcome.output
    assert not (project.folder / "results/openmoji/pix2pix/0/model.safetensors").exists()
    assert "evaluate openmoji pix2pix 1" in outcome.started
    assert (project.folder / "results/openmoji/pix2pix/1/metrics.json").exists()
    assert (project.folder / "reports/results.csv").exists()

    in_the_way.rmdir()
    resumed = project.snakemake()
    assert resumed.code == 0, resumed.output[-4000:]
    assert not [name for name in resumed.started if name.endswith("pix2pix 1")]
    assert "up to date" in project.dvc("status").output


def test_a_corrupted_archive_stops_everything_before_it_starts(tmp_path: Path) -> None:
    fresh = Project(tmp_path)
    archive = fresh.folder / "data/embedded/openmoji-paired-v1.tar.xz"
    archive.write_bytes(archive.read_bytes()[:-1] + b"\0")
    outcome = fresh.snakemake()
    assert "openmoji-paired-v1.tar.xz: found SHA-256" in the_error(outcome)
    assert not (fresh.folder / "data/raw").exists()
    assert not (fresh.folder / "results").exists()
