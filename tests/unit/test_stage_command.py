"""What every stage's command line does with good and bad arguments."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgm.core.errors import UserError
from cgm.core.files import read_json, write_text
from cgm.experiment.params import Params
from cgm.networks.fixed.weights import ENVIRONMENT
from pipeline.stage_command import ENGINE, INTERRUPTED, main

ROOT = Path(__file__).parents[2]


PARAMS = ROOT / "experiments/default.yaml"


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(PARAMS, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)


def test_arguments_arrive_checked() -> None:
    seen: dict[str, Any] = {}

    def stage(params: Params, **values: Any) -> None:
        seen.update(values, experiment=params.experiment)

    main(stage, ("dataset", "method", "seed"), ["dataset=openmoji", "seed=1", "method=mae"])
    assert seen == {"dataset": "openmoji", "method": "mae", "seed": 1, "experiment": "default"}


def test_what_the_system_refuses_is_one_line_and_a_bug_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def refused(params: Params) -> None:
        raise PermissionError(13, "Permission denied", "results/.run.123.tmp.json")

    def bug(params: Params) -> None:
        Path("never-made").read_text(encoding="utf-8")

    with pytest.raises(SystemExit) as caught:
        main(refused, (), [])
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        "error: results: permission denied; expected to be allowed to read and write there; change its permissions, or name another place\n"
    )
    with pytest.raises(FileNotFoundError):
        main(bug, (), [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dataset=openmoji", "method=mae"], "argument seed=… is missing"),
        (["dataset=openmoji", "method=mae", "seed=0", "seed=1"], "argument 'seed=1': expected dataset=…"),
        (["openmoji", "method=mae", "seed=0"], "argument 'openmoji': expected dataset=…"),
        (["dataset=nowhere", "method=mae", "seed=0"], "dataset=nowhere: not in params.yaml; expected one of openmoji"),
        (["dataset=openmoji", "method=unpaired_gan", "seed=0"], "method=unpaired_gan: not in params.yaml for openmoji"),
        (["dataset=fluent-unpaired", "method=mae", "seed=0"], "method=mae: not in params.yaml for fluent-unpaired"),
        (["dataset=openmoji", "method=mae", "seed=-1"], "seed=-1: not in params.yaml"),
        (["dataset=openmoji", "method=mae", "seed=9"], "seed=9: not in params.yaml; expected one of 0, 1, 2"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(lambda params, **values: None, ("dataset", "method", "seed"), arguments)
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def test_a_folder_of_weights_is_known_to_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_text(tmp_path / "params.yaml", PARAMS.read_text() + "\nweights: mine\n")
    monkeypatch.setenv(ENVIRONMENT, "")
    with pytest.raises(SystemExit):
        main(lambda params: None, (), [])
    assert f"error: params.yaml: weights: found no folder {tmp_path / 'mine'}" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    seen = []
    main(lambda params: seen.append(os.environ[ENVIRONMENT]), (), [])
    assert seen == [str(tmp_path / "mine")]


def test_a_users_error_and_an_interrupt_have_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(params: Params) -> None:
        raise UserError("file x: found a, expected b; do c")

    def interrupted(params: Params) -> None:
        raise KeyboardInterrupt

    for stage, code, line in ((fails, 2, "error: file x"), (interrupted, 130, "interrupted")):
        with pytest.raises(SystemExit) as caught:
            main(stage, (), [])
        assert caught.value.code == code
        assert capsys.readouterr().err.startswith(line)


STUB = """
import sys, time
from pathlib import Path
from cgm.core.files import replacing
from pipeline.stage_command import main

def stage(params):
    with replacing("half/made.txt") as temporary:
        temporary.write_text("half")
        Path("ready").touch()
        time.sleep(60)

main(stage)
"""


@pytest.mark.parametrize("variable", ENGINE)
def test_a_stage_ends_with_its_engine(tmp_path: Path, variable: str) -> None:
    """The engine is killed; its stage notices, unwinds and leaves nothing half-made."""
    code = f"import os, subprocess, sys; os.environ[{variable!r}] = str(os.getpid()); subprocess.run([sys.executable, '-c', {STUB!r}])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    engine = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for((tmp_path / "ready").exists)
    assert list((tmp_path / "half").iterdir())
    engine.kill()
    assert engine.stderr is not None
    assert engine.stderr.read().strip() == INTERRUPTED  # its end: the stage has closed it too
    assert not list((tmp_path / "half").iterdir())


def test_a_stage_whose_engine_ended_before_it_began_ends_at_once(tmp_path: Path) -> None:
    """Killed while the interpreter starts: by then the parent is another process."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CGM_ENGINE": str(ended.pid)}
    stage = subprocess.run([sys.executable, "-c", STUB], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert stage.returncode == 128 + signal.SIGTERM
    assert stage.stderr.strip() == INTERRUPTED


def test_what_a_killed_stage_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    folder = tmp_path / "folder"
    folder.mkdir()
    mine, gone, other = (folder / f".made.{pid}.tmp.txt" for pid in (os.getppid(), ended.pid, "x"))
    for path in (mine, gone, other):
        path.touch()
    write_text(folder / "made.txt", "whole")
    assert sorted(path.name for path in folder.iterdir()) == sorted([mine.name, "made.txt"])


def test_imports_of_a_job_are_not_searched_for_garbage_and_its_work_is(tmp_path: Path) -> None:
    stage = "lambda params: print(gc.isenabled(), gc.get_freeze_count() > 0)"
    (tmp_path / "look.py").write_text(f"import gc\nfrom pipeline.stage_command import main\nprint(gc.isenabled())\nmain({stage})\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CGM_ENGINE": str(os.getpid())}
    done = subprocess.run([sys.executable, "look.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]


def test_a_stage_notes_what_it_took(tmp_path: Path) -> None:
    (tmp_path / "note.py").write_text("from pipeline.stage_command import main\nmain(lambda params, dataset: None, ['dataset'])\n")
    subprocess.run([sys.executable, "note.py", "dataset=openmoji"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    noted = read_json(tmp_path / "build/timings/note/openmoji.json")
    assert set(noted) == {"seconds", "cpu_seconds", "peak_memory_bytes"}
    assert noted["cpu_seconds"] > 0
    assert noted["peak_memory_bytes"] > 2**20


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
