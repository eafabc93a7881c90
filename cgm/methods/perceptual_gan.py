"""Perceptual loss, relativistic GAN and L1: the objective of ESRGAN.

    min_G  λ_c ‖φ(G(x)) − φ(y)‖₂² / CHW + λ [−E log(1 − σ(D(y) − E D(G(x)))) − E log σ(D(G(x)) − E D(y))] + λ_p E‖y − G(x)‖₁
    min_D  −E log σ(D(y) − E D(G(x))) − E log(1 − σ(D(G(x)) − E D(y)))        λ_c = 1, λ = 0.005, λ_p = 0.01 (the paper's η)

x condition, y target, φ a fixed ImageNet classifier, D a PatchGAN that does not see x.
Source: Wang et al. 2018 (ESRGAN), eq. 1–3; Jolicoeur-Martineau 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import torch
from cgm.core.registry import About, Part
from cgm.core.settings import NonNegative
from cgm.methods import losses
from cgm.methods.game import Refined, Refinements
from cgm.methods.method import Update, frozen
from cgm.methods.paper import ESRGAN
from cgm.methods.perceptual import PIXEL, TV, Perceptual

if TYPE_CHECKING:
    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder


class PerceptualGAN(Perceptual):
    """ŷ = G(x), fitted to y in a network's features; a discriminator compares it with y."""

    about = About(
        title="perceptual + relativistic GAN",
        citation="Wang et al. 2018 (ESRGAN), eq. 3",
        objective=(
            Part(text="‖φ(y) − φ(G(x))‖₂² / CHW", weight="content_weight", symbol="λ_c"),
            Part(
                text="[−E log(1 − σ(D(y) − E D(G(x)))) − E log σ(D(G(x)) − E D(y))]",
                weight="adversarial_weight",
                symbol="λ",
            ),
            PIXEL,
            TV,
        ),
        differences=(
            "The generator is the family's, not the paper's for super-resolution, and is not trained with L1 first.",
            "The discriminator is a PatchGAN with one logit a patch, the paper's has one an image.",
            "Squared differences of features after their activation, divided by the mean over training targets; the paper takes VGG-19's "
            "last features before it.",
            "The learning rate falls as for all methods here.",
        ),
        paper={
            **ESRGAN,
            "loss_network": "vgg19",
            "tap": None,
            "content_weight": 1.0,
            "adversarial_weight": 5e-3,
            "pixel_weight": 1e-2,
            "tv_weight": 0.0,
        },
    )

    class Settings(Perceptual.Settings, Refinements):
        adversarial_weight: NonNegative = 5e-3
        pixel_weight: NonNegative = 1e-2

    cost = 1.9

    def build(self, networks: Builder) -> None:
        super().build(networks)
        D = networks.patchgan()
        self.refined = Refined(self.settings)
        self.player("D", D=D)
        self.receptive_field = D.receptive_field

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        y, noise, refined, D = batch.y, batch.noise, self.refined, self.players["D"]["D"]
        y_hat, y_real = self.generator(batch.x, noise), refined.real(y)
        real = D(refined.seen(y_real, None, noise))  # of G's term and of D's: G goes first, so that D has not changed between
        terms = self._content(y_hat, y, self.phi.taps(y_hat, self.phi.content_layers))
        with frozen(D):
            terms["adversarial"] = self.settings.adversarial_weight * losses.relativistic_generator(
                real.detach(), D(refined.seen(y_hat, None, noise))
            )
            update("G", terms)
        fake = D(refined.seen(y_hat.detach(), None, noise))
        update("D", {"relativistic": losses.relativistic_discriminator(real, fake), **refined.penalty(real, y_real)})
        with torch.no_grad():
            right = [(real > fake.mean()).float().mean(), (fake <= real.mean()).float().mean()]
            return {"accuracy/D": torch.stack(right).mean()}
