"""Conditional GAN, adversarial loss only: Pix2Pix's ablation “cGAN”, and the base of the paired adversarial methods.

    min_D  ½ [−E log D(x, y) − E log(1 − D(x, G(x, z)))]        min_G  −E log D(x, G(x, z)) + λ E‖y − G(x, z)‖₁,  λ = 0

x condition, y target, z the dropout of the U-Net's decoder; D a PatchGAN that sees x and y concatenated.
Source: Isola et al. 2017, eq. 1, 3 and 4, section 3.3 (D's loss is halved; G minimises −log D).

Differences from the paper: see ``CGAN.differences``.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from cgm import config, losses
from cgm.data.batches import Batch
from cgm.methods.base import Method, Update, frozen
from cgm.networks.patchgan import PatchGAN


class CGAN(Method):
    """ŷ = G(x, z); the discriminator judges (x, ŷ)."""

    title = "cGAN (no L1)"
    citation = "Isola et al. 2017, eq. 1"
    equation = "−E log D(x, G(x, z))"
    differences: ClassVar[tuple[str, ...]] = (
        "Instance normalisation in G and D (by default), which is what batch normalisation computes at the paper's batch size of 1.",
        "Translation never depends on the other images of a batch; dropout stays on, as in the paper.",
    )
    stochastic = True
    sees_condition: ClassVar[bool] = True
    """Whether D's input holds x beside y."""

    @property
    def l1_weight(self) -> float:
        """λ; without the L1 term, 0."""
        return getattr(self.settings, "l1_weight", 0.0)

    def build(self, networks: config.Networks) -> None:
        D = PatchGAN(6 if self.sees_condition else 3, networks.patchgan.width, networks.patchgan.layers, networks.patchgan.norm)
        self.players["G"] = nn.ModuleDict({"G": self._generator(networks)})
        self.players["D"] = nn.ModuleDict({"D": D})
        self.receptive_field = D.receptive_field

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        x, y = batch.x, batch.y
        D = self.players["D"]["D"]
        y_hat = self.generator(x, batch.noise)
        real, fake = D(self._seen(x, y)), D(self._seen(x, y_hat.detach()))
        update("D", {"real": 0.5 * losses.vanilla(real, True), "fake": 0.5 * losses.vanilla(fake, False)})
        with frozen(D):
            terms = {"adversarial": losses.vanilla(D(self._seen(x, y_hat)), True)}
            if self.l1_weight:
                terms["l1"] = self.l1_weight * losses.mae(y_hat, y)
            update("G", terms)
        return {"accuracy/D": losses.accuracy(real, fake, losses.VANILLA_BOUNDARY)}

    def _seen(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """What D looks at."""
        return torch.cat([x, y], dim=1) if self.sees_condition else y
