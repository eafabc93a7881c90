"""Perceptual loss with style: feature reconstruction and Gram matrices.

    G* = arg min_G  λ_c Σ_j ‖φ_j(G(x)) − φ_j(c)‖₂² / (C_j H_j W_j) + λ_s Σ_k ‖Gram_k(G(x)) − Gram_k(s)‖²_F + λ_p ‖c − G(x)‖₁ + λ_TV TV(G(x))

On aligned pairs the content c and the style s are both y. Without pairs c is x and Gram(s) is the mean over training images of domain
B: the style of a domain in place of the paper's one style image.
Source: Johnson et al. 2016, eq. 2–5, section 4.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About, Part
from cgm.core.settings import NonNegative
from cgm.methods import losses
from cgm.methods.method import Supervision, Update
from cgm.methods.paper import JOHNSON
from cgm.methods.perceptual import DIFFERENCES, TV, Perceptual
from cgm.networks.fixed import FIXED

if TYPE_CHECKING:
    import torch

    from cgm.data.batches import Batch


class PerceptualStyle(Perceptual):
    """ŷ = G(x): content from y (or x), style from y (or from all of domain B)."""

    about = About(
        title="perceptual loss + style",
        citation="Johnson et al. 2016, eq. 5",
        objective=(
            Part(text="‖φ(c) − φ(G(x))‖₂² / CHW", weight="content_weight", symbol="λ_c"),
            Part(text="‖Gram(s) − Gram(G(x))‖²_F", weight="style_weight", symbol="λ_s"),
            Part(text="E‖c − G(x)‖₁", weight="pixel_weight", symbol="λ_p"),
            TV,
        ),
        differences=(
            *DIFFERENCES,
            "The style target s is each pair's y, or without pairs the mean Gram matrix of domain B; the paper takes one style image. The "
            "content c is y, or without pairs x.",
        ),
        paper={**JOHNSON, "style_weight": 5.0},
    )

    class Settings(Perceptual.Settings):
        style_weight: NonNegative = 5.0

    needs_pairs = False
    cost = 1.4

    @property
    def supervision(self) -> Supervision:
        return "paired" if self.dataset_paired else "unpaired"

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        super().prepare(targets, device, rng)
        self.style_layers = FIXED[self.phi.name].style(self.settings.tap) if self.settings.style_weight else ()
        grams = self._grams(self._maps(targets, self.style_layers))
        self.style_scale = {layer: float(gram.square().sum(dim=(1, 2)).mean()) for layer, gram in grams.items()}
        self.domain = {layer: gram.mean(0, keepdim=True) for layer, gram in grams.items()}

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        y_hat, weight = self.generator(batch.x, batch.noise), self.settings.style_weight
        maps_hat = self.phi.taps(y_hat, tuple(dict.fromkeys(self.content_layers + self.style_layers)))
        terms = self._content(y_hat, batch.y if self.dataset_paired else batch.x, maps_hat)
        if weight:
            style = self._grams(self._maps(batch.y, self.style_layers)) if self.dataset_paired else self.domain
            terms["style"] = weight * losses.style_reconstruction(self._grams(maps_hat), style, self.style_scale)
        update("G", terms)
        return {}

    def _grams(self, maps: losses.Maps) -> dict[str, torch.Tensor]:
        return {layer: losses.gram(maps[layer]) for layer in self.style_layers}
