"""VGG-16's convolutional part (Simonyan & Zisserman, ICLR 2015) as torchvision publishes it: the loss network of Johnson et al. 2016."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cgm.networks.fixed import weights
from cgm.networks.fixed.network import FixedNetwork
from cgm.networks.fixed.record import Fixed

STAGES = (
    ("relu1_2", (64, 64)),
    ("relu2_2", (128, 128)),
    ("relu3_3", (256, 256, 256)),
    ("relu4_3", (512, 512, 512)),
    ("relu5_3", (512, 512, 512)),
)
"""The tap at each stage's end, and its convolutions' channels; 2×2 max pooling lies between the stages."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's images, RGB in [0, 1]."""


def segments(state: Mapping[str, Tensor]) -> dict[str, nn.Module]:
    """The network as named segments, each applied to the one before; a segment ends at the ReLU that names it.

    ``state`` is torchvision's state dictionary (the fully connected part is not used).
    Raises ``ValueError`` on a missing or misshapen tensor.
    """
    layers: dict[str, nn.Module] = {}
    channels, index = 3, 0
    for tap, widths in STAGES:
        segment: list[nn.Module] = [nn.MaxPool2d(2)] if layers else []
        index += len(segment)
        for width in widths:
            conv = nn.Conv2d(channels, width, 3, padding=1)
            for name, parameter in conv.named_parameters():
                value = state.get(f"features.{index}.{name}")
                if value is None or value.shape != parameter.shape:
                    found = "nothing" if value is None else f"shape {tuple(value.shape)}"
                    raise ValueError(f"weights: features.{index}.{name}: found {found}, expected shape {tuple(parameter.shape)}")
                with torch.no_grad():
                    parameter.copy_(value)
            segment += [conv, nn.ReLU(inplace=True)]
            channels, index = width, index + 2
        layers[tap] = nn.Sequential(*segment)
    return layers


def load(record: Fixed) -> FixedNetwork:
    """The network of ``record``. torchvision's preprocessing: (x − mean) / deviation for x in [0, 1]."""
    state, digest = weights.read(record)
    scale = [0.5 / deviation for deviation in DEVIATION]
    shift = [(0.5 - mean) / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
    return FixedNetwork(record, digest, segments(state), scale=scale, shift=shift)
