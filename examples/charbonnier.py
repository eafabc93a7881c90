"""Charbonnier loss: L1 whose corner at 0 is rounded off.

    G* = arg min_G  E √((y − G(x))² + ε²)

Source: Charbonnier et al. 1994; Lai et al. 2017, eq. 3 and section 3.2 (ε = 10⁻³).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About, Part
from cgm.core.settings import Positive
from cgm.methods.method import Method, TranslatorSettings, Update

if TYPE_CHECKING:
    import torch

    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder


class Charbonnier(Method):
    """ŷ = G(x), fitted to y pixel by pixel."""

    about = About(title="Charbonnier loss", citation="Lai et al. 2017, eq. 3", objective=(Part(text="E√((y − G(x))² + ε²)"),))

    class Settings(TranslatorSettings):
        epsilon: Positive = 1e-3

    def build(self, networks: Builder) -> None:
        self.player("G", G=networks.generator(self.settings.generator))

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        distance = self.generator(batch.x, batch.noise) - batch.y
        update("G", {"charbonnier": (distance.square() + self.settings.epsilon**2).sqrt().mean()})
        return {}
