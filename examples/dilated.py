"""A generator without strides: convolutions that look further and further apart, at full resolution.

Source: Yu & Koltun 2016, table 1 (the context module), here between images.
"""

from __future__ import annotations

import torch
from torch import nn


class Dilated(nn.Module):
    """N×C×H×W in [-1, 1] → the same, for any H and W: ``multiple`` is 1."""

    multiple = 1

    def __init__(self, image_size: int | tuple[int, int], width: int = 32, depth: int = 4, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
        for level in range(depth):
            step = 2**level
            layers += [nn.Conv2d(width, width, 3, padding=step, dilation=step), nn.InstanceNorm2d(width, affine=True), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 1), nn.Tanh())

    def forward(self, x: torch.Tensor, noise: torch.Generator | None = None) -> torch.Tensor:
        """``noise`` is for networks that draw; this one doesn't."""
        return self.layers(x)
