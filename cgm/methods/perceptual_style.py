"""Perceptual loss with style: feature reconstruction and Gram matrices.

    G* = arg min_G  λ_c Σ_j ‖φ_j(G(x)) − φ_j(c)‖₂² / (C_j H_j W_j) + λ_s Σ_k ‖Gram_k(G(x)) − Gram_k(s)‖²_F + λ_TV TV(G(x))

On aligned pairs the content c and the style s are both y. Without pairs c is x and Gram(s) is the mean over training images of domain
B: the style of a domain in place of the paper's one style image.
Source: Johnson et al. 2016, eq. 2–5, section 4.1.

Differences from the paper: see ``PerceptualStyle.differences``.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from cgm import losses
from cgm.data.batches import Batch
from cgm.methods.base import Supervision, Update
from cgm.methods.perceptual import Perceptual


class PerceptualStyle(Perceptual):
    """ŷ = G(x): content from y (or x), style from y (or from all of domain B)."""

    title = "perceptual loss + style"
    citation = "Johnson et al. 2016, eq. 5"
    equation = "λ_c ‖φ(c) − φ(G(x))‖₂² / CHW + λ_s ‖Gram(s) − Gram(G(x))‖²_F + λ_TV TV(G(x))"
    differences: ClassVar[tuple[str, ...]] = (
        *Perceptual.differences,
        "The style target is each pair's y, or without pairs the mean Gram matrix of domain B; the paper takes one style image.",
    )

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
