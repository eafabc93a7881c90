"""Conditional GAN, adversarial loss only: Pix2Pix's ablation “cGAN”, and the base of the paired adversarial methods.

    min_D  ½ [−E log D(x, y) − E log(1 − D(x, G(x, z)))]        min_G  −E log D(x, G(x, z)) + λ E‖y − G(x, z)‖₁,  λ = 0

x condition, y target, z the dropout of the U-Net's decoder; D a PatchGAN that sees x and y concatenated.
Source: Isola et al. 2017, eq. 1, 3 and 4, section 3.3 (D's loss is halved; G minimises −log D).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cgm.core.registry import About, Part
from cgm.methods import losses
from cgm.methods.game import Game, GameSettings
from cgm.methods.method import Method, TranslatorSettings, Update, frozen
from cgm.methods.paper import PIX2PIX

if TYPE_CHECKING:
    import torch

    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder

DIFFERENCES = (
    "Instance normalisation in G (by default), which is what batch normalisation computes at the paper's batch size of 1.",
    "Translation never depends on the other images of a batch; dropout stays on, as in the paper.",
)


class CGAN(Method):
    """ŷ = G(x, z); the discriminator judges (x, ŷ)."""

    about = About(
        title="cGAN (no L1)",
        citation="Isola et al. 2017, eq. 1",
        objective=(Part(text="D(x, G(x, z))", adversarial=True),),
        differences=DIFFERENCES,
        paper=PIX2PIX,
    )

    class Settings(TranslatorSettings, GameSettings):
        pass

    cost = 1.6
    stochastic = True
    sees_condition: ClassVar[bool] = True
    """Whether D's input holds x beside y."""

    @property
    def l1_weight(self) -> float:
        """λ; without the L1 term, 0."""
        return 0.0

    def build(self, networks: Builder) -> None:
        D = networks.patchgan(2 if self.sees_condition else 1)
        self.game = Game(self.settings.adversarial, self.settings)
        self.player("G", G=networks.generator(self.settings.generator))
        self.player("D", D=D)
        self.receptive_field = D.receptive_field

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        x, y, noise = batch.x, batch.y, batch.noise
        D, given = self.players["D"]["D"], x if self.sees_condition else None
        y_hat = self.generator(x, noise)
        judged = self.game.judge(D, y, y_hat.detach(), noise, given)
        update("D", {"real": 0.5 * judged.real, "fake": 0.5 * judged.fake, **judged.penalty})
        with frozen(D):
            terms = {"adversarial": self.game.generator(D, y_hat, noise, given)}
            if self.l1_weight:
                terms["l1"] = self.l1_weight * losses.mae(y_hat, y)
            update("G", terms)
        return {"accuracy/D": judged.accuracy}
