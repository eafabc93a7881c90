"""Image conversions, whole-file writing, named random streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cgm.core import files, seeds
from cgm.data import images


def test_every_byte_survives_the_round_trip() -> None:
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    tensor = images.to_float(every)
    assert tensor.shape == (1, 3, 16, 16)
    assert (tensor.min(), tensor.max()) == (-1, 1)
    assert np.array_equal(images.to_uint8(tensor), every)


def test_rounding_is_to_nearest_and_clipped() -> None:
    values = torch.tensor([-1.5, -1.0, 0.0, 1.0, 1.5]).view(5, 1, 1, 1).expand(5, 3, 1, 1)
    assert images.to_uint8(values)[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((1, 4, 4, 3), np.float32), "found dtype torch.float32, expected uint8"),
        (np.zeros((4, 4, 3), np.uint8), "expected N×H×W×3"),
        (np.zeros((1, 3, 4, 4), np.uint8), "expected N×H×W×3"),
        (np.zeros((1, 4, 4, 4), np.uint8), "expected N×H×W×3"),
    ],
)
def test_to_float_refuses_what_it_is_not_made_for(wrong: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        images.to_float(wrong)


def test_to_uint8_refuses_nan_and_other_shapes() -> None:
    with pytest.raises(ValueError, match="found NaN or infinity"):
        images.to_uint8(torch.full((1, 3, 2, 2), float("nan")))
    with pytest.raises(ValueError, match="expected N×3×H×W"):
        images.to_uint8(torch.zeros(1, 2, 2, 3))


def test_contact_sheet_puts_pictures_row_by_row() -> None:
    pictures = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 30)])
    sheet = np.asarray(images.contact_sheet(pictures, columns=2, gap=1))
    assert sheet.shape == (11, 11, 3)
    assert [sheet[2, 2, 0], sheet[2, 7, 0], sheet[7, 2, 0], sheet[7, 7, 0]] == [10, 20, 30, 224]
    with pytest.raises(ValueError, match="expected uint8"):
        images.contact_sheet(pictures.astype(float), 2)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "value.json"
    files.write_json(path, {"b": 1, "a": "é"})
    assert path.read_text() == '{\n  "a": "é",\n  "b": 1\n}\n'

    def fail() -> None:
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert files.read_json(path) == {"a": "é", "b": 1}
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_goes_and_what_a_running_one_writes_stays(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    running = tmp_path / f".value.{os.getppid()}.tmp.json"
    for path in (tmp_path / f".value.{ended.pid}.tmp.json", running, tmp_path / ".value.1.tmp.json"):
        path.touch()
    with files.replacing(tmp_path / "value.json", durable=True) as temporary:
        temporary.write_text("1")
    assert {path.name for path in tmp_path.iterdir()} == {"value.json", running.name, ".value.1.tmp.json"}
    assert files.read_json(tmp_path / "value.json") == 1


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", float("nan"))
    assert not any(tmp_path.iterdir())


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with files.replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]


def test_sha256_is_over_the_bytes_in_order(tmp_path: Path) -> None:
    for name, content in (("a", b"he"), ("b", b"llo"), ("c", b"hello")):
        (tmp_path / name).write_bytes(content)
    assert files.sha256(tmp_path / "a", tmp_path / "b") == files.sha256(tmp_path / "c")


def test_streams_follow_their_names_in_every_process() -> None:
    assert seeds.derive("d", "m", 0, "p") != seeds.derive("dm", "", 0, "p")
    code = "from cgm.core import seeds; print(seeds.derive('d', 'm', 0, 'p'))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"})
    assert int(out.stdout) == seeds.derive("d", "m", 0, "p")
    first, second = (seeds.torch_generator("d", "m", 0, "p") for _ in range(2))
    assert torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=second))
    assert seeds.numpy_generator("d", "m", 0, "p").random() != seeds.numpy_generator("d", "m", 1, "p").random()
