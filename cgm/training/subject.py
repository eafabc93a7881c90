"""A method as its checks (:mod:`cgm.training.conformance`) see it: small networks, 32 px, pictures that are made up."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cgm.core.errors import UserError
from cgm.data.batches import Batch
from cgm.data.prepare import prepare
from cgm.data.prepared import Prepared, open_prepared
from cgm.data.sources.folder import FOLDER
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import parse_params
from cgm.methods import METHODS, models
from cgm.methods.method import Method, MethodSettings, Update
from cgm.networks.init import initialise
from cgm.networks.settings import DCGAN, Networks, PatchGAN, ResNet, UNet
from cgm.training.checkpoint import Checkpoint
from cgm.training.trainer import Trainer

SIZE = 32
NETWORKS = Networks(
    unet=UNet(width=8, norm="instance"),
    resnet=ResNet(width=8, blocks=1),
    patchgan=PatchGAN(width=8, layers=2),
    dcgan=DCGAN(width=8, latent=16),
)
CPU = torch.device("cpu")
SHORT = 16
"""Steps of a short training."""


@dataclass
class Subject:
    """A method on pairs or on two domains. Raises :class:`UserError` where there is none, or its settings are wrong."""

    implementation: str
    paired: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.params(SHORT)

    @property
    def kind(self) -> type[Method]:
        found = METHODS[self.implementation]
        if not issubclass(found, Method):
            raise UserError(f"{self.implementation}: found pictures made elsewhere, expected a method that is trained")
        return found

    def params(self, steps: int, checkpoint_seconds: float = 1e9) -> Params:
        data = {"pictures": {"source": "folder", "path": "pictures", "image_size": SIZE, "kimg": steps * 4 / 1000}}
        group = {"datasets": data, "methods": {"method": {"implementation": self.implementation, **self.settings}}}
        return parse_params(
            {
                "experiment": "check",
                "seeds": [0],
                "compute": {"device": "cpu", "precision": "float32"},
                "training": {"batch_size": 4, "validations": 1, "log_points": 4, "checkpoint_seconds": checkpoint_seconds},
                "networks": NETWORKS.model_dump(),
                **(group if self.paired else {"unpaired": group}),
            },
            name=self.implementation,
        )

    @cached_property
    def values(self) -> MethodSettings:
        return self.params(SHORT).method("pictures", "method")

    def build(self) -> Method:
        """With its first weights, prepared."""
        method = models.build(self.values, NETWORKS, SIZE, self.paired)
        for player in method.players.values():
            for role, network in player.items():
                initialise(network, torch.Generator().manual_seed(len(role)))
        method.prepare(pictures(8, 1), CPU, 0)
        return method

    @cached_property
    def folder(self) -> Path:
        self._temporary = tempfile.TemporaryDirectory(prefix="cgm-check-")
        return Path(self._temporary.name)

    @cached_property
    def prepared(self) -> Prepared:
        """Forty pictures a side, prepared by the real code."""
        shown = (pictures(40, 2) + 1) * 127.5
        for number, image in enumerate(shown.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()):
            for side, pixels in (("A", np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, 2)), ("B", image)):
                path = self.folder / "pictures" / side / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
        settings = FOLDER.Settings(source="folder", path=str(self.folder / "pictures"), image_size=SIZE, kimg=1.0)
        FOLDER.fetch(settings, self.folder / "raw", paired=self.paired)
        prepare(settings, self.folder / "raw", self.folder / "prepared", name="pictures", paired=self.paired)
        return open_prepared(self.folder / "prepared")

    def trainer(self, name: str, steps: int, checkpoint_seconds: float = 1e9) -> Trainer:
        """Of a run whose checkpoint is called ``name``."""
        run = Run(dataset="pictures", method="method", seed=0)
        return Trainer(self.params(steps, checkpoint_seconds), run, self.prepared, Checkpoint(self.folder / name, "same"), CPU)


def pictures(count: int, seed: int) -> torch.Tensor:
    """White images with a coloured square each, N×3×32×32 in [-1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.ones(count, 3, SIZE, SIZE)
    for image in images:
        top, left = torch.randint(4, 14, (2,), generator=rng).tolist()
        image[:, top : top + 12, left : left + 12] = torch.rand(3, 1, 1, generator=rng) * 2 - 1
    return images


def batch(count: int = 4, noise: int = 0) -> Batch:
    """The pictures, and as conditions their grey versions."""
    y = pictures(count, 1)
    return Batch(y.mean(1, keepdim=True).expand_as(y).contiguous(), y, torch.Generator().manual_seed(noise))


def step(method: Method, given: Batch, update: Update) -> dict[str, torch.Tensor]:
    method.draw(len(given.x))
    return method.step(given, update)


def terms_of(method: Method, given: Batch) -> dict[str, dict[str, float]]:
    """Every term of every player, without any update."""
    found: dict[str, dict[str, float]] = {}
    step(method, given, lambda player, terms: found.update({player: {name: value.item() for name, value in terms.items()}}))
    return found


def fit(method: Method, steps: int, rate: float = 1e-3) -> list[dict[str, dict[str, float]]]:
    """Train on the same eight images; the terms of every step."""
    optimisers = {name: torch.optim.Adam(player.parameters(), lr=rate, betas=(0.5, 0.999)) for name, player in method.players.items()}
    history: list[dict[str, dict[str, float]]] = []
    given = batch(8)

    def update(player: str, terms: Mapping[str, torch.Tensor]) -> None:
        optimisers[player].zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimisers[player].step()
        history[-1][player] = {name: value.item() for name, value in terms.items()}

    for _ in range(steps):
        history.append({})
        step(method, given, update)
    return history


def outputs(method: Method) -> tuple[torch.Tensor, torch.Tensor]:
    """Of eight images in evaluation: ŷ and y."""
    given = batch(8)
    method.generator.eval()
    with torch.no_grad():
        y_hat = method.translate(given.x, given.noise)
    method.generator.train()
    return y_hat, given.y


def error(method: Method) -> float:
    y_hat, y = outputs(method)
    return (y_hat - y).abs().mean().item()


def colour_distance(method: Method) -> float:
    y_hat, y = outputs(method)
    return (y_hat.mean((0, 2, 3)) - y.mean((0, 2, 3))).abs().mean().item()


def state(made: Trainer) -> dict[str, torch.Tensor]:
    return {f"{who}.{name}": value for who, player in made.method.players.items() for name, value in player.state_dict().items()}
