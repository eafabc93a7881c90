"""What the agreement of the engines leaves alone; what it does is tested with the real engines in tests/workflow."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline import agree
from pipeline.stages import load_table

ROOT = Path(__file__).parents[2]


def test_nothing_is_touched_while_another_snakemake_is_at_work(tmp_path: Path) -> None:
    """Parameters edited while jobs run, and a second engine started: its stamps must not vouch for what the first one still makes."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copy(ROOT / "profiles/smoke.yaml", tmp_path / "params.yaml")
    lock = tmp_path / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("results/openmoji/mae/0/model.safetensors\n")
    stamp = tmp_path / "build/stamps/train@openmoji-mae-0.json"
    stamp.parent.mkdir(parents=True)
    stamp.write_text("{}")
    agree.begin(load_table(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    agree.before(load_table(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert stamp.read_text() == "{}"
