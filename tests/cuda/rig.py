"""What the checks of a device train, and with what: small networks, a dataset read as pairs and as none, a project for the commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from least_settings import LEAST
from PIL import Image
from torch.overrides import TorchFunctionMode

from cgm.core.files import read_json, write_json
from cgm.data.listing import SPLITS
from cgm.data.prepare import prepare
from cgm.data.prepared import Prepared, open_prepared
from cgm.data.sources import SOURCES
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import parse_params
from cgm.methods import METHODS
from cgm.methods.method import Method
from cgm.training.checkpoint import Checkpoint
from cgm.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
CHOSEN = os.environ.get("CGM_DEVICE", "cuda")
DATASETS = {True: "pairs", False: "apart"}
"""The dataset's name, by whether it is read as pairs."""
Case = tuple[str, bool]
"""A method, and whether its dataset is read as pairs."""
TRAINED = [name for name, method in METHODS.items() if issubclass(method, Method)]
UNPAIRED = [name for name in TRAINED if not METHODS[name].needs_pairs]
ALL: list[Case] = [(name, True) for name in TRAINED] + [(name, False) for name in UNPAIRED]
FEW: list[Case] = [("gan", True), ("pix2pix", True), ("unpaired_gan", False), ("cut", False), ("perceptual_style", False)]
"""Every network and every kind of loss once."""
CASES = FEW if CHOSEN == "cpu" else ALL
each_case = pytest.mark.parametrize("case", CASES, ids=[f"{method}-{DATASETS[paired]}" for method, paired in CASES])
PRECISIONS = ("float32", "bfloat16")
each_precision = pytest.mark.parametrize("precision", PRECISIONS[1:] if CHOSEN == "cpu" else PRECISIONS)
by_processes = pytest.mark.slow if CHOSEN == "cpu" else pytest.mark.cuda
"""Checks that start several trainings by command: too slow for a rehearsal that is part of ``make test``."""


@dataclass(frozen=True)
class Sizes:
    """Of images, batches, budgets and networks."""

    image: int
    """Pixels a side."""
    batch: int
    steps: int
    """Of a training, with two rows of history, each with a validation."""
    long: int
    """Steps of a training that is killed from outside, with a checkpoint every 20 ms: a second or so."""
    networks: Mapping[str, Mapping[str, Any]]
    greedy: str
    """A method that asks at once for more memory than there is, with"""
    too_much: Mapping[str, Any]
    """as parts of ``params.yaml``."""
    share: float | None
    """Of the GPU's memory that it may have: the rest is left to what runs beside it."""


REHEARSAL = Sizes(
    image=32,
    batch=4,
    steps=4,
    long=60,
    networks={
        "unet": {"width": 4, "norm": "instance"},
        "resnet": {"width": 4, "blocks": 1},
        "patchgan": {"width": 4, "layers": 1},
        "dcgan": {"width": 4, "latent": 8},
    },
    greedy="gan",
    too_much={"networks": {"dcgan": {"width": 4, "latent": 10**12}}},  # 1 PB of weights, which no system promises
    share=None,
)
GPU = Sizes(
    image=64,
    batch=8,
    steps=12,
    long=100,
    networks={
        "unet": {"width": 32, "norm": "instance"},
        "resnet": {"width": 16, "blocks": 3},
        "patchgan": {"width": 32, "layers": 2},
        "dcgan": {"width": 32, "latent": 32},
    },
    greedy="cyclegan",
    too_much={"training": {"batch_size": 2048}},  # 60 GB of maps
    share=0.05,
)


