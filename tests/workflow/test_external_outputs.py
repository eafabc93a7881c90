"""Pictures made elsewhere through both engines: what a changed, a missing and a lost picture runs again."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from project import LAST, Project, pairs_only

from cgm.data.prepared import open_prepared

ENTRY = {"implementation": "external", "outputs": "theirs"}
THEIRS = {f"{kind}@openmoji-theirs-0" for kind in ("train", "translate", "evaluate")} | LAST


def mae_alone(raw: dict) -> None:
    pairs_only(raw)
    raw["methods"] = {"mae": {}}


def rows(project: Project, method: str) -> list[tuple[str, ...]]:
    with (project.folder / "reports/results.csv").open(newline="") as file:
        return [(row["metric"], row["value"], row["status"]) for row in csv.DictReader(file) if row["method"] == method]


@pytest.mark.slow
def test_pictures_made_elsewhere_go_through_both_engines(tmp_path: Path) -> None:
    project = Project(tmp_path, mae_alone)
    assert project.snakemake().code == 0
    pictures = tmp_path / "theirs"
    pictures.mkdir()
    outputs = np.load(tmp_path / "results/openmoji/mae/0/outputs.npy")[0]
    for name, picture in zip(open_prepared(tmp_path / "data/prepared/openmoji").ids("test", "A"), outputs, strict=True):
        Image.fromarray(picture).save(pictures / f"{name}.png")

    # A picture that is missing stops Snakemake before anything starts; `cgm check` says the same.
    project.change("methods.theirs", ENTRY)
    lost = sorted(pictures.iterdir())[3]
    content = lost.read_bytes()
    lost.unlink()
    for outcome in (project.snakemake(), project.run("python", "-m", "pipeline.cli", "check")):
        assert outcome.code != 0
        assert outcome.started == []
        assert f"error: theirs: 1 of 24 pictures are missing: {lost.stem}; expected one a test condition of openmoji" in outcome.output

    lost.write_bytes(content)
    outcome = project.snakemake()
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == THEIRS
    assert rows(project, "theirs") == rows(project, "mae")
    project.assert_agreed()

    # Another content runs this method's stages; a copy with another time, and what a file manager leaves, run none.
    Image.fromarray(255 - outputs[3]).save(lost)
    assert project.run("python", "-m", "pipeline.agreement").code == 0  # as `make repro` does; DVC by itself looks at no such folder
    outcome = project.dvc("repro")
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == THEIRS
    assert rows(project, "theirs") != rows(project, "mae")
    shutil.copy(lost, tmp_path / "copy.png")
    (tmp_path / "copy.png").replace(lost)
    (pictures / ".DS_Store").write_text("left behind")
    project.assert_agreed()

    lost.write_bytes(content)
    outcome = project.snakemake()
    assert outcome.executed == THEIRS
    assert rows(project, "theirs") == rows(project, "mae")
    shutil.rmtree(pictures)  # results outlive their pictures
    project.assert_agreed()
    assert project.run("python", "-m", "pipeline.cli", "check").code == 0
