"""PatchGAN discriminator (Isola et al. 2017, section 3.2.2 and 6.1.2)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from cgm.networks.layers import BatchNorm2d, InstanceNorm2d, side_by_side


def receptive_field(layers: int) -> int:
    """Side in pixels of the patch that one output judges: 1, 16, 34, 70, 142, … for 0, 1, 2, 3, 4, … strided layers.

    Back from the output, a convolution of kernel k and stride s sees (field − 1)·s + k.
    """
    if layers == 0:
        return 1
    field = 1
    for kernel, stride in [(4, 1), (4, 1)] + [(4, 2)] * layers:
        field = (field - 1) * stride + kernel
    return field


class PatchGAN(nn.Module):
    """Classifies each patch as real or fake: N×channels×S×S → N×1×S'×S' logits (no sigmoid).

    ``layers`` strided convolutions of ``width`` × 1, 2, 4, 8, 8, … channels, one of stride 1, one to a single channel; with ``layers=0``
    three 1×1 convolutions (PixelGAN). ``norm``, except in the first layer: ``batch``, as in Pix2Pix; ``instance``, as in CycleGAN, which
    batch normalisation is at a batch size of 1; ``none`` lets D see absolute colours. The input of a conditional discriminator is x and y
    concatenated (``channels=6``).
    """

    def __init__(self, channels: int, width: int = 64, layers: int = 3, norm: Literal["batch", "instance", "none"] = "instance") -> None:
        super().__init__()
        kernel, padding = (1, 0) if layers == 0 else (4, 1)
        self.receptive_field = receptive_field(layers)
        first_stride = 1 if layers == 0 else 2
        body: list[nn.Module] = [nn.Conv2d(channels, width, kernel, first_stride, padding), nn.LeakyReLU(0.2, inplace=True)]
        inputs = width
        for level in range(1, max(layers, 1) + 1):
            out = width * min(2**level, 8)
            stride = 2 if level < layers else 1
            body.append(nn.Conv2d(inputs, out, kernel, stride, padding, bias=norm == "none"))
            if norm != "none":
                body.append(BatchNorm2d(out) if norm == "batch" else InstanceNorm2d(out, affine=True))
            body.append(nn.LeakyReLU(0.2, inplace=True))
            inputs = out
        body.append(nn.Conv2d(inputs, 1, kernel, 1, padding))
        self.body = nn.Sequential(*body)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(side_by_side(images))

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The maps on the way to the logits, one after each block's activation, and the logits last, as :meth:`forward` gives them."""
        maps, h = [], side_by_side(images)
        for layer in self.body:
            h = layer(h)
            if isinstance(layer, nn.LeakyReLU):
                maps.append(h)
        return [*maps, h]
