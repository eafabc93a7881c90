"""The benchmark of a GPU: its clock and plan, what it keeps when it is stopped, and its page."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.gpu import checks, page
from benchmarks.gpu.clock import Children, Clock, minutes
from benchmarks.gpu.measurements import CAPTURED, ON_CUDA, PLAIN, REFERENCE, Measurements, code
from benchmarks.page import ROOT
from cgm.core.errors import UserError
from cgm.core.files import read_json, write_json
from cgm.experiment.reading import load_params


def test_minutes() -> None:
    assert [minutes(seconds) for seconds in (0, 9.9, 125)] == ["0:00", "0:09", "2:05"]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = """
        import sys, time
        from benchmarks.gpu.clock import Children
        with Children() as children:
            print(children.start([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
            time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_children_end_with_the_block() -> None:
    with Children() as children:
        child = children.start([sys.executable, "-c", "import time; time.sleep(60)"])
    assert child.returncode == -signal.SIGKILL


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tests that pass, fail, are skipped, and never end."""
    (tmp_path / "test_some.py").write_text(
        textwrap.dedent("""
            import time, pytest
            def test_right(): pass
            def test_wrong(): assert 1 == 2, "one isn't two"
            def test_elsewhere(): pytest.skip("no such device")
            def test_long(): time.sleep(600)
        """)
    )
    monkeypatch.setattr(checks, "TESTS", str(tmp_path))
    return tmp_path


def test_checks_that_have_ended_are_kept_when_time_is_up(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()

    class Patient(Clock):
        """Whose time is up when three tests have ended."""

        @property
        def gone(self) -> float:
            done = out / "checks.json"
            return self.seconds if done.exists() and len(read_json(done)["tests"]) == 3 else 0.0

    checks.check(Patient(60), 60.0, "cpu", out, work)
    found = read_json(out / "checks.json")["tests"]
    assert [(one["test"].partition("::")[2], one["outcome"]) for one in found] == [
        ("test_right", "passed"), ("test_wrong", "failed"), ("test_elsewhere", "skipped"),
    ]  # fmt: skip
    assert "one isn't two" in found[1]["message"]
    printed = capsys.readouterr().out
    assert "check failed" in printed
    assert "1 passed, 1 failed, 1 skipped" in printed
    assert "no time left" in printed


def measurements(tmp_path: Path) -> Measurements:
    made = Measurements(Clock(60), 60.0, "cpu", tmp_path, tmp_path)
    made.extent = ON_CUDA
    return made


def test_every_cell_is_asked_for_once_and_the_most_telling_first(tmp_path: Path) -> None:
    asked = [*measurements(tmp_path).questions()]
    assert len({json.dumps(question, sort_keys=True) for question in asked}) == len(asked)
    steps = [question for kind, question in asked if kind == "step"]
    cells = {(one["method"], one["size"], one["batch"], one["side"], one["captured"]) for one in steps}
    for method in ("pix2pix", "cyclegan"):
        for size in (64, 128, 256):
            for batch in (1, 8, 64):
                for side, captured in (("ours", False), ("ours", True), ("reference", False)):
                    assert (method, size, batch, side, captured) in cells
    assert [(one["size"], one["batch"]) for one in steps[:12]] == [(64, 8)] * 6 + [(256, 8)] * 6
    assert all(one["profiled"] for one in steps[:2])
    params = load_params(ROOT / "params.yaml")
    assert {one["method"] for one in steps} == {*params.methods, *params.unpaired.methods} - {"pix2pix_l10"}  # a variant of pix2pix


def record(changed: dict[str, str] | None = None) -> dict:
    job = {"method": "pix2pix", "dataset": "paired", "size": 64, "batch": 8}
    rates = {REFERENCE: 100.0, PLAIN: 400.0, CAPTURED: 900.0}
    found = [
        {"kind": "peak", "asked": {}, "found": {"bfloat16": 9e12, "float32": 1e12}},
        {"kind": "work", "asked": job, "found": {"flops": 1e9, "images": 1}},
        *(
            {
                "kind": "step",
                "asked": {**job, "side": REFERENCE if way == REFERENCE else "ours", "captured": way == CAPTURED},
                "found": {
                    "images_per_second": rate,
                    "seconds_per_step": 8 / rate,
                    "peak_mib": 500.0,
                    "precision": "bfloat16",
                    "kernels": 0.008,
                },
            }
            for way, rate in rates.items()
        ),
        {"kind": "step", "asked": {**job, "batch": 64, "side": "ours", "captured": True}, "found": {"error": "OutOfMemoryError: no room"}},
        {"kind": "together", "asked": {**job, "count": 4, "mps": True, "captured": True}, "found": {"images_per_second": 3000.0}},
        {"kind": "judge", "asked": {"name": "efficientnet-lite0", "size": 64}, "found": {"images_per_second": 5000.0}},
    ]
    facts = {"gpu": "a GPU", "machine": "a chip, 16 cores, Linux", "python": "3.12", "torch": "2.11", "date": "2026-01-01", "minutes": 8.0}
    return {**facts, "code": {**code(load_params(ROOT / "params.yaml")), **(changed or {})}, "found": found}


def test_the_page_says_what_was_measured_and_what_could_not_be(tmp_path: Path) -> None:
    write_json(tmp_path / "measurements.json", record())
    write_json(tmp_path / "checks.json", {"tests": [{"test": "tests/cuda/test_x.py::test_step[mae]", "outcome": "passed"}] * 2})
    text = page.section(tmp_path)
    assert "| `test_step` | 2 | 0 | 0 |" in text
    # 900 ÷ 100; a plain step of 20 ms and a captured one of 8.9 ms by 8 ms of kernels; 900 GFLOP/s of 9 TFLOP/s
    assert "| `pix2pix` | 64 px | 8 | 100 | 400 | 900 | 9.0× | 2.50 | 1.11 | 10.0% | 500 |" in text
    assert "| `pix2pix` | captured, MPS | 4 | 3000 |" in text
    assert "5000 images/s of 64 px" in text
    assert "- step pix2pix 64: OutOfMemoryError: no room" in text


def test_a_page_of_other_code_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "measurements.json", record({"pix2pix": "other"}))
    with pytest.raises(UserError, match=r"measurements\.json: measured with other training code than this checkout's \(pix2pix\)"):
        page.section(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cuda", "--out", "out"], "torch sees no CUDA device here"),
        (["--device", "cpu", "--out", "full"], "holds old.txt already"),
        (["--page", "out"], "measurements.json: not found"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/old.txt").touch()
    arguments = [str(tmp_path / one) if not one.startswith("-") and one not in ("cuda", "cpu") else one for one in arguments]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
