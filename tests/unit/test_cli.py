"""The ``cgm`` command as a user calls it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from cgm import weights
from cgm.params import load_params
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


@pytest.fixture
def mine(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment that looks through vgg16, with ``weights: mine``; the folder's path."""
    text = (project / "params.yaml").read_text()
    text = text.replace("evaluation:\n  judge: efficientnet-lite0", "weights: mine\nevaluation:\n  judge: vgg16")
    (project / "params.yaml").write_text(text)
    (project / "mine").mkdir()
    monkeypatch.setenv("TORCH_HOME", str(project / "torch"))
    monkeypatch.setenv(weights.ENVIRONMENT, "")
    return project / "mine"


def test_weights_are_listed(mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (mine / weights.PUBLISHED["vgg16"].file).write_bytes(b"other")
    (mine / weights.PUBLISHED["alexnet"].file).write_bytes(b"right")
    entry = replace(weights.PUBLISHED["alexnet"], sha256=sha256(b"right").hexdigest())
    monkeypatch.setitem(weights.PUBLISHED, "alexnet", entry)
    cli.main(["weights"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[::2]] == [
        ["vgg16", "wrong", str(mine / weights.PUBLISHED["vgg16"].file)],
        ["alexnet", "verified", str(mine / entry.file)],
        ["inception-2015", "missing", str(mine.parent / "torch/hub/checkpoints" / weights.PUBLISHED["inception-2015"].file)],
    ]
    assert [line.split()[-1] for line in lines[1::2]] == [each.url for each in weights.PUBLISHED.values()]


def test_weights_by_name(mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file = mine / weights.PUBLISHED["alexnet"].file
    file.write_bytes(b"right")
    digest = sha256(b"right").hexdigest()
    monkeypatch.setitem(weights.PUBLISHED, "alexnet", replace(weights.PUBLISHED["alexnet"], sha256=digest))
    cli.main(["weights", "alexnet"])
    assert capsys.readouterr().out == f"alexnet: {file} sha256 {digest}\n"
    assert "expected one of vgg16, alexnet, inception-2015" in fails(capsys, "weights", "alexnet", "vgg19")
    with pytest.raises(SystemExit) as caught:  # nobody answers; what was tried stands before the error
        cli.main(["weights", "vgg16"])
    assert caught.value.code == 2
    assert f"error: {mine.parent / 'torch/hub/checkpoints/vgg16-397923af.pth'}: the weights file is not there" in capsys.readouterr().err


def test_a_weights_folder_that_is_not_there(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.rmdir()
    assert f"params.yaml: weights: found no folder {mine}" in fails(capsys, "weights")


def test_weights_that_an_experiment_needs() -> None:
    assert cli.needed_weights(load_params(ROOT / "profiles/default.yaml")) == []
    assert cli.needed_weights(load_params(ROOT / "profiles/full.yaml")) == ["alexnet", "inception-2015"]


def test_doctor_knows_the_experiments_weights(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["doctor"])
    assert "weights     vgg16: not here; it is downloaded at first use, or now by `cgm weights vgg16`\n" in capsys.readouterr().out
    (mine / weights.PUBLISHED["vgg16"].file).write_bytes(b"other")
    assert "weights of vgg16" in fails(capsys, "doctor")


def test_doctor_looks_at_this_machine(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["doctor"])
    out = capsys.readouterr().out
    for word in ("python", "torch", "snakemake", "dvc", "mlflow", "cores", "disk", "device", "weights     efficientnet-lite0: sha256"):
        assert word in out
