"""The contract of a method: build, step, translate.

A method is one file that states its losses in its paper's notation. It builds its networks, and in ``step`` computes the losses of each
*player* (``G``, ``D``) and hands them to ``update``, which the training loop supplies: it adds the terms, differentiates, and lets that
player's optimiser step. The loop knows no method by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import nn

from cgm import config
from cgm.data.batches import Batch
from cgm.networks.resnet import ResNet
from cgm.networks.unet import UNet

Supervision = Literal["paired", "unpaired", "target only"]
Update = Callable[[str, Mapping[str, torch.Tensor]], None]
"""``update(player, terms)``: one optimiser step of ``player`` on the sum of ``terms`` (already weighted)."""


class Stateful(Protocol):
    """What a checkpoint holds beside networks and optimisers."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Method(ABC):
    """One loss formulation with its networks."""

    title: ClassVar[str]
    citation: ClassVar[str]
    equation: ClassVar[str]
    """What the generator minimises."""
    differences: ClassVar[tuple[str, ...]] = ()
    """Differences from the paper that the code has whatever the parameters."""
    conditional: ClassVar[bool] = True
    """Whether the output answers a condition x."""
    stochastic: ClassVar[bool] = False
    """Whether translate draws noise: repeated calls give samples."""

    def __init__(self, settings: Any, networks: config.Networks, image_size: int, paired: bool) -> None:
        """Build the networks (uninitialised weights). ``paired``: whether the dataset's x and y are aligned."""
        self.settings = settings
        self.image_size = image_size
        self.dataset_paired = paired
        self.players: dict[str, nn.ModuleDict] = {}
        """Networks by player; each player has one optimiser."""
        self.buffers: dict[str, Stateful] = {}
        self.receptive_field: int | None = None
        self.loss_network: dict[str, str] | None = None
        self.build(networks)

    @property
    def supervision(self) -> Supervision:
        return "paired"

    @property
    def generator(self) -> nn.Module:
        """G, the network that translates."""
        return self.players["G"]["G"]

    @abstractmethod
    def build(self, networks: config.Networks) -> None:
        """Fill ``players``."""

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:  # noqa: B027 (most methods need nothing)
        """Before training: load fixed networks, measure what the loss needs of the target domain, make pools.

        ``targets``: a fixed sample of training targets, N×3×S×S in [-1, 1]. ``rng``: seed of the method's own random choices.
        """

    @abstractmethod
    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        """One training step; calls ``update`` once for each player. Returns what else the history shall hold of it, scalars by name."""

    def translate(self, x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """x, N×3×S×S in [-1, 1] → ŷ of the same shape. ``noise`` is drawn from where the method is stochastic."""
        return self.generator(x, noise if self.stochastic else None)

    def _generator(self, networks: config.Networks) -> nn.Module:
        """The family's shared generator, by ``settings.generator``."""
        if self.settings.generator == "unet":
            return UNet(self.image_size, networks.unet.width, networks.unet.dropout, networks.unet.norm)
        return ResNet(self.image_size, networks.resnet.width, networks.resnet.blocks)


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """No gradients for these networks' parameters: in G's step the discriminator passes gradients on and collects none."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)
