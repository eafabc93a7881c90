"""CycleGAN.

    min_{G,F}  E(D_B(G(x)) − 1)² + E(D_A(F(y)) − 1)² + λ [E‖F(G(x)) − x‖₁ + E‖G(F(y)) − y‖₁] + λ_id [E‖G(y) − y‖₁ + E‖F(x) − x‖₁]
    min_D      ½ [E(D(real) − 1)² + E D(fake)²]   for each of D_A, D_B, fakes from a pool of 50

x from domain A, y from domain B, unaligned; G: A → B, F: B → A. λ = 10, λ_id = 0.5 λ.
Source: Zhu et al. 2017, eq. 1–3, section 4 (least squares, pool) and 5.2 (identity loss).

Differences from the paper: see ``CycleGAN.differences``.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from cgm import config, losses
from cgm.data.batches import Batch
from cgm.methods.base import Method, Supervision, Update, frozen
from cgm.methods.pool import ImagePool
from cgm.networks.patchgan import PatchGAN
from cgm.seeds import numpy_stream


class CycleGAN(Method):
    """ŷ = G(x); F brings it back."""

    title = "CycleGAN"
    citation = "Zhu et al. 2017, eq. 3"
    equation = "E(D(G(x)) − 1)² + λ (cycle A + cycle B) + λ_id identity, and the same for F"
    differences: ClassVar[tuple[str, ...]] = ("The budget counts images that G sees as x; F sees as many, so a step costs two generators.",)

    @property
    def supervision(self) -> Supervision:
        return "unpaired"

    def build(self, networks: config.Networks) -> None:
        D_A, D_B = (PatchGAN(3, networks.patchgan.width, networks.patchgan.layers, networks.patchgan.norm) for _ in "AB")
        self.players["G"] = nn.ModuleDict({"G": self._generator(networks), "F": self._generator(networks)})
        self.players["D"] = nn.ModuleDict({"D_A": D_A, "D_B": D_B})
        self.receptive_field = D_B.receptive_field

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        self.pool_A, self.pool_B = (ImagePool(self.settings.pool_size, numpy_stream(rng, f"pool {side}")) for side in "AB")
        self.buffers.update({"pool_A": self.pool_A, "pool_B": self.pool_B})

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        x, y = batch.x, batch.y
        G, F = self.players["G"]["G"], self.players["G"]["F"]
        D_A, D_B = self.players["D"]["D_A"], self.players["D"]["D_B"]
        cycle, identity = self.settings.cycle_weight, self.settings.identity_weight

        y_hat, x_hat = G(x, batch.noise), F(y, batch.noise)
        with frozen(D_A, D_B):
            terms = {
                "adversarial_AB": losses.lsgan(D_B(y_hat), True),
                "adversarial_BA": losses.lsgan(D_A(x_hat), True),
            }
            if cycle:
                terms["cycle_A"] = cycle * losses.mae(F(y_hat, batch.noise), x)
                terms["cycle_B"] = cycle * losses.mae(G(x_hat, batch.noise), y)
            if identity:
                terms["identity"] = identity * (losses.mae(G(y, batch.noise), y) + losses.mae(F(x, batch.noise), x))
            update("G", terms)

        past_A, past_B = self.pool_A.query(x_hat.detach()), self.pool_B.query(y_hat.detach())
        real_A, fake_A, real_B, fake_B = D_A(x), D_A(past_A), D_B(y), D_B(past_B)
        update(
            "D",
            {
                "real_A": 0.5 * losses.lsgan(real_A, True),
                "fake_A": 0.5 * losses.lsgan(fake_A, False),
                "real_B": 0.5 * losses.lsgan(real_B, True),
                "fake_B": 0.5 * losses.lsgan(fake_B, False),
            },
        )
        right = [losses.accuracy(real, fake, losses.LSGAN_BOUNDARY) for real, fake in ((real_A, fake_A), (real_B, fake_B))]
        return {"accuracy/D": torch.stack(right).mean()}
