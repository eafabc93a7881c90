"""The ``cgm`` command as a user calls it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from conftest import publish

from cgm.experiment.reading import load_params
from cgm.networks.fixed import weights
from pipeline import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
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


def test_experiment_switches_between_experiments(project: Path) -> None:
    for name in ("smoke", "full", "losses", "default"):
        cli.main(["experiment", name])
        assert (project / "params.yaml").read_bytes() == (project / f"experiments/{name}.yaml").read_bytes()


def test_experiment_keeps_an_edited_experiment(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited = (project / "params.yaml").read_text() + "# mine\n"
    (project / "params.yaml").write_text(edited)
    assert "--force" in fails(capsys, "experiment", "smoke")
    assert (project / "params.yaml").read_text() == edited
    cli.main(["experiment", "smoke", "--force"])
    assert (project / "params.yaml").read_bytes() == (project / "experiments/smoke.yaml").read_bytes()


def test_an_unknown_experiment_lists_the_known(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = fails(capsys, "experiment", "smokee")
    assert "ablations, budget, canonical, colourings, default, full, losses, smoke" in error
    assert (project / "params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()


def test_outside_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert "params.yaml: not found" in fails(capsys, "check")
    assert "experiments/" in fails(capsys, "experiment", "smoke")


def test_check_lists_the_runs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["experiment", "smoke"])
    assert "data/embedded/manifest.json: not found; restore it" in fails(capsys, "check")
    (project / "data").mkdir()
    (project / "data/embedded").symlink_to(ROOT / "data/embedded")
    capsys.readouterr()
    cli.main(["check"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "openmoji/mae/0"
    assert len(lines) == 29
    assert "28 runs" in lines[-1]


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
    text = text.replace("evaluation:\n  judges: [efficientnet-lite0", "weights: mine\nevaluation:\n  judges: [vgg16")
    (project / "params.yaml").write_text(text)
    (project / "mine").mkdir()
    publish(monkeypatch, "vgg16")
    monkeypatch.setenv("TORCH_HOME", str(project / "torch"))
    monkeypatch.setenv(weights.ENVIRONMENT, "")
    return project / "mine"


def test_weights_are_listed(mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (mine / weights.entry("vgg16").file).write_bytes(b"other")
    (mine / weights.entry("alexnet").file).write_bytes(b"right")
    entry = publish(monkeypatch, "alexnet", sha256=sha256(b"right").hexdigest())
    cli.main(["weights"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[::2]] == [
        ["vgg16", "wrong", str(mine / weights.entry("vgg16").file)],
        ["inception-2015", "missing", str(mine.parent / "torch/hub/checkpoints" / weights.entry("inception-2015").file)],
        ["alexnet", "verified", str(mine / entry.file)],
        ["squeezenet", "missing", str(mine.parent / "torch/hub/checkpoints" / weights.entry("squeezenet").file)],
    ]
    assert [line.split()[-1] for line in lines[1::2]] == [weights.entry(name).url for name in weights.published()]


def test_weights_by_name(mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file = mine / weights.entry("alexnet").file
    file.write_bytes(b"right")
    digest = sha256(b"right").hexdigest()
    publish(monkeypatch, "alexnet", sha256=digest)
    cli.main(["weights", "alexnet"])
    assert capsys.readouterr().out == f"alexnet: {file} sha256 {digest}\n"
    assert "expected one of vgg16, inception-2015, alexnet, squeezenet" in fails(capsys, "weights", "alexnet", "vgg19")
    with pytest.raises(SystemExit) as caught:  # nobody answers; what was tried stands before the error
        cli.main(["weights", "vgg16"])
    assert caught.value.code == 2
    assert f"error: {mine.parent / 'torch/hub/checkpoints/vgg16-397923af.pth'}: the weights file is not there" in capsys.readouterr().err


def test_a_weights_folder_that_is_not_there(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.rmdir()
    assert f"params.yaml: weights: found no folder {mine}" in fails(capsys, "weights")


def test_weights_that_an_experiment_needs() -> None:
    assert cli.needed_weights(load_params(ROOT / "experiments/default.yaml")) == ["inception-2015", "alexnet"]
    assert cli.needed_weights(load_params(ROOT / "experiments/losses.yaml")) == ["inception-2015", "alexnet"]
    assert cli.needed_weights(load_params(ROOT / "experiments/full.yaml")) == ["vgg16", "inception-2015", "alexnet"]
    assert cli.needed_weights(load_params(ROOT / "experiments/canonical.yaml")) == ["vgg16", "inception-2015", "alexnet"]


def test_doctor_knows_the_experiments_weights(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["doctor"])
    assert "weights     vgg16: not here; it is downloaded at first use, or now by `cgm weights vgg16`\n" in capsys.readouterr().out
    (mine / weights.entry("vgg16").file).write_bytes(b"other")
    assert "weights of vgg16" in fails(capsys, "doctor")


def test_doctor_looks_at_this_machine(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["doctor"])
    out = capsys.readouterr().out
    for word in ("python", "torch", "snakemake", "dvc", "mlflow", "cores", "disk", "device", "weights     efficientnet-lite0: sha256"):
        assert word in out


@pytest.mark.parametrize(("old", "new"), [(["smoke"], "smoke"), (["--force", "smoke"], "smoke"), ([], "NAME")])
def test_the_old_command_says_the_new_one(project: Path, capsys: pytest.CaptureFixture[str], old: list[str], new: str) -> None:
    before = (project / "params.yaml").read_bytes()
    assert f"run `cgm experiment {new}`" in fails(capsys, "profile", *old)
    assert (project / "params.yaml").read_bytes() == before


def test_an_experiment_of_before_names_its_old_key(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("\nexperiment:", "\nprofile:", 1))
    assert "params.yaml: profile: this key is called 'experiment' now; rename it" in fails(capsys, "check")


STAGE = """
from pipeline.stage_command import main
def stage(params):
    print("first … then")
