"""Unconditional GAN.

    min_D  −E log D(y) − E log(1 − D(G(z)))        min_G  −E log D(G(z))

y target, z ~ N(0, I) noise; G and D are DCGAN's. No condition: the reference for what a GAN makes of the targets alone.
Source: Goodfellow et al. 2014, eq. 1 (G's non-saturating loss: section 3); networks: Radford et al. 2016.

Differences from the paper: see ``GAN.differences``.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from cgm import config, losses
from cgm.data.batches import Batch
from cgm.methods.base import Method, Supervision, Update, frozen
from cgm.networks.dcgan import Discriminator, Generator


class GAN(Method):
    """ŷ = G(z)."""

    title = "GAN (unconditional)"
    citation = "Goodfellow et al. 2014, eq. 1; Radford et al. 2016"
    equation = "−E log D(G(z))"
    differences: ClassVar[tuple[str, ...]] = (
        "DCGAN's z is uniform on [−1, 1]; here it is standard normal.",
        "The discriminator is not batch-normalised: over small batches the statistics alone tell real from fake.",
    )
    conditional = False
    stochastic = True

    @property
    def supervision(self) -> Supervision:
        return "target only"

    def build(self, networks: config.Networks) -> None:
        self.latent = networks.dcgan.latent
        self.players["G"] = nn.ModuleDict({"G": Generator(self.image_size, networks.dcgan.width, self.latent)})
        self.players["D"] = nn.ModuleDict({"D": Discriminator(self.image_size, networks.dcgan.width)})

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        D = self.players["D"]["D"]
        y_hat = self.generator(self._z(batch.y, batch.noise))
        real, fake = D(batch.y), D(y_hat.detach())
        update("D", {"real": losses.vanilla(real, True), "fake": losses.vanilla(fake, False)})
        with frozen(D):
            update("G", {"adversarial": losses.vanilla(D(y_hat), True)})
        return {"accuracy/D": losses.accuracy(real, fake, losses.VANILLA_BOUNDARY)}

    def translate(self, x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        return self.generator(self._z(x, noise))

    def _z(self, like: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        return torch.randn(len(like), self.latent, generator=noise, device=like.device)
