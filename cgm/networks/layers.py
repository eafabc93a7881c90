"""Standard layers, each computed as the device does it best. Parameters, state and values are those of torch's own."""

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


FEW = 16
"""Positions of a map up to which a 4×4 convolution of stride 2 is a product of matrices on the CPU. There the weights are larger than the
maps by far, and the time goes into handling them: a product takes them as they lie, where oneDNN's convolution brings them into blocks,
and their gradient back, at each call."""


class HalvingConv(nn.Conv2d):
    """4×4 convolution of stride 2, padded by 1: N×I×2H×2W → N×O×H×W."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        count, _, height, width = h.shape
        positions = height * width // 4
        if h.device.type != "cpu" or positions > FEW:
            return super().forward(h)
        patches = F.unfold(h, 4, padding=1, stride=2).transpose(1, 2).reshape(count * positions, -1)
        y = F.linear(patches, self.weight.flatten(1), self.bias)
        return y.view(count, positions, -1).transpose(1, 2).reshape(count, -1, height // 2, width // 2)


class DoublingConv(nn.ConvTranspose2d):
    """Transposed 4×4 convolution of stride 2, padded by 1: N×I×H×W → N×O×2H×2W."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, h: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        count, _, height, width = h.shape
        positions = height * width
        if h.device.type != "cpu" or positions > FEW:
            return super().forward(h, output_size)
        columns = h.flatten(2).transpose(1, 2).reshape(count * positions, -1) @ self.weight.flatten(1)
        y = F.fold(columns.view(count, positions, -1).transpose(1, 2), (2 * height, 2 * width), 4, padding=1, stride=2)
        return y if self.bias is None else y + self.bias.to(y.dtype).view(1, -1, 1, 1)
