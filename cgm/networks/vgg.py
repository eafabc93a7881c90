"""VGG-16's convolutional part (Simonyan & Zisserman, ICLR 2015) as torchvision publishes it: the loss network of Johnson et al. 2016."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

STAGES = (
    ("relu1_2", (64, 64)),
    ("relu2_2", (128, 128)),
    ("relu3_3", (256, 256, 256)),
    ("relu4_3", (512, 512, 512)),
    ("relu5_3", (512, 512, 512)),
)
"""The tap at each stage's end, and its convolutions' channels; 2×2 max pooling lies between the stages."""


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
