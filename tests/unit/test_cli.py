"""The ``cgm`` command as a user calls it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a failing command prints."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_profile_switches_between_profiles(project: Path) -> None:
    for name in ("smoke", "full", "default"):
        cli.main(["profile", name])
        assert (project / "params.yaml").read_bytes() == (project / f"profiles/{name}.yaml").read_bytes()


def test_profile_keeps_an_edited_experiment(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited = (project / "params.yaml").read_text() + "# mine\n"
    (project / "params.yaml").write_text(edited)
    assert "--force" in fails(capsys, "profile", "smoke")
    assert (project / "params.yaml").read_text() == edited
    cli.main(["profile", "smoke", "--force"])
    assert (project / "params.yaml").read_bytes() == (project / "profiles/smoke.yaml").read_bytes()


def test_unknown_profile_lists_the_known(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = fails(capsys, "profile", "smokee")
    assert "default, full, smoke" in error
    assert (project / "params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()


def test_outside_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert "params.yaml: not found" in fails(capsys, "check")
    assert "profiles/" in fails(capsys, "profile", "smoke")


def test_check_lists_the_runs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["profile", "smoke"])
    capsys.readouterr()
    cli.main(["check"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "openmoji/mae/0"
    assert len(lines) == 25
    assert "24 runs" in lines[-1]


def test_check_names_what_is_wrong(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("  mae: {}", "  maee: {}"))
    error = fails(capsys, "check")
    assert "methods.maee" in error
    assert "'mae'" in error


def test_doctor_looks_at_this_machine(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["doctor"])
    out = capsys.readouterr().out
    for word in ("python", "torch", "snakemake", "dvc", "mlflow", "cores", "disk", "device", "weights     efficientnet-lite0: sha256"):
        assert word in out
