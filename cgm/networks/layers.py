"""Two standard layers, each computed as the device does it best. Parameters, state and values are those of torch's own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class InstanceNorm2d(nn.InstanceNorm2d):
    """Instance normalisation (Ulyanov et al. 2016) over batch statistics, N×C×H×W → the same shape.

    On the CPU it is layer normalisation over the pixels of each channel: the same sums by a kernel that is up to twice as fast.
    """

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        if h.device.type != "cpu":
            return super().forward(h)
        count, channels, height, width = h.shape
        pixels = height * width
        normalised = F.layer_norm(h.reshape(count, channels, pixels), (pixels,), eps=self.eps).view_as(h)
        if not self.affine:
            return normalised
        weight, bias = (parameter.to(normalised.dtype).view(1, channels, 1, 1) for parameter in (self.weight, self.bias))
        return torch.addcmul(bias, normalised, weight)


class ReflectionPad(nn.Module):
    """Reflection padding; on CUDA out of slices, for ``nn.ReflectionPad2d`` has no deterministic gradient there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        n = self.width
        if h.device.type == "cpu":
            return F.pad(h, (n, n, n, n), mode="reflect")
        return reflected(h, n)


def reflected(h: torch.Tensor, width: int) -> torch.Tensor:
    """N×C×H×W with ``width`` mirrored pixels at each side, by slices alone."""
    n = width
    h = torch.cat([h[:, :, 1 : n + 1].flip(2), h, h[:, :, -n - 1 : -1].flip(2)], dim=2)
    return torch.cat([h[..., 1 : n + 1].flip(3), h, h[..., -n - 1 : -1].flip(3)], dim=3)
