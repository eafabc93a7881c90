"""Perceptual loss: feature reconstruction.

    G* = arg min_G  λ_c Σ_j ‖φ_j(G(x)) − φ_j(y)‖₂² / (C_j H_j W_j) + λ_p ‖y − G(x)‖₁ + λ_TV TV(G(x))

x condition, y target, φ a fixed ImageNet classifier (the loss network), j its content layers.
Source: Johnson et al. 2016, eq. 2 and 5, section 4.2 (the paper's paired task is super-resolution, ours image translation).

Differences from the paper: see ``Perceptual.differences``.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from cgm import config, losses
from cgm.data.batches import Batch
from cgm.methods.base import Method, Update
from cgm.networks.fixed import FixedNetwork, load_fixed

CHUNK = 32
"""Images that go through the loss network at once before training."""


class Perceptual(Method):
    """ŷ = G(x), fitted to y in the features of a fixed network."""

    title = "perceptual loss"
    citation = "Johnson et al. 2016, eq. 2"
    equation = "λ_c ‖φ(y) − φ(G(x))‖₂² / CHW + λ_TV TV(G(x))"
    differences: ClassVar[tuple[str, ...]] = (
        "The generator is the family's, not the paper's residual network; the optimiser and its learning rate are those of all methods.",
        "Each layer's term is divided by its mean over training targets, so that the weights mean the same for every loss network.",
        "An L1 term on the pixels (λ_p, 0 in the paper) settles the colours of flat areas, which early features hardly see.",
        "The loss network is a parameter: EfficientNet-Lite1 by default, VGG-16 as in the paper where its weights are at hand.",
    )

    def build(self, networks: config.Networks) -> None:
        self.players["G"] = nn.ModuleDict({"G": self._generator(networks)})

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        self.phi: FixedNetwork = load_fixed(self.settings.loss_network, device)
        self.loss_network = {"name": self.phi.name, "sha256": self.phi.sha256}
        maps = self._maps(targets, self.phi.content_layers)
        self.content_scale = {layer: float(maps[layer].square().mean()) for layer in self.phi.content_layers}

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        y_hat = self.generator(batch.x, batch.noise)
        update("G", self._content(y_hat, batch.y, self.phi.taps(y_hat, self.phi.content_layers)))
        return {}

    def _content(self, y_hat: torch.Tensor, content: torch.Tensor, maps_hat: losses.Maps) -> dict[str, torch.Tensor]:
        """Feature reconstruction against ``content``, and the pixel terms."""
        settings = self.settings
        maps = self._maps(content, self.phi.content_layers)
        terms = {"content": settings.content_weight * losses.feature_reconstruction(maps_hat, maps, self.content_scale)}
        if settings.pixel_weight:
            terms["pixel"] = settings.pixel_weight * losses.mae(y_hat, content)
        if settings.tv_weight:
            terms["tv"] = settings.tv_weight * losses.total_variation(y_hat)
        return terms

    @torch.no_grad()
    def _maps(self, images: torch.Tensor, layers: tuple[str, ...]) -> dict[str, torch.Tensor]:
        """φ of images that need no gradient, in chunks that bound the memory."""
        chunks = [self.phi.taps(chunk, layers) for chunk in images.split(CHUNK)]
        return {layer: torch.cat([chunk[layer] for chunk in chunks]) for layer in layers}
