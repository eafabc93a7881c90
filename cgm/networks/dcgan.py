"""Generator and discriminator of the unconditional GAN (Radford et al. 2016, section 3 and figure 1)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from cgm.networks.layers import DoublingConv, HalvingConv, side_by_side
from cgm.networks.size import Size, halvings, height_width, text


def _levels(image_size: Size) -> tuple[int, tuple[int, int]]:
    """How often the first map doubles to ``image_size``, and its height and width: 4×4 for squares of a power of two, as in the paper."""
    levels = halvings(image_size) - 2
    if levels < 1:
        raise ValueError(f"image size: found {text(image_size)}, expected multiples of 8")
    height, width = height_width(image_size)
    return levels, (height >> levels, width >> levels)


class Generator(nn.Module):
    """z, N×latent → N×C×H×W in (-1, 1): a 4×4 projection, then a strided transposed convolution for each doubling; batch normalisation."""

    def __init__(self, image_size: Size, width: int = 64, latent: int = 100, channels: int = 3) -> None:
        super().__init__()
        levels, first = _levels(image_size)
        widths = [width * min(2**level, 8) for level in reversed(range(levels))]
        self.latent = latent
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[0], first, 1, 0, bias=False)]
        for inputs, out in pairwise(widths):
            layers += [nn.BatchNorm2d(inputs), nn.ReLU(), DoublingConv(inputs, out, bias=False)]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(), DoublingConv(widths[-1], channels, bias=True)]
        layers.append(nn.Tanh())
        self.body = nn.Sequential(*layers)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.body(z[:, :, None, None])


class Discriminator(nn.Module):
    """N×C×H×W → N×1×1×1 logits: strided convolutions to 4×4, LeakyReLU, not normalised.

    The paper's batch normalisation takes its statistics over 128 images. Over the few of a batch here, real batches and fake ones can be
    told apart by the statistics alone, D wins at once and G learns nothing.
    """

    def __init__(self, image_size: Size, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        levels, last = _levels(image_size)
        layers: list[nn.Module] = []
        inputs = channels
        for level in range(levels):
            out = width * min(2**level, 8)
            layers += [HalvingConv(inputs, out), nn.LeakyReLU(0.2)]
            inputs = out
        layers.append(nn.Conv2d(inputs, 1, last, 1, 0))
        self.body = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(side_by_side(images))
