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
        grams = self._grams(self._maps(targets, self.phi.style_layers))
        self.style_scale = {layer: float(gram.square().sum(dim=(1, 2)).mean()) for layer, gram in grams.items()}
        self.domain = {layer: gram.mean(0, keepdim=True) for layer, gram in grams.items()}

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        phi, settings = self.phi, self.settings
        y_hat = self.generator(batch.x, batch.noise)
        maps_hat = phi.taps(y_hat, tuple(dict.fromkeys(phi.content_layers + phi.style_layers)))
        terms = self._content(y_hat, batch.y if self.dataset_paired else batch.x, maps_hat)
        style = self._grams(self._maps(batch.y, phi.style_layers)) if self.dataset_paired else self.domain
        terms["style"] = settings.style_weight * losses.style_reconstruction(self._grams(maps_hat), style, self.style_scale)
        update("G", terms)
        return {}

    def _grams(self, maps: losses.Maps) -> dict[str, torch.Tensor]:
        return {layer: losses.gram(maps[layer]) for layer in self.phi.style_layers}
