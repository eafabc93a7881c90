"""What every stage's command line does with good and bad arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cgm.config import Params
from cgm.errors import UserError
from pipeline.stage import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_arguments_arrive_checked() -> None:
    seen: dict[str, Any] = {}

    def stage(params: Params, **values: Any) -> None:
        seen.update(values, profile=params.profile)

    main(stage, ("dataset", "method", "seed"), ["dataset=openmoji", "seed=1", "method=mae"])
    assert seen == {"dataset": "openmoji", "method": "mae", "seed": 1, "profile": "default"}


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
