"""The moving average of a generator's weights, which translates in its place (Karras et al. 2018, section 5; half-life as in StyleGAN2)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from cgm.methods.method import Method


class Average:
    """θ̄ ← β θ̄ + (1 − β) θ after each step, β = ½^(images a step ÷ half-life); buffers, such as running statistics, are copied."""

    def __init__(self, method: Method, half_life: float, images: int) -> None:
        """From the present weights on. ``half_life``: images that G sees until an old weight counts half; ``images``: those of one step."""
        self._method, self._trained = method, method.players["G"]
        self.networks: nn.ModuleDict = copy.deepcopy(self._trained).requires_grad_(False)
        self._fresh = 1 - 0.5 ** (images / half_life)

    @torch.no_grad()
    def update(self) -> None:
        torch._foreach_lerp_(list(self.networks.parameters()), list(self._trained.parameters()), self._fresh)
        for mine, other in zip(self.networks.buffers(), self._trained.buffers(), strict=True):
            mine.copy_(other)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The method translates with the averaged weights meanwhile."""
        self._method.players["G"] = self.networks
        try:
            yield
        finally:
            self._method.players["G"] = self._trained

    def state_dict(self) -> dict[str, Any]:
        return self.networks.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.networks.load_state_dict(state)
