"""Unpaired GAN: CycleGAN's ablation “GAN alone”, an adversarial loss in the target domain and nothing that ties ŷ to x.

    min_D  ½ [E(D(y) − 1)² + E D(G(x))²]        min_G  E(D(G(x)) − 1)²

x from domain A, y from domain B, unaligned; G the ResNet, D a PatchGAN on B.
Source: Zhu et al. 2017, eq. 1 in its least-squares form (section 4) and table 4 (“GAN alone”); Mao et al. 2017, eq. 9.

Differences from the paper: see ``UnpairedGAN.differences``.
"""

from __future__ import annotations

import torch
from torch import nn

from cgm import config, losses
from cgm.data.batches import Batch
from cgm.methods.base import Method, Supervision, Update, frozen
from cgm.methods.pool import ImagePool
from cgm.networks.patchgan import PatchGAN
from cgm.seeds import numpy_stream


class UnpairedGAN(Method):
    """ŷ = G(x), only to be told from B by D."""

    title = "unpaired GAN (no cycle)"
    citation = "Zhu et al. 2017, eq. 1"
    equation = "E(D(G(x)) − 1)²"

    @property
    def supervision(self) -> Supervision:
        return "unpaired"

    def build(self, networks: config.Networks) -> None:
        D = PatchGAN(3, networks.patchgan.width, networks.patchgan.layers, networks.patchgan.norm)
        self.players["G"] = nn.ModuleDict({"G": self._generator(networks)})
        self.players["D"] = nn.ModuleDict({"D": D})
        self.receptive_field = D.receptive_field

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        self.buffers["pool"] = self.pool = ImagePool(self.settings.pool_size, numpy_stream(rng, "pool"))

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        D = self.players["D"]["D"]
        y_hat = self.generator(batch.x, batch.noise)
        with frozen(D):
            update("G", {"adversarial": losses.lsgan(D(y_hat), True)})
        past = self.pool.query(y_hat.detach())
        real, fake = D(batch.y), D(past)
        update("D", {"real": 0.5 * losses.lsgan(real, True), "fake": 0.5 * losses.lsgan(fake, False)})
        return {"accuracy/D": losses.accuracy(real, fake, losses.LSGAN_BOUNDARY)}
