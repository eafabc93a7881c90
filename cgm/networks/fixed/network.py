"""A frozen, pretrained network as a judge or a loss network: no gradient, no mode that differs between training and evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from cgm.networks.fixed.record import Fixed

SMALLEST = 32
"""Pixels below which the deepest feature maps would be empty."""


class FixedNetwork(nn.Module):
    """A frozen feature extractor.

    ``segments`` are applied one after another; each name is a tap. Images are float N×C×H×W in [-1, 1], RGB or grey, at least 32 × 32.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        record: Fixed,
        sha256: str,
        segments: Mapping[str, nn.Module],
        *,
        scale: Iterable[float],
        shift: Iterable[float],
        classifier: nn.Linear | None = None,
    ) -> None:
        """``scale`` and ``shift`` (RGB) turn [-1, 1] into what the weights were trained on: scale · x + shift."""
        super().__init__()
        self.name, self.sha256 = record.name, sha256
        self.content_layers, self.style_layers = record.content_layers, record.style_layers
        """The taps of the feature reconstruction and of the style loss, unless a method names others."""
        self.segments = nn.ModuleDict(segments)
        self.classifier = classifier
        self.register_buffer("scale", torch.tensor(list(scale)).view(1, 3, 1, 1))
        self.register_buffer("shift", torch.tensor(list(shift)).view(1, 3, 1, 1))
        self.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> Self:
        """No effect: a fixed network stays in evaluation mode, also inside a module that is switched to training."""
        return self

    def taps(self, images: Tensor, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Feature maps N×C×h×w by name, in the network's order; differentiable with respect to ``images``.

        ``names``: by default the content and style layers. Nothing beyond the deepest of them is computed.
        Raises ``ValueError`` on an unknown name or on images of another shape.
        """
        wanted = {*self.content_layers, *self.style_layers} if names is None else set(names)
        return self._run(images, wanted, to_the_end=False)[0]

    def features(self, images: Tensor) -> Tensor:
        """N×D: the last feature map averaged over its pixels (EfficientNet-Lite: D = 1280; VGG-16: 512)."""
        return self.taps_and_features(images, ())[1]

    def taps_and_features(self, images: Tensor, names: Iterable[str]) -> tuple[dict[str, Tensor], Tensor]:
        """:meth:`taps` and :meth:`features` from one forward pass."""
        found, last = self._run(images, set(names), to_the_end=True)
        return found, last.mean(dim=(2, 3))

    def logits(self, images: Tensor) -> Tensor:
        """N×1000 ImageNet logits: what shows that architecture, weights and preprocessing belong together."""
        if self.classifier is None:
            raise ValueError(f"{self.name}: loaded without its classifier")
        return self.classifier(self.features(images))

    def _run(self, images: Tensor, wanted: set[str], to_the_end: bool) -> tuple[dict[str, Tensor], Tensor]:
        if unknown := wanted - set(self.segments):
            raise ValueError(f"{self.name}: no tap {min(unknown)!r}; expected one of {', '.join(self.segments)}")
        if images.ndim == 4 and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)  # grey, as the colour that it is
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < SMALLEST or not images.is_floating_point():
            raise ValueError(
                f"{self.name}: found {images.dtype} images of shape {tuple(images.shape)}, "
                f"expected floating point N×3×H×W in [-1, 1] with H and W of {SMALLEST} or more"
            )
        found: dict[str, Tensor] = {}
        # float32 also within a training in bfloat16: features of near images differ by less than that resolves
        with torch.autocast(images.device.type, enabled=False):
            # channels last: the depthwise convolutions run three times faster on a CPU
            x = (images.float() * self.scale + self.shift).contiguous(memory_format=torch.channels_last)
            for name, segment in self.segments.items():
                if not to_the_end and len(found) == len(wanted):
                    break
                x = segment(x)
                if name in wanted:
                    found[name] = x
        return found, x
