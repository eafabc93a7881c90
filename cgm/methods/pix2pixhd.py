"""pix2pixHD: discriminators at several scales, whose features are matched.

    min_G  Σ_k [ E(D_k(x, G(x)) − 1)² + λ Σ_i ‖D_k,i(x, y) − D_k,i(x, G(x))‖₁ / N_i ] + λ_p Σ_j ‖φ_j(y) − φ_j(G(x))‖₁ / M_j
    min_{D_k}  ½ [E(D_k(x, y) − 1)² + E D_k(x, G(x))²]        λ = 10, λ_p = 0 (or 10)

x condition, y target; D_k a PatchGAN that sees x and y concatenated, made smaller by 2^(k−1); D_k,i its i-th map of N_i numbers; φ_j
the maps of a fixed network, of M_j numbers.
Source: Wang et al. 2018 (High-Resolution Image Synthesis …), eq. 2–5 and section 4.1 (least squares; perceptual term).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import model_validator

from cgm.core.errors import UserError
from cgm.core.lazy import F, torch
from cgm.core.registry import About, Entry, Part
from cgm.core.settings import Count, NonNegative
from cgm.methods import losses
from cgm.methods.game import GameSettings, Refined
from cgm.methods.losses import ADVERSARIAL
from cgm.methods.mae import POINT_ESTIMATE
from cgm.methods.method import Method, TranslatorSettings, Update, frozen
from cgm.methods.paper import PIX2PIXHD
from cgm.networks.fixed import FIXED
from cgm.networks.size import height_width, text

if TYPE_CHECKING:
    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder

FEWEST_PLACES = 3
"""Pixels a side that are left before a PatchGAN's last two convolutions, each of which takes one away."""


class Pix2PixHD(Method):
    """ŷ = G(x); several discriminators, and y as they see it."""

    about = About(
        title="pix2pixHD",
        citation="Wang et al. 2018 (CVPR), eq. 5",
        objective=(
            Part(text="D_k(x, G(x))", adversarial=True),
            Part(text="Σ_i ‖D_k,i(x, y) − D_k,i(x, G(x))‖₁ / N_i", weight="matching_weight", symbol="λ"),
            Part(text="Σ_j ‖φ_j(y) − φ_j(G(x))‖₁ / M_j", weight="perceptual_weight", symbol="λ_p"),
        ),
        differences=(
            "The generator is the family's, not the paper's in two stages; nothing is given of instances and their borders.",
            POINT_ESTIMATE,
            "The terms of the discriminators are added, as in the paper; the authors' code takes the mean of their matched features.",
            "Their own logits are not matched, as in the authors' code.",
            "Discriminators have the width and depth of the other methods'.",
        ),
        paper={**PIX2PIXHD, "scales": 3, "matching_weight": 10.0, "perceptual_weight": 0.0, "loss_network": None},
    )

    class Settings(TranslatorSettings, GameSettings):
        adversarial: Annotated[str, Entry(ADVERSARIAL)] = "lsgan"
        scales: Count = 2
        """Discriminators; the second sees images of half the size, the third of a quarter."""
        matching_weight: NonNegative = 10.0
        perceptual_weight: NonNegative = 0.0
        loss_network: Annotated[str, Entry(FIXED, lambda network: network.guides)] | None = None
        """Of the perceptual term. The paper's is VGG-19."""

        @model_validator(mode="after")
        def _has_a_network(self) -> Self:
            if self.perceptual_weight and self.loss_network is None:
                raise ValueError("perceptual_weight: found a weight and no loss_network; name one, loss_network: vgg16")
            return self

    cost = 2.0

    def build(self, networks: Builder) -> None:
        settings = self.settings
        least, coarsest = min(height_width(networks.image_size)), 2 ** (settings.scales - 1)
        layers = networks.settings.patchgan.layers
        if layers and least // coarsest // 2**layers < FEWEST_PLACES:
            raise UserError(
                f"scales: found {settings.scales} discriminators for images of {text(networks.image_size)} px, of which the last sees "
                f"1/{coarsest} and halves it {layers} times, expected {FEWEST_PLACES} px or more to be left; set fewer scales, or fewer "
                "networks.patchgan.layers"
            )
        discriminators = {f"D_{number}": networks.patchgan(2) for number in range(1, settings.scales + 1)}
        self.adversarial = ADVERSARIAL[settings.adversarial]()
        self.refined = Refined(settings)
        self.player("G", G=networks.generator(settings.generator))
        self.player("D", **discriminators)
        self.receptive_field = discriminators["D_1"].receptive_field * coarsest

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        if self.settings.perceptual_weight:
            self.phi = FIXED[self.settings.loss_network].guide(device)
            self.loss_network = [{"name": self.phi.name, "sha256": self.phi.sha256}]

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        x, settings, adversarial = batch.x, self.settings, self.adversarial
        y, y_hat = self.refined.real(batch.y), self.generator(x, batch.noise)
        transform = self.refined.transform(y, batch.noise)  # one for both: maps of pictures that are moved apart don't match
        real = self._judged(transform(y, x))  # of G's term and of D's: G goes first, so that D has not changed between
        with frozen(self.players["D"]):
            fake = self._judged(transform(y_hat, x))
            terms = {"adversarial": _sum(adversarial.generator(logits) for *_, logits in fake)}
            if settings.matching_weight:
                matched = _sum(losses.feature_matching(hat[:-1], maps[:-1]) for hat, maps in zip(fake, real, strict=True))
                terms["matching"] = settings.matching_weight * matched
            if settings.perceptual_weight:
                terms["perceptual"] = settings.perceptual_weight * self._perceptual(y_hat, batch.y)
            update("G", terms)
        fake = self._judged(transform(y_hat.detach(), x))
        penalties = [self.refined.penalty(logits, y) for *_, logits in real]
        update(
            "D",
            {
                "real": 0.5 * _sum(adversarial.real(logits) for *_, logits in real),
                "fake": 0.5 * _sum(adversarial.fake(logits) for *_, logits in fake),
                **{name: _sum(each[name] for each in penalties) for name in penalties[0]},
            },
        )
        right = [adversarial.accuracy(r, f) for (*_, r), (*_, f) in zip(real, fake, strict=True)]
        return {"accuracy/D": torch.stack(right).mean()}

    def _judged(self, images: torch.Tensor) -> list[list[torch.Tensor]]:
        """The maps of each discriminator, its logits last, of conditions and ``images`` as the first one sees them."""
        found: list[list[torch.Tensor]] = []
        discriminators: Any = self.players["D"].values()
        for number, D in enumerate(discriminators):
            if number:
                images = F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
            found.append(D.features(images))
        return found

    def _perceptual(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        layers = self.phi.style_layers
        maps_hat = self.phi.taps(y_hat, layers)
        with torch.no_grad():
            maps = self.phi.taps(y, layers)
        return losses.feature_matching([maps_hat[layer] for layer in layers], [maps[layer] for layer in layers])


def _sum(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(terms)).sum()
