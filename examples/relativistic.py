"""L1 and a relativistic adversarial term: D says which of two pictures looks more real. Two players, and a generator of this folder.

    min_D  −E log σ(D(x, y) − D(x, G(x)))        min_G  −E log σ(D(x, G(x)) − D(x, y)) + λ E‖y − G(x)‖₁

Source: Jolicoeur-Martineau 2019, section 4.1 (RpGAN, here with pairs of one condition).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cgm.core.lazy import F, torch
from cgm.core.registry import About, Entry, Part
from cgm.core.settings import NonNegative
from cgm.methods.method import Method, TranslatorSettings, Update, frozen
from cgm.networks import GENERATORS

if TYPE_CHECKING:
    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder


class Relativistic(Method):
    """ŷ = G(x); D compares (x, ŷ) with (x, y)."""

    about = About(
        title="relativistic GAN + L1",
        citation="Jolicoeur-Martineau 2019, section 4.1",
        objective=(Part(text="−E log σ(D(x, G(x)) − D(x, y))"), Part(text="E‖y − G(x)‖₁", weight="l1_weight", symbol="λ")),
        differences=("D is conditional: it sees x beside the picture.",),
    )
    cost = 1.8

    class Settings(TranslatorSettings):
        generator: Annotated[str, Entry(GENERATORS)] = "examples/dilated.py:Dilated"
        l1_weight: NonNegative = 100.0

    def build(self, networks: Builder) -> None:
        D = networks.patchgan(2)
        self.player("G", G=networks.generator(self.settings.generator))
        self.player("D", D=D)
        self.receptive_field = D.receptive_field

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        x, y, D = batch.x, batch.y, self.players["D"]["D"]
        y_hat = self.generator(x, batch.noise)
        real, fake = D(torch.cat([x, y], 1)), D(torch.cat([x, y_hat.detach()], 1))
        update("D", {"relativistic": F.softplus(fake - real).mean()})
        with frozen(D):
            real, fake = D(torch.cat([x, y], 1)), D(torch.cat([x, y_hat], 1))
            update("G", {"relativistic": F.softplus(real - fake).mean(), "l1": self.settings.l1_weight * (y_hat - y).abs().mean()})
        return {}
