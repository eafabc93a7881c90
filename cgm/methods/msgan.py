"""MSGAN on Pix2Pix: many outputs for one input, kept apart by a mode seeking term.

    min_D  ½ [−E log D(x, y) − E log(1 − D(x, G(x, z)))]
    min_G  −E log D(x, G(x, z)) + λ E‖y − G(x, z₁)‖₁ + λ_ms / (E|G(x, z₁) − G(x, z₂)| / E|z₁ − z₂| + 1e-5)

x condition, y target; z, z₁, z₂ standard normal, 8 numbers each, laid over x as channels; λ = 10, λ_ms = 1. (With the default,
``adversarial: lsgan``, squares take the logarithms' place.)
Source: Mao et al. 2019, eq. 2–5 and section 4.2; the published code for Pix2Pix (least squares, λ, the inverse of the ratio).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cgm.core.lazy import torch
from cgm.core.registry import About, Entry, Part
from cgm.core.settings import Count, NonNegative
from cgm.methods import losses
from cgm.methods.game import Game, GameSettings
from cgm.methods.losses import ADVERSARIAL
from cgm.methods.method import Method, TranslatorSettings, Update, frozen
from cgm.methods.paper import MSGAN as PAPER

if TYPE_CHECKING:
    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder


class MSGAN(Method):
    """ŷ = G(x, z); two z are to make two images."""

    about = About(
        title="MSGAN (Pix2Pix)",
        citation="Mao et al. 2019 (CVPR), eq. 5",
        objective=(
            Part(text="D(x, G(x, z))", adversarial=True),
            Part(text="E‖y − G(x, z₁)‖₁", weight="l1_weight", symbol="λ"),
            Part(text="E|z₁ − z₂| / E|G(x, z₁) − G(x, z₂)|", weight="mode_seeking_weight", symbol="λ_ms"),
        ),
        differences=(
            "z enters with x; the published code adds it at every level of the U-Net's encoder. G has no dropout, as there.",
            "One discriminator; the published code has two, at two scales. It adds their terms, and those of both outputs, of which here "
            "the mean is taken.",
        ),
        paper={**PAPER, "l1_weight": 10.0, "mode_seeking_weight": 1.0, "latent": 8},
    )

    class Settings(TranslatorSettings, GameSettings):
        adversarial: Annotated[str, Entry(ADVERSARIAL)] = "lsgan"
        l1_weight: NonNegative = 10.0
        """λ, of the first output alone: with it on both, the mean of two would be the best answer."""
        mode_seeking_weight: NonNegative = 1.0
        latent: Count = 8
        """Numbers of z."""

    cost = 3.0
    stochastic = True

    def build(self, networks: Builder) -> None:
        D = networks.patchgan(2)
        self.game = Game(self.settings.adversarial, self.settings)
        self.player("G", G=networks.generator(self.settings.generator, more_inputs=self.settings.latent))
        self.player("D", D=D)
        self.receptive_field = D.receptive_field

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        x, y, noise, settings = batch.x, batch.y, batch.noise, self.settings
        D, twice = self.players["D"]["D"], torch.cat([x, x])
        z = self._z(twice, noise)
        y_hat = self._paint(twice, z)
        judged = self.game.judge(D, y, y_hat.detach(), noise, x, of=twice)
        update("D", {"real": 0.5 * judged.real, "fake": 0.5 * judged.fake, **judged.penalty})
        first, second = y_hat.chunk(2)
        with frozen(D):
            terms = {"adversarial": self.game.generator(D, y_hat, noise, twice)}
            if settings.l1_weight:
                terms["l1"] = settings.l1_weight * losses.mae(first, y)
            if settings.mode_seeking_weight:
                terms["mode_seeking"] = settings.mode_seeking_weight * losses.mode_seeking(first, second, *z.chunk(2))
            update("G", terms)
        return {"accuracy/D": judged.accuracy}

    def translate(self, x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        return self._paint(x, self._z(x, noise))

    def _z(self, like: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        return torch.randn(len(like), self.settings.latent, generator=noise, device=like.device)

    def _paint(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """G of x and z, each number of which is a channel of one value."""
        return self.generator(torch.cat([x, z[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1))