class SameDraws(TorchFunctionMode):
    """Within it, dropout masks and z are drawn on the CPU, whatever device they are for: generators of two devices give other streams."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(0)

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.rand, torch.randn):
            return func(*args, **{**kwargs, "generator": self._generator, "device": "cpu"}).to(kwargs["device"])
        return func(*args, **kwargs)


@dataclass
class Rig:
    """The device that is checked, and what is trained on it."""

    device: torch.device
    sizes: Sizes
    folder: Path
    prepared: dict[bool, Prepared] = field(init=False)
    _trained: dict[tuple[Case, str], Trainer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draw_pictures(self.folder / "pictures", self.sizes.image)
        self.prepared = {paired: self._prepare(paired) for paired in DATASETS}

    def _prepare(self, paired: bool) -> Prepared:
        name = DATASETS[paired]
        source = SOURCES["folder"]
        settings = source.Settings.model_validate(self._dataset(1))
        source.fetch(settings, self.folder / "raw" / name, paired=paired, root=ROOT)
        prepare(settings, self.folder / "raw" / name, self.folder / "prepared" / name, name=name, paired=paired)
        return open_prepared(self.folder / "prepared" / name)

    def _dataset(self, kimg: float) -> dict[str, Any]:
        return {"source": "folder", "path": str(self.folder / "pictures"), "image_size": self.sizes.image, "kimg": kimg}

    @contextmanager
    def other_kernels(self) -> Iterator[None]:
        """On the device. The rehearsal, whose device is the CPU too, computes without oneDNN: other kernels, sums in another order."""
        torch.backends.mkldnn.enabled = self.device.type != "cpu"
        try:
            yield
        finally:
            torch.backends.mkldnn.enabled = True

    def settings(self, steps: int | None = None, **groups: Mapping[str, Any]) -> dict[str, Any]:
        """``params.yaml`` with all methods. ``groups``: what its groups have otherwise; networks one by one."""
        training = {
            "batch_size": self.sizes.batch,
            "validations": 2,
            "log_points": 2,
            "checkpoint_seconds": 1e9,
            **groups.get("training", {}),
        }
        dataset = self._dataset((steps or self.sizes.steps) * training["batch_size"] / 1000)
        return {
            "experiment": "device",
            "seeds": [0],
            "compute": {"device": self.device.type, "precision": "float32", **groups.get("compute", {})},
            "training": training,
            "networks": {**self.sizes.networks, **groups.get("networks", {})},
            "datasets": {DATASETS[True]: dataset},
            "methods": {name: LEAST.get(name, {}) for name in TRAINED},
            "unpaired": {"datasets": {DATASETS[False]: dataset}, "methods": {name: LEAST.get(name, {}) for name in UNPAIRED}},
        }

    def params(self, steps: int | None = None, **groups: Mapping[str, Any]) -> Params:
        return parse_params(self.settings(steps, **groups))

    def trainer(
        self, folder: Path, case: Case, device: torch.device | None = None, steps: int | None = None, **groups: Mapping[str, Any]
    ) -> Trainer:
        """Of one run, not yet begun; its checkpoint in ``folder``."""
        method, paired = case
        run = Run(dataset=DATASETS[paired], method=method, seed=0)
        params = self.params(steps, **groups)
        return Trainer(params, run, self.prepared[paired], Checkpoint(folder / "state.pt", "same"), device or self.device)

    def trained(self, case: Case, precision: str) -> Trainer:
        """A run from its beginning to its end, which nothing disturbed."""
        if (case, precision) not in self._trained:
            made = self.trainer(self.folder / "trained" / precision / "-".join(map(str, case)), case, compute={"precision": precision})
            assert made.train().status == "ok"
            self._trained[case, precision] = made
        return self._trained[case, precision]


def draw_pictures(folder: Path, size: int) -> None:
    """A grey square on white, and the same square in colour: 12 pairs to train on, 4 for validation, 6 for the test.

    Grainy, for in flat areas all pixels would meet a kink of a network or a loss at once.
    """
    rng = np.random.default_rng(0)
    for split, count in zip(SPLITS, (12, 4, 6), strict=True):
        for number in range(count):
            coloured = np.full((size, size, 3), 255, np.uint8)
            top, left = rng.integers(2, size // 2, 2)
            coloured[top : top + size // 2 - 4, left : left + size // 2 - 4] = rng.integers(0, 256, 3)
            coloured = np.clip(coloured + rng.integers(-40, 41, coloured.shape), 0, 255).astype(np.uint8)
            grey = coloured.mean(axis=2, keepdims=True).astype(np.uint8).repeat(3, axis=2)
            for side, image in (("A", grey), ("B", coloured)):
                path = folder / split / side / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)


def state(made: Trainer) -> dict[str, torch.Tensor]:
    """All players' weights and running averages."""
    return {f"{who}.{name}": value for who, player in made.method.players.items() for name, value in player.state_dict().items()}


def assert_same(found: Trainer, expected: Trainer) -> None:
    """To the byte: weights and history."""
    for name, value in state(expected).items():
        if not torch.equal(state(found)[name], value):
            difference = float((state(found)[name] - value).abs().max())
            raise AssertionError(
                f"{name}: expected the same bytes, found a difference of {difference:.3g} in up to {value.abs().max():.3g}"
            )
    assert found.history.rows == expected.history.rows


LIMITED = """
import runpy
import torch
torch.cuda.set_per_process_memory_fraction({})
runpy.run_module("pipeline.train", run_name="__main__", alter_sys=True)
"""


class Project:
    """A folder in which the stages' commands run: ``params.yaml``, the code, the prepared dataset."""

    def __init__(self, rig: Rig, folder: Path, steps: int, **groups: Mapping[str, Any]) -> None:
        self.folder = folder
        (folder / paths.PREPARED).mkdir(parents=True)
        for name in DATASETS.values():
            (folder / paths.prepared(name)).symlink_to(rig.folder / "prepared" / name)
        for package in ("cgm", "pipeline"):
            (folder / package).symlink_to(ROOT / package)
        self.write_params(rig.settings(steps, **groups))

    def write_params(self, settings: Mapping[str, Any]) -> None:
        write_json(self.folder / "params.yaml", settings)  # JSON is YAML

    def start(self, method: str, share: float | None = None) -> subprocess.Popen[str]:
        """``python -m pipeline.train``. ``share``: of the GPU's memory that the process may have."""
        stage = ["-m", "pipeline.train"] if share is None else ["-c", LIMITED.format(share)]
        command = [sys.executable, *stage, f"dataset={DATASETS[True]}", f"method={method}", "seed=0"]
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def train(self, method: str) -> None:
        ended(self.start(method))

    def run(self, method: str) -> Run:
        return Run(dataset=DATASETS[True], method=method, seed=0)

    def record(self, method: str) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.folder / paths.run_folder(self.run(method)) / "run.json")
        return found

    def made(self, method: str) -> dict[str, bytes]:
        """What a training leaves for good, but for times."""
        folder = self.folder / paths.run_folder(self.run(method))
        return {name: (folder / name).read_bytes() for name in ("model.safetensors", "history.csv")}


def ended(process: subprocess.Popen[str], code: int = 0) -> list[str]:
    """What a command printed on standard error until its end, line by line."""
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    return errors.splitlines()
