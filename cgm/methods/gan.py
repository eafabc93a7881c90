"""Unconditional GAN.

    min_D  −E log D(y) − E log(1 − D(G(z)))        min_G  −E log D(G(z))

y target, z ~ N(0, I) noise; G and D are DCGAN's. No condition: the reference for what a GAN makes of the targets alone.
Source: Goodfellow et al. 2014, eq. 1 (G's non-saturating loss: section 3); networks: Radford et al. 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cgm.core.lazy import torch
from cgm.core.registry import About, Part
from cgm.methods.game import Game, GameSettings
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

    class Settings(TrainedSettings, GameSettings):
        generator: Literal["dcgan"] = "dcgan"

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
        self.game = Game(self.settings.adversarial, self.settings)
        self.player("G", G=G)
        self.player("D", D=D)

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        D, y, noise = self.players["D"]["D"], batch.y, batch.noise
        y_hat = self.generator(self._z(y, noise))
        judged = self.game.judge(D, y, y_hat.detach(), noise)
        update("D", {"real": judged.real, "fake": judged.fake, **judged.penalty})
        with frozen(D):
            update("G", {"adversarial": self.game.generator(D, y_hat, noise)})
        return {"accuracy/D": judged.accuracy}

    def translate(self, x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        return self.generator(self._z(x, noise))

    def _z(self, like: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        return torch.randn(len(like), self.latent, generator=noise, device=like.device)
