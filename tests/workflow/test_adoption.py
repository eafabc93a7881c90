"""Runs that were trained without an engine, as on a bare machine, and come in archives: both engines find them done.

One project has its data only. A copy of it trains, a second one takes in what that made, and a third does everything itself.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from project import LAST, MINIATURE, Project, miniature, stages

from pipeline.archives import KINDS
from pipeline.stage_table import load_table

pytestmark = pytest.mark.slow  # tests/unit/test_adopt.py has each rule by itself

DATASETS = ("openmoji", "fluent-unpaired")
ENGINES_OWN = (".git", ".dvc", ".snakemake", "dvc.lock", "build")
PACK = """
import sys
for name in ("dvc", "snakemake", "mlflow", "psutil", "matplotlib", "jinja2"):
    sys.modules[name] = None  # as where it isn't installed
from cgm.experiment.reading import load_params
from pipeline.archives import Archives
for folder, files in (("whole", 2), ("bare/two/below", 1)):
    print(folder, *(Archives(folder, files=files).add(run) for run in load_params().runs()), sep=", ")
"""
KILLED = """
import os, signal, sys
from pipeline import adopt
def take(self, run, take=adopt.Here.take):
    if list(self.table.root.glob("results/*/*/*/grid.png")):
        os.kill(os.getpid(), signal.SIGKILL)
    return take(self, run)
adopt.Here.take = take
adopt.main(sys.argv[1:])
"""
MODEL = "results/openmoji/pix2pix/0/model.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("data"), miniature)
    outcome = made.run("python", "-m", "snakemake", "--cores", "2", *(f"data/prepared/{name}" for name in DATASETS))
    assert outcome.code == 0, outcome.output[-4000:]
    return made


@pytest.fixture(scope="module")
def elsewhere(data: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Packs the miniature's runs; into ``whole`` with their weights, below ``bare`` without."""
    made = Project.copy(data, tmp_path_factory.mktemp("elsewhere"))
    for name in ENGINES_OWN:
        shutil.rmtree(made.folder / name) if (made.folder / name).is_dir() else (made.folder / name).unlink()
    for stage in load_table(made.folder).in_order():
        if stage.kind in KINDS:
            outcome = made.run("sh", "-c", stage.command)
            assert outcome.code == 0, outcome.output[-4000:]
    packed = made.run("python", "-c", PACK)
    assert packed.output == f"whole{', whole' * len(MINIATURE)}\nbare/two/below{', without weights' * len(MINIATURE)}\n"
    return made


def adopt(project: Project, archives: Path) -> str:
    outcome = project.run("python", "-m", "pipeline.adopt", str(archives))
    assert outcome.code == 0, outcome.output
    return outcome.output


def test_both_engines_find_them_done(data: Project, elsewhere: Project, tmp_path: Path) -> None:
    """Without their weights, from a folder two below, by a call that is killed after the first run and another; then the weights come."""
    project = Project.copy(data, tmp_path / "project")
    assert project.run("python", "-c", KILLED, str(elsewhere.folder / "bare")).code == -signal.SIGKILL
    output = adopt(project, elsewhere.folder / "bare")
    assert output.count("the same results are here already") == 1
    assert output.count("its weights stayed there") == 2
    back = stages("round_trip", of=["unpaired_gan"])
    rest = {f"reference@{DATASETS[0]}", f"reference-unpaired@{DATASETS[1]}", "filters"} | stages("evaluate") | back | LAST
    assert project.snakemake("--dry-run").executed == rest
    outcome = project.snakemake()
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == rest
    project.assert_agreed()
    # A miniature on the same machine: every value is equal to the byte. Times, in run.json, are those of where it was trained.
    whole = Project.copy(data, tmp_path / "whole")
    assert whole.snakemake().code == 0
    assert project.results == whole.results

    translated = project.run("python", "-m", "pipeline.translate", "dataset=openmoji", "method=pix2pix", "seed=0")
    assert translated.code == 2
    assert translated.output.startswith(f"error: {MODEL}: the weights of openmoji/pix2pix/0 were left")
    assert translated.output.count("\n") == 1

    assert adopt(project, elsewhere.folder / "whole").startswith("taken ")
    assert (project.folder / MODEL).read_bytes() == (elsewhere.folder / MODEL).read_bytes()
    outcome = project.snakemake()
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == LAST | back
    assert project.results == whole.results
    project.assert_agreed()
