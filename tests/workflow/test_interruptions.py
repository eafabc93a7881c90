"""Runs that fail and engines that are stopped: the rest is done, the report says what is missing, and the next call makes up for it.

One project with two runs, used by the tests in their order.
"""

from __future__ import annotations

import csv
import signal
import sys
from pathlib import Path

import pytest
from project import Project, pairs_only, stages, whole_run

from cgm.core.files import read_json
from pipeline import agreement

METHODS = ("mae", "pix2pix")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("project"), pairs_only)
    outcome = made.snakemake()
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == {f"{kind}@openmoji" for kind in ("fetch", "prepare", "reference")} | {"weights", "filters"} | whole_run(
        *METHODS
    )
    made.assert_agreed()
    return made


@pytest.mark.parametrize("engine", ["snakemake", pytest.param("dvc", marks=pytest.mark.slow)])
def test_a_failing_run_takes_no_other_down(project: Project, engine: str) -> None:
    """All train anew; one cannot put its checkpoint away. The others end well, and the report comes with that run marked."""
    project.change("training.learning_rate", 0.0004 if engine == "dvc" else 0.0006)
    log = "build/logs/train/openmoji/pix2pix/0.log"
    in_the_way = project.folder / "build/checkpoints/openmoji/pix2pix/0/state.pt"
    in_the_way.mkdir(parents=True)
    if engine == "dvc":
        outcome = project.dvc("repro", "--keep-going")
        assert project.run("python", "-m", "pipeline.partial_report").code == 0
    else:
        outcome = project.snakemake()
        assert log in outcome.output
    assert outcome.code != 0
    assert "IsADirectoryError" in outcome.output, outcome.output[-4000:]
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
        pytest.param("snakemake", signal.SIGKILL, "snakemake", marks=pytest.mark.slow),
        ("snakemake", signal.SIGKILL, "dvc"),
        pytest.param("snakemake", signal.SIGINT, "snakemake", marks=pytest.mark.slow),
        pytest.param("dvc", signal.SIGKILL, "snakemake", marks=pytest.mark.slow),
    ],
)
def test_a_killed_engine(project: Project, tmp_path: Path, engine: str, number: signal.Signals, second: str) -> None:
    """Its jobs end with it; the next call of either engine finishes the work, without a word about locks from the user."""
    long = Project.copy(project, tmp_path)
    long.change("methods", {"mae": {}})
    long.change("datasets.openmoji.kimg", 4.0)
    long.change("training.checkpoint_seconds", 0.1)
    process = long.start(*(long.snakemake_command() if engine == "snakemake" else [sys.executable, "-m", "dvc", "repro"]))
    checkpoint = long.folder / "build/checkpoints/openmoji/mae/0/state.pt"
    long.wait_for(checkpoint.exists, "a checkpoint of mae")
    output = long.kill(process, number)
    long.wait_for(lambda: not long.stages_at_work(), "the end of the jobs", 20)
    assert process.returncode != 0, output
    assert not (long.folder / "results/openmoji/mae/0/model.safetensors").exists()
    assert not list(long.folder.glob("results/**/.*.tmp*"))

    if second == "dvc":  # what a killed Snakemake had finished is not in DVC's record yet
        assert long.run("python", "-m", "pipeline.agreement").code == 0
    outcome = long.execute(second)
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == whole_run("mae")
    assert read_json(long.folder / "results/openmoji/mae/0/run.json")["resumed"] == 1
    long.assert_agreed()


def test_a_kill_while_the_report_is_written(project: Project, tmp_path: Path) -> None:
    """Snakemake has made a copy of the old report then, which it never comes to remove."""
    killed = Project.copy(project, tmp_path)
    with (killed.folder / "cgm/report/templates/style.css").open("a") as file:
        file.write("\nem { top: 1px; }\n")
    process = killed.start(*killed.snakemake_command())
    killed.wait_for(lambda: "report" in killed.stages_at_work().values(), "the report's stage")
    killed.kill(process)
    killed.wait_for(lambda: not killed.stages_at_work(), "its end", 20)
    assert (killed.folder / agreement.BACKUPS / "reports/index.html").exists()

    outcome = killed.snakemake()
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == {"report", "track"}
    assert not (killed.folder / agreement.BACKUPS / "reports").exists()
    killed.assert_agreed()