main(stage, argv=[])
"""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("command", [["-m", "pipeline.cli", "weights"], ["-c", STAGE]], ids=["cgm", "a stage"])
def test_a_terminal_that_is_not_utf_8(project: Path, encoding: str, command: list[str]) -> None:
    """Standard output, that is: Python itself takes care of standard error."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "TORCH_HOME": str(project / "torch…")}
    found = subprocess.run([sys.executable, *command], cwd=project, env=environment, capture_output=True, check=False)
    assert (found.returncode, found.stderr) == (0, b"")
    assert b"torch?" in found.stdout or found.stdout == b"first ? then\n"


CLAIM = """\
claims:
  - id: a-claim
    sentence: "Fewer errors."
    source: me
    datasets: openmoji
    tests: [{{metric: {metric}, arm: mse, against: {{arm: mae}}, expect: lower, delta: 0.01, because: "It is enough."}}]
    control: none
    caveat: none
"""


def test_claims_have_verdicts_before_anything_is_trained(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "claims.yaml: not found; docs/claims.md says how" in fails(capsys, "claims")
    (project / "claims.yaml").write_text("claims: []\n")
    cli.main(["claims"])
    assert "claims.yaml: 0 claims, sha256 " in capsys.readouterr().out
    (project / "claims.yaml").write_text(CLAIM.format(metric="psnr").replace("arm: mae", "arm: mea"))
    cli.main(["claims", "--check"])
    assert capsys.readouterr().out.splitlines()[1:] == ["not in experiment default: 1 arm (mea)"]
    (project / "claims.yaml").write_text(CLAIM.format(metric="psnr"))
    cli.main(["claims", "--check"])
    assert "claims.yaml: 1 claim, sha256 " in capsys.readouterr().out
    cli.main(["claims"])
    shown = capsys.readouterr().out
    assert shown.startswith("NOT TESTED: a-claim\n    Fewer errors.\n    On openmoji: 0 seeds with values, 3 needed")
    assert shown.endswith("claims.yaml: 1 not tested\n")
    (project / "claims.yaml").write_text(CLAIM.format(metric="pnsr"))
    assert fails(capsys, "claims") == "error: claims.yaml: a-claim: test 1: 'pnsr': unknown; did you mean 'psnr'?\n"
