"""A method of the user's own goes from its file to a row of the table; one that fails takes no other down; both engines see an edit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from project import Project, pairs_only

BROKEN = """from examples.charbonnier import Charbonnier


class Broken(Charbonnier):
    def step(self, batch, update):
        return {"loss": batch.z}
"""
SMALL = "examples/relativistic.py:Relativistic"


def rows(project: Project) -> dict[str, str]:
    with (project.folder / "reports/results.csv").open(encoding="utf-8", newline="") as file:
        return {row["method"]: row["status"] for row in csv.DictReader(file)}


@pytest.mark.slow
def test_a_method_of_ones_own(tmp_path: Path) -> None:
    project = Project(tmp_path, pairs_only)
    project.change("methods.pix2pix", None)
    project.change("methods.charbonnier", {"implementation": "examples/charbonnier.py:Charbonnier", "epsilon": 0.01})
    project.change("methods.relativistic", {"implementation": SMALL, "sizes": {"width": 8, "depth": 2}})
    project.change("methods.broken", {"implementation": "my_losses/broken.py:Broken"})
    (tmp_path / "my_losses").mkdir()
    (tmp_path / "my_losses/broken.py").write_text(BROKEN, encoding="utf-8")
    outcome = project.snakemake()
    assert outcome.code != 0
    log = (tmp_path / "build/logs/train/openmoji/broken/0.log").read_text(encoding="utf-8")
    assert "error: my_losses/broken.py:6: in step: AttributeError: 'Batch' object has no attribute 'z' (CGM_TRACEBACK=1 before" in log
    assert "Traceback" not in log
    page = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    assert {name for name, status in rows(project).items() if status == "ok"} >= {"mae", "charbonnier", "relativistic"}
    for words in ("Charbonnier loss (charbonnier)", "Relativistic GAN + L1 (relativistic)", "E√((y − G(x))² + ε²)"):
        assert words in page

    project.change("methods.broken", None)
    assert project.snakemake().code == 0
    project.assert_agreed()

    file = tmp_path / "examples/charbonnier.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("        return {}", "        return {}  # nothing else"), encoding="utf-8")
    assert project.snakemake("--dry-run").executed == set()
    file.write_text(text.replace(".sqrt().mean()", ".sqrt().sum()"), encoding="utf-8")
    changed = {f"{stage}@openmoji-charbonnier-0" for stage in ("train", "translate", "evaluate")}
    seen = project.snakemake("--dry-run").executed
    assert changed <= seen
    assert not any("mae" in name or "relativistic" in name for name in seen)
    outcome = project.dvc("repro")  # the Snakemake before it has written the fingerprints, as `make repro` does
    assert outcome.code == 0, outcome.output[-3000:]
    assert changed <= outcome.executed
    assert not any("mae" in name or "relativistic" in name for name in outcome.executed)
    project.assert_agreed()
