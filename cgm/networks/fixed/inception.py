"""FID's Inception through torch-fidelity's extractor.

It is no :class:`cgm.networks.fixed.network.FixedNetwork`: it takes 8-bit images and resizes them itself, bit by bit as TensorFlow 1 did,
so nothing can be trained through it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cgm.networks.fixed import weights
from cgm.networks.fixed.record import Fixed

FEATURES = "2048"
"""torch-fidelity's name for the last pooling, from which FID and KID are computed."""


class Inception:
    """The loaded network. Images are uint8 RGB N×3×H×W of any size; the network sees them at 299 × 299 px, in float32."""

    def __init__(self, record: Fixed) -> None:
        """Raises :class:`cgm.core.errors.UserError` if the weights can't be had or are not the published ones."""
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # here, since it takes a second to import

        self.name = record.name
        path, self.sha256 = weights.fetch(record.name)
        self.extractor = hastened(FeatureExtractorInceptionV3(record.name, [FEATURES], feature_extractor_weights_path=str(path)))
        self.device = torch.device("cpu")

    def to(self, device: str | torch.device) -> Self:
        """Itself, there."""
        self.device = torch.device(device)
        self.extractor.to(self.device)
        return self

    def features(self, images: Tensor) -> Tensor:
        """N×2048: the last map, averaged over its positions."""
        return self.extractor(images.to(self.device))[0]

    def taps(self, images: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """Outputs N×C×h×w of the layers ``names``, in the network's order."""
        return self.taps_and_features(images, names)[0]

    def taps_and_features(self, images: Tensor, names: Iterable[str]) -> tuple[dict[str, Tensor], Tensor]:
        """:meth:`taps` and :meth:`features` from one forward pass."""
        found: dict[str, Tensor] = {}

        def keep(name: str, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = output

        hooks = [self.extractor.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names]
        try:
            return found, self.features(images)
        finally:
            for hook in hooks:
                hook.remove()


def hastened(extractor: nn.Module) -> nn.Module:
    """torch-fidelity's extractor itself, with its normalisations folded into the convolutions before them and its weights laid out channels
    last: the same sums, to float32's rounding, in two thirds of the time on a CPU."""
    for layer in extractor.modules():
        conv, norm = getattr(layer, "conv", None), getattr(layer, "bn", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layer.conv, layer.bn = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return extractor.to(memory_format=torch.channels_last)
