"""What a training shows of itself while it runs: whole files, its own alone, and never at the training's expense."""

from __future__ import annotations

import csv
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cgm.core.files import read_json
from cgm.training import live as module
from cgm.training.live import SYSTEM, Live, write_no_progress

CPU = torch.device("cpu")
HISTORY = [{"kimg": 0.0, "step": 0, "val/vendi_ratio": 0.5}, {"kimg": 0.008, "step": 1, "G/l1": 1.5}]


def pictures(seed: int, count: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 6, 3), dtype=np.uint8)


def started(folder: Path, images: int = 0, fingerprint: str = "same") -> Live:
    live = Live(CPU, folder, fingerprint, dataset="icons", method="mae", seed=0, experiment="test")
    live.begin(images, 10, 8)
    return live


def system(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_training_from_its_start_to_its_results(tmp_path: Path) -> None:
    live = started(tmp_path / "live")
    record = read_json(tmp_path / "live/run.json")
    assert record.pop("started").endswith("+00:00")
    assert record == {
        "dataset": "icons", "method": "mae", "seed": 0, "experiment": "test", "fingerprint": "same", "steps": 10, "batch_size": 8,
        "kimg": 0.08, "pid": os.getpid(),
    }  # fmt: skip
    live.show(0, [pictures(0), pictures(1)])
    live.after_step(8, 1.5, HISTORY, last=True)
    assert (tmp_path / "live/history.csv").read_text() == "kimg,step,val/vendi_ratio,G/l1\n0.0,0,0.5,\n0.008,1,,1.5\n"
    assert names(tmp_path / "live/progress") == ["000000000.png", "system.csv"]
    with Image.open(tmp_path / "live/progress/000000000.png") as sheet:
        assert sheet.size == (8 * 8 + 2, 2 * 6 + 2)
        assert np.array_equal(np.asarray(sheet)[2:6, 2:8], pictures(0)[0])
    (row,) = system(tmp_path / "live/progress/system.csv")
    assert tuple(row) == SYSTEM
    assert (row["seconds"], row["kimg"], row["gpu_memory_bytes"]) == ("1.5", "0.008", "")
    assert float(row["images_per_second"]) > 0
    if module.STATM.exists():
        assert int(row["memory_bytes"]) > 2**20

    assert live.result(tmp_path / "progress", [0]) == []
    for name in names(tmp_path / "progress"):
        assert (tmp_path / "progress" / name).read_bytes() == (tmp_path / "live/progress" / name).read_bytes()
    assert names(tmp_path / "progress") == ["000000000.png", "system.csv"]
    live.end()
    assert names(tmp_path) == ["progress"]


def test_fewer_pictures_than_a_grid_holds(tmp_path: Path) -> None:
    started(tmp_path).show(8, [pictures(0, 3)])
    with Image.open(tmp_path / "progress/000000008.png") as sheet:
        assert sheet.size == (3 * 8 + 2, 6 + 2)


def test_files_are_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = started(tmp_path)
    live.after_step(8, 0.1, HISTORY[:1])
    assert names(tmp_path) == ["run.json"]
    monkeypatch.setattr(module, "SECONDS_BETWEEN_HISTORIES", 0.0)
    live.after_step(8, 0.1, HISTORY[:1])
    assert names(tmp_path) == ["history.csv", "run.json"]
    (tmp_path / "history.csv").unlink()
    live.after_step(8, 0.1, HISTORY[:1])  # nothing new
    assert names(tmp_path) == ["run.json"]
    monkeypatch.setattr(module, "SECONDS_BETWEEN_SAMPLES", 0.0)
    for images in (8, 16, 16):
        live.after_step(images, images / 8, HISTORY[:1])
    live.after_step(16, 2.0, HISTORY[:1], last=True)
    assert [row["kimg"] for row in system(tmp_path / "progress/system.csv")] == ["0.008", "0.016"]


def test_only_steps_count_for_the_speed(tmp_path: Path) -> None:
    live = started(tmp_path)
    with live.aside():
        time.sleep(0.5)
    time.sleep(0.1)
    live.after_step(100, 0.6, [], last=True)
    (row,) = system(tmp_path / "progress/system.csv")
    assert 400 < float(row["images_per_second"]) < 1001  # 100 in 0.1 s, not in 0.6 s
    assert 0 <= float(row["cpu_percent"]) < 100


def test_a_resumed_training_goes_on_in_its_folder(tmp_path: Path) -> None:
    first = started(tmp_path)
    for images in (0, 8, 16):
        first.show(images, [pictures(images)])
        first.after_step(images, images, HISTORY, last=True)
    second = started(tmp_path, images=8)
    assert names(tmp_path / "progress") == ["000000000.png", "000000008.png", "system.csv"]
    second.show(16, [pictures(16)])
    second.after_step(16, 12.5, HISTORY, last=True)
    assert [(row["seconds"], row["kimg"]) for row in system(tmp_path / "progress/system.csv")] == [("8", "0.008"), ("12.5", "0.016")]
    assert second.result(tmp_path / "result", [0, 8, 16]) == []


@pytest.mark.parametrize("content", ["", "seconds,kimg\n1,2\n", ",".join(SYSTEM) + "\n1.0\n"])
def test_a_torn_sample_file_is_begun_anew(tmp_path: Path, content: str) -> None:
    started(tmp_path).after_step(8, 1.0, [], last=True)
    (tmp_path / "progress/system.csv").write_text(content)
    started(tmp_path, images=8).after_step(16, 2.0, [], last=True)
    assert [row["kimg"] for row in system(tmp_path / "progress/system.csv")] == ["0.016"]


@pytest.mark.parametrize(("images", "fingerprint"), [(0, "same"), (8, "another")])
def test_what_another_training_left_goes(tmp_path: Path, images: int, fingerprint: str) -> None:
    first = started(tmp_path / "live")
    first.show(0, [pictures(0)])
    second = started(tmp_path / "live", images, fingerprint)
    assert names(tmp_path / "live") == ["run.json"]
    assert second.result(tmp_path / "progress", [0]) == [0]
    assert first.result(tmp_path / "progress", [0]) == [0]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the results say which grids they lack; what the machine did is known all the same."""
    (tmp_path / "build").write_text("in the way")
    live = started(tmp_path / "build/live")
    live.show(0, [pictures(0)])
    live.after_step(8, 1.0, HISTORY, last=True)
    live.end()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"warning: {tmp_path}/build")
    assert "the training goes on" in said
    assert live.result(tmp_path / "progress", [0, 8]) == [0, 8]
    assert [row["kimg"] for row in system(tmp_path / "progress/system.csv")] == ["0.008"]


def test_one_grid_that_finds_no_room_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live = started(tmp_path / "live")
    (tmp_path / "live/progress").write_text("in the way")
    live.show(0, [pictures(0)])
    (tmp_path / "live/progress").unlink()
    live.show(8, [pictures(8)])
    assert capsys.readouterr().err.count("warning") == 1
    assert live.result(tmp_path / "progress", [0, 8]) == [0]
    assert names(tmp_path / "progress") == ["000000008.png", "system.csv"]


def test_nobody_looks(tmp_path: Path) -> None:
    live = Live(CPU)
    live.begin(0, 10, 8)
    live.show(0, [pictures(0)])
    live.after_step(8, 1.0, HISTORY, last=True)
    live.end()
    assert live.result(tmp_path / "progress", [0]) == [0]
    write_no_progress(tmp_path / "none")
    for folder in ("progress", "none"):
        assert (tmp_path / folder / "system.csv").read_text() == ",".join(SYSTEM) + "\n"
    assert names(tmp_path) == ["none", "progress"]
