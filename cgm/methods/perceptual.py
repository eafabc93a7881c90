"""Perceptual loss: feature reconstruction.

    G* = arg min_G  λ_c Σ_j ‖φ_j(G(x)) − φ_j(y)‖₂² / (C_j H_j W_j) + λ_p ‖y − G(x)‖₁ + λ_TV TV(G(x))

x condition, y target, φ a fixed ImageNet classifier (the loss network), j its content layers.
Source: Johnson et al. 2016, eq. 2 and 5, section 4.2 (the paper's paired task is super-resolution, ours image translation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import model_validator

from cgm.core.lazy import torch
from cgm.core.registry import About, Entry, Part
from cgm.core.settings import NonNegative
from cgm.methods import losses
from cgm.methods.method import Method, TranslatorSettings, Update
from cgm.methods.paper import JOHNSON
from cgm.networks.fixed import FIXED
from cgm.networks.fixed.record import Depth

if TYPE_CHECKING:
    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder

CHUNK = 32
"""Images that go through the loss network at once before training."""
PIXEL = Part(text="E‖y − G(x)‖₁", weight="pixel_weight", symbol="λ_p")
TV = Part(text="TV(G(x))", weight="tv_weight", symbol="λ_TV")
DIFFERENCES = (
    "The generator is the family's, not the paper's residual network.",
    "Each layer's term is divided by its mean over training targets, so that the weights mean the same for every loss network.",
    "An L1 term on the pixels, where λ_p > 0, settles the colours of flat areas, which early features hardly see; the paper has none.",
    "Total variation, where λ_TV = 0, is left out: outputs that are compared with targets need no smoothing.",
)


class Perceptual(Method):
    """ŷ = G(x), fitted to y in the features of a fixed network."""

    about = About(
        title="perceptual loss",
        citation="Johnson et al. 2016, eq. 2",
        objective=(Part(text="‖φ(y) − φ(G(x))‖₂² / CHW", weight="content_weight", symbol="λ_c"), PIXEL, TV),
        differences=DIFFERENCES,
        paper=JOHNSON,
    )

    class Settings(TranslatorSettings):
        loss_network: Annotated[str, Entry(FIXED, lambda network: network.guides)] = "vgg16"
        tap: Depth | None = None
        """One layer of the loss network in place of the several that its record names, for every term that looks through it."""
        content_weight: NonNegative = 1.0
        pixel_weight: NonNegative = 0.0
        tv_weight: NonNegative = 0.0
        """Of a sum over pixels: 1e-6 to 1e-4 in the paper. Here it only blurs, and is off."""

        @model_validator(mode="after")
        def _something(self) -> Any:
            weights = [name for name in type(self).model_fields if name.endswith("_weight")]
            if not any(getattr(self, name) for name in weights):
                raise ValueError(f"found no weight above 0, expected one or more of {', '.join(weights)}")
            return self

    cost = 1.2

    def build(self, networks: Builder) -> None:
        self.player("G", G=networks.generator(self.settings.generator))

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        self.phi = FIXED[self.settings.loss_network].guide(device)
        self.loss_network = [{"name": self.phi.name, "sha256": self.phi.sha256}]
        self.content_layers = FIXED[self.phi.name].content(self.settings.tap) if self.settings.content_weight else ()
        maps = self._maps(targets, self.content_layers)
        self.content_scale = {layer: float(maps[layer].square().mean()) for layer in self.content_layers}

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        y_hat = self.generator(batch.x, batch.noise)
        update("G", self._content(y_hat, batch.y, self.phi.taps(y_hat, self.content_layers)))
        return {}

    def _content(self, y_hat: torch.Tensor, content: torch.Tensor, maps_hat: losses.Maps) -> dict[str, torch.Tensor]:
        """Feature reconstruction against ``content``, and the pixel terms."""
        settings = self.settings
        terms = {}
        if settings.content_weight:
            maps = self._maps(content, self.content_layers)
            terms["content"] = settings.content_weight * losses.feature_reconstruction(maps_hat, maps, self.content_scale)
        if settings.pixel_weight:
            terms["pixel"] = settings.pixel_weight * losses.mae(y_hat, content)
        if settings.tv_weight:
            terms["tv"] = settings.tv_weight * losses.total_variation(y_hat)
        return terms

    def _maps(self, images: torch.Tensor, layers: tuple[str, ...]) -> dict[str, torch.Tensor]:
        """φ of images that need no gradient, in chunks that bound the memory."""
        with torch.no_grad():
            chunks = [self.phi.taps(chunk, layers) for chunk in images.split(CHUNK)]
            return {layer: torch.cat([chunk[layer] for chunk in chunks]) for layer in layers}
