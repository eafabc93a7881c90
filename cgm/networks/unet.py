"""U-Net generator of Pix2Pix (Isola et al. 2017, section 3.2.1 and 6.1.1)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from cgm.networks.layers import BatchNorm2d, DoublingConv, FoldedDoublingConv, HalvingConv, InstanceNorm2d, side_by_side
from cgm.networks.size import Size, halvings, text

FEWEST_LEVELS = 3


def _norm(kind: Literal["batch", "instance"], channels: int) -> nn.Module:
    return BatchNorm2d(channels) if kind == "batch" else InstanceNorm2d(channels, affine=True)


class UNet(nn.Module):
    """Encoder and decoder with a skip connection at each resolution.

    N×C×H×W in [-1, 1] → N×C×H×W in (-1, 1). One strided 4×4 convolution a level, as often as both sides halve: down to 1×1 for the paper's
    squares of a power of two;
    channels ``width`` × 1, 2, 4, 8, 8, … The first level and the bottleneck are not normalised (normalising a 1×1 map of one image would
    erase it). Dropout, the only noise, acts on the first three levels of the decoder from 128 px on, as in the authors' two networks (128
    and 256 px), and on the first one below. Once trained it takes any height and width that are multiples of S (:attr:`multiple`); the
    bottleneck is larger then. ``inputs``: channels of x, where they are not the image's ``channels``.
    Raises ``ValueError`` on another size.
    """

    def __init__(
        self,
        image_size: Size,
        width: int = 64,
        dropout: float = 0.5,
        norm: Literal["batch", "instance"] = "batch",
        channels: int = 3,
        inputs: int | None = None,
    ) -> None:
        super().__init__()
        levels = halvings(image_size)
        if levels < FEWEST_LEVELS:
            raise ValueError(f"image size: found {text(image_size)}, expected multiples of {2**FEWEST_LEVELS}")
        widths = [width * min(2**level, 8) for level in range(levels)]
        self.multiple = 2**levels
        self.dropout = dropout
        self.dropout_levels = 3 if levels >= 7 else 1
        self.down = nn.ModuleList()
        for level, out in enumerate(widths):
            reads = (inputs or channels) if level == 0 else widths[level - 1]
            normalised = 0 < level < levels - 1
            layers: list[nn.Module] = [] if level == 0 else [nn.LeakyReLU(0.2)]
            layers.append(HalvingConv(reads, out, bias=not normalised))
            if normalised:
                layers.append(_norm(norm, out))
            self.down.append(nn.Sequential(*layers))
        self.up = nn.ModuleList()
        for level in reversed(range(levels)):
            reads = widths[level] if level == levels - 1 else 2 * widths[level]
            out = channels if level == 0 else widths[level - 1]
            layers = [nn.ReLU(), FoldedDoublingConv(reads, out) if level == 0 else DoublingConv(reads, out, bias=False)]
            layers.append(nn.Tanh() if level == 0 else _norm(norm, out))
            self.up.append(nn.Sequential(*layers))

    def forward(self, x: torch.Tensor, noise: torch.Generator | None = None) -> torch.Tensor:
        """Translate ``x``; with ``noise`` dropout is drawn from it, without it dropout is off and the output is deterministic."""
        skips: list[torch.Tensor] = []
        h = side_by_side(x)
        for down in self.down:
            h = down(h)
            skips.append(h)
        h = skips.pop()
        for depth, up in enumerate(self.up):
            h = up(h)
            if depth < self.dropout_levels:
                h = drop(h, self.dropout, noise)
            if skips:
                h = torch.cat([h, skips.pop()], dim=1)
        return h


def drop(h: torch.Tensor, probability: float, noise: torch.Generator | None) -> torch.Tensor:
    """Dropout (Srivastava et al. 2014) whose mask comes from an explicit generator; the identity without one."""
    if noise is None or probability == 0:
        return h
    keep = torch.rand(h.shape, generator=noise, device=h.device) >= probability
    return h * keep / (1 - probability)
