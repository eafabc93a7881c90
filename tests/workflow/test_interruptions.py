"""Runs that fail and engines that are stopped: the rest is done, the report says what is missing, and the next call makes up for it.

One project with two runs, used by the tests in their order.
"""

from __future__ import annotations

import csv
import signal
import sys
from pathlib import Path

import pytest
from project import ENGINES, Project, miniature, stages, whole_run

from cgm.files import read_json

METHODS = ("mae", "pix2pix")


def pairs_only(profile: dict) -> None:
    miniature(profile)
    profile["unpaired"] = {"datasets": {}, "methods": {}}


def one_long_training(profile: dict) -> None:
    pairs_only(profile)
    profile["methods"] = {"mae": {}}
    profile["datasets"]["openmoji"]["kimg"] = 8.0
    profile["training"]["checkpoint_seconds"] = 0.1


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Made by DVC."""
    made = Project(tmp_path_factory.mktemp("project"), pairs_only)
    outcome = made.dvc("repro")
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == {f"{kind}@openmoji" for kind in ("fetch", "prepare", "reference")} | whole_run(*METHODS)
    made.assert_agreed()
    return made


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failing_run_takes_no_other_down(project: Project, engine: str) -> None:
    """All train anew; one cannot put its checkpoint away. The others end well, and the report comes with that run marked."""
    project.edit("training.learning_rate", 0.0004 if engine == "dvc" else 0.0006)
    log = "build/logs/train/openmoji/pix2pix/0.log"
    in_the_way = project.folder / "build/checkpoints/openmoji/pix2pix/0/state.pt"
    in_the_way.mkdir(parents=True)
    if engine == "dvc":
        outcome = project.dvc("repro", "--keep-going")
        assert project.run("python", "-m", "pipeline.partial").code == 0
    else:
        outcome = project.snakemake()
        assert log in outcome.output
    assert outcome.code != 0
    assert "IsADirectoryError" in outcome.output
    assert outcome.executed == stages("train", of=METHODS) | stages("translate", "evaluate", of=("mae",))
    with (project.folder / "reports/results.csv").open(newline="") as file:
        statuses = {(row["method"], row["status"]) for row in csv.DictReader(file)}
    assert ("pix2pix", "failed" if engine == "snakemake" else "missing") in statuses
    assert ("mae", "ok") in statuses
    assert ("pix2pix", "ok") not in statuses
    assert (log in (project.folder / "reports/index.html").read_text()) == (engine == "snakemake")

    in_the_way.rmdir()
    outcome = project.execute(engine)
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == whole_run("pix2pix")
    project.assert_agreed()


@pytest.mark.parametrize(
    ("engine", "number", "second"),
    [
        ("snakemake", signal.SIGKILL, "snakemake"),
        ("snakemake", signal.SIGKILL, "dvc"),
        ("snakemake", signal.SIGINT, "snakemake"),
        ("dvc", signal.SIGKILL, "snakemake"),
    ],
)
def test_a_killed_engine(tmp_path: Path, engine: str, number: signal.Signals, second: str) -> None:
    """Its jobs end with it; the next call of either engine finishes the work, without a word about locks from the user."""
    project = Project(tmp_path, one_long_training)
    process = project.start(*(project.snakemake_command() if engine == "snakemake" else [sys.executable, "-m", "dvc", "repro"]))
    checkpoint = project.folder / "build/checkpoints/openmoji/mae/0/state.pt"
    project.wait_for(checkpoint.exists, "a checkpoint of mae")
    output = project.kill(process, number)
    project.wait_for(lambda: not project.stages_at_work(), "the end of the jobs", 20)
    assert process.returncode != 0, output
    assert not (project.folder / "results/openmoji/mae/0/model.safetensors").exists()
    assert not list(project.folder.glob("results/**/.*.tmp*"))

    if second == "dvc":  # what a killed Snakemake had finished is not in DVC's record yet
        assert project.run("python", "-m", "pipeline.agree").code == 0
    outcome = project.execute(second)
    assert outcome.code == 0, outcome.output[-4000:]
    assert whole_run("mae") <= outcome.executed <= whole_run("mae") | {"reference@openmoji"}  # which may have been at work too
    assert read_json(project.folder / "results/openmoji/mae/0/run.json")["resumed"] == 1
    project.assert_agreed()
