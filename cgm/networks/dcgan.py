"""Generator and discriminator of the unconditional GAN (Radford et al. 2016, section 3 and figure 1)."""

from __future__ import annotations

import torch
from torch import nn

from cgm.networks.layers import DoublingConv, HalvingConv, side_by_side


def _levels(image_size: int) -> int:
    """How many times 4×4 doubles to ``image_size``."""
    levels = image_size.bit_length() - 3
    if image_size != 4 << levels or levels < 1:
        raise ValueError(f"image size: found {image_size}, expected a power of two of 8 or more")
    return levels


class Generator(nn.Module):
    """z, N×latent → N×3×S×S in (-1, 1): a 4×4 projection, then a strided transposed convolution for each doubling; batch normalisation."""

    def __init__(self, image_size: int, width: int = 64, latent: int = 100) -> None:
        super().__init__()
        levels = _levels(image_size)
        channels = [width * min(2**level, 8) for level in reversed(range(levels))]
        self.latent = latent
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, channels[0], 4, 1, 0, bias=False)]
        for inputs, out in zip(channels, [*channels[1:], 3], strict=True):
            layers += [nn.BatchNorm2d(inputs), nn.ReLU(), DoublingConv(inputs, out, bias=out == 3)]
        layers.append(nn.Tanh())
        self.body = nn.Sequential(*layers)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.body(z[:, :, None, None])


class Discriminator(nn.Module):
    """N×3×S×S → N×1×1×1 logits: strided convolutions to 4×4, LeakyReLU, not normalised.

    The paper's batch normalisation takes its statistics over 128 images. Over the few of a batch here, real batches and fake ones can be
    told apart by the statistics alone, D wins at once and G learns nothing.
    """

    def __init__(self, image_size: int, width: int = 64) -> None:
        super().__init__()
        levels = _levels(image_size)
        layers: list[nn.Module] = []
        inputs = 3
        for level in range(levels):
            out = width * min(2**level, 8)
            layers += [HalvingConv(inputs, out), nn.LeakyReLU(0.2)]
            inputs = out
        layers.append(nn.Conv2d(inputs, 1, 4, 1, 0))
        self.body = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(side_by_side(images))
