"""Residual generator of CycleGAN (Zhu et al. 2017, section 4 and 7.2), after Johnson et al. 2016."""

from __future__ import annotations

from itertools import islice

import torch
from torch import nn

from cgm.networks.layers import FoldedConv, InstanceNorm2d, ReflectionPad, side_by_side
from cgm.networks.size import Size, halvings, height_width, text


class Residual(nn.Module):
    """Two reflection-padded 3×3 convolutions around an identity path."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            InstanceNorm2d(channels),
        )

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.body(h).add_(h)


class ResNet(nn.Module):
    """c7s1-w, d2w, d4w, R4w × blocks, u2w, uw, c7s1-C with instance normalisation and reflection padding.

    N×C×H×W in [-1, 1] → N×C×H×W in (-1, 1), sides divisible by 4. ``blocks=None`` takes the paper's 9 from 256 px on and 6 below.
    It has no noise: the output is a function of x. Once trained it takes any height and width of 8 or more that are multiples of 4
    (:attr:`multiple`). ``inputs``: channels of x, where they are not the image's ``channels``. Raises ``ValueError`` on another size.
    """

    def __init__(self, image_size: Size, width: int = 64, blocks: int | None = None, channels: int = 3, inputs: int | None = None) -> None:
        super().__init__()
        self.multiple = 4
        least = min(height_width(image_size))
        if halvings(image_size) < 2 or least < 8:
            raise ValueError(f"image size: found {text(image_size)}, expected multiples of 4 of 8 or more")
        count = (9 if least >= 256 else 6) if blocks is None else blocks
        layers: list[nn.Module] = [ReflectionPad(3), *self._conv(nn.Conv2d(inputs or channels, width, 7, bias=False), width)]
        self.encoder: list[int] = []
        """Where the layers stand whose maps :meth:`encode` gives."""
        self.encoder_channels = [inputs or channels]
        for factor in (1, 2):
            self.encoder.append(len(layers))
            self.encoder_channels.append(width * factor * 2)
            layers += self._conv(nn.Conv2d(width * factor, width * factor * 2, 3, 2, 1, bias=False), width * factor * 2)
        for block in sorted({min(1, count), min(5, count)} - {0}):
            self.encoder.append(len(layers) + block - 1)
            self.encoder_channels.append(width * 4)
        layers += [Residual(width * 4) for _ in range(count)]
        for factor in (2, 1):
            up = nn.ConvTranspose2d(width * factor * 2, width * factor, 3, 2, 1, output_padding=1, bias=False)
            layers += self._conv(up, width * factor)
        layers += [ReflectionPad(3), FoldedConv(width, channels, 7), nn.Tanh()]
        self.body = nn.Sequential(*layers)

    @staticmethod
    def _conv(convolution: nn.Module, channels: int) -> list[nn.Module]:
        return [convolution, InstanceNorm2d(channels), nn.ReLU(inplace=True)]

    def forward(self, x: torch.Tensor, noise: torch.Generator | None = None) -> torch.Tensor:
        """Translate ``x``; ``noise`` is accepted, so that generators are interchangeable, and not used."""
        return self.body(side_by_side(x))

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        """x itself, and the maps of the encoder: after each of the two strided convolutions, the first and the fifth residual block.

        The layers of CUT (Park et al. 2020, section 4 and appendix); with fewer than five blocks the last takes the fifth's place.
        """
        return self._walk(x, self.encoder[-1] + 1)[1]

    def translate_and_encode(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """:meth:`forward` and :meth:`encode` of ``x`` from one pass."""
        return self._walk(x, len(self.body))

    def _walk(self, x: torch.Tensor, count: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Through the first ``count`` layers."""
        maps, h = [x], side_by_side(x)
        for place, layer in enumerate(islice(self.body, count)):
            h = layer(h)
            if place in self.encoder:
                maps.append(h)
        return h, maps
