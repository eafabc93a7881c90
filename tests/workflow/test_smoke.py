"""The smoke experiment with one seed through the real Snakefile, dvc.yaml and stages: one project, used by the tests in their order."""

from __future__ import annotations

import csv
import math
import shutil
from collections import Counter
from pathlib import Path

import pytest
from project import Outcome, Project

from cgm.core.files import read_json
from cgm.experiment import paths
from cgm.experiment.reading import load_params
from pipeline.stage_table import load_table

LAMBDA = "methods.pix2pix.l1_weight"


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
    def one_seed(raw: dict) -> None:
        raw["seeds"] = [0]

    return Project(tmp_path_factory.mktemp("project"), one_seed)


@pytest.fixture(scope="module")
def first(project: Project) -> Outcome:
    outcome = project.snakemake()
    assert outcome.code == 0, outcome.output[-4000:]
    return outcome


def test_every_run_has_its_rows(project: Project, first: Outcome) -> None:
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
    stages = table.jobs()
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
        record = read_json(project.folder / paths.run_folder(run) / "run.json")
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
        ("methods.pix2pixx", {"l1_weight": 100.0}, "methods.pix2pixx"),  # by a registry
        ("training.batch_size", "eight", "training.batch_size"),  # by a field
        ("networks.patchgan.layers", 6, "networks.patchgan.layers"),  # by what no single field can know
    ],
)
def test_bad_parameters_are_one_line_before_anything_starts(
    project: Project, first: Outcome, key: str, value: object, expected: str
) -> None:
    good, results = project.params.read_text(), project.results
    try:
        project.change(key, value)
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
    project.change(LAMBDA, 1.0)
    outcome = project.snakemake(cores=8)
    assert outcome.code == 0, outcome.output[-4000:]
    runs = [f"{kind} openmoji pix2pix 0" for kind in ("train", "translate", "evaluate")]
    assert sorted(outcome.started) == sorted(["all of params.yaml is done", "report", "track", *runs])
    assert outcome.most_at_once <= load_table(project.folder).compute_slots()
    assert "up to date" in project.dvc("status").output
    changed = set(before) ^ set(project.results.decode().splitlines())
    assert changed
    assert all(row.startswith("openmoji,pix2pix,") for row in changed)


def test_a_lost_run_is_made_again_bit_for_bit(project: Project, first: Outcome) -> None:
    before = project.results
    shutil.rmtree(project.folder / "results/openmoji/pix2pix/0")
    outcome = project.snakemake(cores=1)
    assert outcome.code == 0, outcome.output[-4000:]
    assert sum(name.startswith("train") for name in outcome.started) == 1
    assert project.results == before


def test_a_corrupted_archive_stops_everything_before_it_starts(tmp_path: Path) -> None:
    fresh = Project(tmp_path)
    archive = fresh.folder / "data/embedded/openmoji-paired-v1.tar.xz"
    archive.write_bytes(archive.read_bytes()[:-1] + b"\0")
    outcome = fresh.snakemake()
    assert "openmoji-paired-v1.tar.xz: found SHA-256" in the_error(outcome)
    assert not (fresh.folder / "data/raw").exists()
    assert not (fresh.folder / "results").exists()
