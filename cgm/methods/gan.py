"""Unconditional GAN.

    min_D  −E log D(y) − E log(1 − D(G(z)))        min_G  −E log D(G(z))

y target, z ~ N(0, I) noise; G and D are DCGAN's. No condition: the reference for what a GAN makes of the targets alone.
Source: Goodfellow et al. 2014, eq. 1 (G's non-saturating loss: section 3); networks: Radford et al. 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cgm.core.lazy import torch
from cgm.core.registry import About, Entry, Part
from cgm.methods.losses import ADVERSARIAL
from cgm.methods.method import Method, Supervision, TrainedSettings, Update, frozen
from cgm.methods.paper import DCGAN

if TYPE_CHECKING:
    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder


class GAN(Method):
    """ŷ = G(z)."""

    about = About(
        title="GAN (unconditional)",
        citation="Goodfellow et al. 2014, eq. 1; Radford et al. 2016",
        objective=(Part(text="D(G(z))", adversarial=True),),
        differences=(
            "DCGAN's z is uniform on [−1, 1]; here it is standard normal.",
            "The discriminator is not batch-normalised: over small batches the statistics alone tell real from fake.",
        ),
        paper=DCGAN,
    )

    class Settings(TrainedSettings):
        generator: Literal["dcgan"] = "dcgan"
        adversarial: Annotated[str, Entry(ADVERSARIAL)] = "vanilla"

    needs_pairs = False
    cost = 0.6
    conditional = False
    stochastic = True

    @property
    def supervision(self) -> Supervision:
        return "target only"

    def build(self, networks: Builder) -> None:
        G, D = networks.dcgan()
        self.latent = G.latent
        self.adversarial = ADVERSARIAL[self.settings.adversarial]()
        self.player("G", G=G)
        self.player("D", D=D)

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        D, adversarial = self.players["D"]["D"], self.adversarial
        y_hat = self.generator(self._z(batch.y, batch.noise))
        real, fake = D(batch.y), D(y_hat.detach())
        update("D", {"real": adversarial.real(real), "fake": adversarial.fake(fake)})
        with frozen(D):
            update("G", {"adversarial": adversarial.generator(D(y_hat))})
        return {"accuracy/D": adversarial.accuracy(real, fake)}

    def translate(self, x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        return self.generator(self._z(x, noise))

    def _z(self, like: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        return torch.randn(len(like), self.latent, generator=noise, device=like.device)
