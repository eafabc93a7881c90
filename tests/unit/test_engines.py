"""Who may touch what while engines are at work or were killed; the agreement itself is tested with the real engines in tests/workflow."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from code_cache import give_code_cache
from snakemake.persistence import FileBackupMixin

from cgm.core.files import read_json, write_json, write_text
from pipeline import agreement
from pipeline.stage_table import Table, load_table

ROOT = Path(__file__).parents[2]
STAMP = "build/stamps/train@openmoji-mae-0.json"


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A project of one run that Snakemake has locked, with jobs under way."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    raw = yaml.safe_load((ROOT / "experiments/smoke.yaml").read_text())
    raw |= {"seeds": [0], "methods": {"mae": {}}, "unpaired": {"datasets": {}, "methods": {}}}
    write_text(tmp_path / "params.yaml", yaml.safe_dump(raw))
    for name in (".dvc/config", "data/embedded/manifest.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in ("cgm", "pipeline"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    give_code_cache(tmp_path)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    lock = tmp_path / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("results/openmoji/mae/0/model.safetensors\n")
    write_json(tmp_path / STAMP, {})
    return tmp_path


def at_work(root: Path, pid: int, started: float, host: str = "") -> None:
    write_json(root / agreement.ENGINES / f"{pid}.json", {"host": host or socket.gethostname(), "pid": pid, "started": started})


def test_nothing_is_touched_while_another_snakemake_is_at_work(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Parameters edited while jobs run, and a second engine started: new stamps would mark what the first one still makes as fresh."""
    parent = psutil.Process(os.getppid())
    at_work(locked, parent.pid, parent.create_time())
    before = {path: path.stat().st_mtime_ns for path in locked.rglob("*") if path.is_file()}
    agreement.before(load_table(locked))
    after = {path: path.stat().st_mtime_ns for path in locked.rglob("*") if path.is_file()}
    assert set(after) - set(before) == {locked / agreement.ENGINES / f"{socket.gethostname()}-{os.getpid()}.json"}
    assert before.items() <= after.items()
    assert read_json(locked / STAMP) == {}
    assert f"at work in this folder already: process {parent.pid}" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["", "another.host"])
def test_a_lock_without_an_owner_is_removed(locked: Path, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A process of this machine that is gone, its number perhaps given to another; what runs elsewhere cannot be seen from here."""
    at_work(locked, os.getppid(), 1.0, host)
    agreement.before(load_table(locked))
    said = capsys.readouterr().err
    if host:
        assert f"on another.host (if it is gone, remove {locked / agreement.ENGINES}" in said
        assert list((locked / agreement.LOCKS).iterdir())
    else:
        assert "an earlier Snakemake was killed here and left its lock; removed" in said
        assert not list((locked / agreement.LOCKS).iterdir())
        assert read_json(locked / STAMP) != {}


def test_an_engine_is_forgotten_when_it_ends(locked: Path) -> None:
    code = "from pipeline import agreement as a, stage_table as s; import os; a.before(s.load_table()); print(*os.listdir(a.ENGINES))"
    done = subprocess.run([sys.executable, "-c", code], cwd=locked, capture_output=True, text=True, check=True)
    assert done.stdout.strip()
    assert not list((locked / agreement.ENGINES).iterdir())


def unlocked(root: Path) -> Table:
    for lock in (root / agreement.LOCKS).iterdir():
        lock.unlink()
    return load_table(root)


def test_what_a_killed_snakemake_kept_of_outputs_goes_before_the_first_job(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take a copy of the report again, and fail because there is one."""
    monkeypatch.chdir(locked)
    table = unlocked(locked)
    left = locked / ".snakemake/backups/reports/index.html"
    write_text(left, "an earlier report")
    write_text(locked / "reports/index.html", "the report")
    agreement.before(table)
    agreement.begin(table)
    snakemakes = FileBackupMixin()
    snakemakes.path = locked / ".snakemake"
    snakemakes.backup_output(Path("reports"))
    assert left.read_text() == "the report"


def test_half_a_list_of_busy_files_is_removed(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DVC writes it in place: killed in that moment, it would run and record nothing any more."""
    table = unlocked(locked)
    busy = locked / ".dvc/tmp/rwlock"
    busy.parent.mkdir()
    busy.write_text('{"write": {}, "read": {"/da')
    agreement.before(table)
    assert f"note: {busy}: an earlier DVC or Snakemake was killed" in capsys.readouterr().err
    assert "fingerprint" in yaml.safe_load((locked / agreement.LOCK).read_text())["stages"]
    assert not any(json.loads(busy.read_text()).values())


def test_what_dvc_knows_is_replaced_as_a_whole(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.dvcfile import Lockfile

    table = unlocked(locked)
    agreement.before(table)
    known = (locked / agreement.LOCK).read_bytes()

    def killed(self: Lockfile, stages: list) -> None:
        Path(self.path).write_bytes(known[: len(known) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Lockfile, "dump_stages", killed)
    with pytest.raises(KeyboardInterrupt):
        agreement._record(table, [])
    assert (locked / agreement.LOCK).read_bytes() == known
    assert not list(locked.glob(".dvc.*.tmp*"))
