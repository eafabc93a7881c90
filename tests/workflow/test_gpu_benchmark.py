"""The benchmark of a GPU, rehearsed on the CPU: all parts in small, and what it leaves when it is stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project import Project, miniature

from pipeline import archives

COMMAND = (sys.executable, "-m", "benchmarks.gpu", "--device", "cpu")


def whole(out: Path) -> set[str]:
    """The names of what is there, each of it whole."""
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert len(names) <= 8
    for name in names:
        path = out / name
        assert path.stat().st_size <= 16 << 20
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.name.startswith(archives.RESULTS):
            for packing in archives.read(path):
                assert all(packing.file(file) for file in packing.origin.files if not file.endswith(archives.MODEL))
    return names


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("rehearsed"), miniature)


@pytest.mark.slow
def test_measurements_and_results_in_small(rehearsed: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    parts = ("--minutes", "6", "--parts", "measurements", "results", "--experiment", "params.yaml", "--out", str(out))
    done = rehearsed.run(*COMMAND, *parts)
    assert done.code == 0, done.output
    assert done.output.startswith("[0:00 of 6:00]  plan  measurements until")
    assert {"measurements.json", "results-1.zip"} <= whole(out)
    assert "3 of 3 runs" in done.output
    found = json.loads((out / "measurements.json").read_text())["found"]
    assert {one["kind"] for one in found} == {"peak", "step", "work", "judge", "together"}
    assert not [one for one in found if "error" in one["found"]]
    assert not (rehearsed.folder / "results").exists()  # the checkout's own are left alone
    page = rehearsed.run(*COMMAND[:3], "--page", str(out))
    assert "a rehearsal, whose figures mean nothing" in page.output


@pytest.mark.slow
def test_whatever_is_finished_is_whole_when_it_is_stopped(rehearsed: Project, tmp_path: Path) -> None:
    """Ten times, at random moments: killed, or asked to stop."""
    rng = random.Random(0)
    seen: set[str] = set()
    for turn in range(10):
        out = tmp_path / str(turn)
        process = rehearsed.start(*COMMAND, "--minutes", "4", "--experiment", "params.yaml", "--out", str(out))
        time.sleep(rng.uniform(10, 200))
        process.send_signal(signal.SIGKILL if turn % 2 else signal.SIGTERM)
        process.communicate()
        seen |= whole(out)
    assert {"checks.json", "measurements.json", "results-1.zip"} <= seen


@pytest.mark.slow
def test_all_parts_in_four_minutes(tmp_path: Path) -> None:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    out = tmp_path / "out"
    start = time.monotonic()
    done = subprocess.run(
        [*COMMAND, "--minutes", "4", "--out", str(out)], cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - start < 4 * 60 + 15
    assert {"checks.json", "measurements.json", "results-1.zip"} <= whole(out)
