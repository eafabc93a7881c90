"""Standard layers, each computed as the device does it best. Parameters, state and values are those of torch's own.

Maps are channels last (NHWC in memory) throughout: tensor cores want them so, and oneDNN's convolutions and torch's padding are faster on
them on the CPU too. A layer in front of a normalisation has no bias: the mean, which the bias would move, is taken away again.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def side_by_side(images: torch.Tensor) -> torch.Tensor:
    """N×C×H×W with the channels of a pixel side by side in memory. Layers leave their output as they found their input."""
    return images.contiguous(memory_format=torch.channels_last)


class InstanceNorm2d(nn.InstanceNorm2d):
    """Instance normalisation (Ulyanov et al. 2016) over batch statistics, N×C×H×W → the same shape.

    torch's own kernel for the CPU is slow. Where channels lie side by side, it is batch normalisation of each image alone, else layer
    normalisation over the pixels of each channel: the same sums.
    """

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        if h.device.type != "cpu":
            return super().forward(h)
        count, channels, height, width = h.shape
        if not h.is_contiguous():
            # With no scale and shift at hand, torch would round mean and variance to the precision of the maps.
            kind = torch.promote_types(h.dtype, torch.float32)
            scale = self.weight if self.affine else h.new_ones(channels, dtype=kind)
            shift = self.bias if self.affine else h.new_zeros(channels, dtype=kind)
            return torch.cat([F.batch_norm(image, None, None, scale, shift, training=True, eps=self.eps) for image in h.split(1)])
        normalised = F.layer_norm(h.view(count, channels, -1), (height * width,), eps=self.eps).view_as(h)
        if not self.affine:
            return normalised
        weight, bias = (parameter.to(normalised.dtype).view(1, channels, 1, 1) for parameter in (self.weight, self.bias))
        return torch.addcmul(bias, normalised, weight)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that translates with the image's own statistics, as Pix2Pix does (Isola et al. 2017, section 3.4).

    In training over the batch, in evaluation mode over each image alone: no running averages, and no output that depends on its neighbours.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, track_running_stats=False)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return super().forward(h) if self.training else F.instance_norm(h, weight=self.weight, bias=self.bias, eps=self.eps)


class ReflectionPad(nn.Module):
    """Reflection padding; on CUDA out of slices, for ``nn.ReflectionPad2d`` has no deterministic gradient there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        n = self.width
        if h.device.type != "cpu":
            return reflected(h, n)
        with torch.autocast("cpu", enabled=False):  # which would pad in float32 and have the next convolution round it back
            return F.pad(h, (n, n, n, n), mode="reflect")


def reflected(h: torch.Tensor, width: int) -> torch.Tensor:
    """N×C×H×W with ``width`` mirrored pixels at each side, by slices alone."""
    n = width
    h = torch.cat([h[:, :, 1 : n + 1].flip(2), h, h[:, :, -n - 1 : -1].flip(2)], dim=2)
    return torch.cat([h[..., 1 : n + 1].flip(3), h, h[..., -n - 1 : -1].flip(3)], dim=3)


FEW = 64
"""Positions of a map up to which a 4×4 convolution of stride 2 is a product of matrices on the CPU. There the weights are larger than the
maps by far, and the time goes into handling them: a product takes them as they lie, where oneDNN's convolution brings them into blocks,
and their gradient back, at each call. Measured at batch 8 in bfloat16: up to 64 the product is faster, from 256 on the convolution."""


class HalvingConv(nn.Conv2d):
    """4×4 convolution of stride 2, padded by 1: N×I×2H×2W → N×O×H×W."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        count, _, height, width = h.shape
        if h.device.type != "cpu" or height * width > 4 * FEW:
            return super().forward(h)
        y = F.linear(Patches.apply(h), self.weight.permute(0, 2, 3, 1).flatten(1), self.bias)
        return y.view(count, height // 2, width // 2, -1).permute(0, 3, 1, 2)


class DoublingConv(nn.ConvTranspose2d):
    """Transposed 4×4 convolution of stride 2, padded by 1: N×I×H×W → N×O×2H×2W."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, h: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        count, inputs, height, width = h.shape
        if h.device.type != "cpu" or height * width > FEW:
            return super().forward(h, output_size)
        columns = h.permute(0, 2, 3, 1).reshape(-1, inputs) @ self.weight.permute(0, 2, 3, 1).flatten(1)
        y = Overlaid.apply(columns, (count, self.out_channels, 2 * height, 2 * width))
        return y if self.bias is None else y + self.bias.to(y.dtype).view(1, -1, 1, 1)


class Patches(torch.autograd.Function):
    """The 4×4 patches that a convolution of stride 2, padded by 1, looks at: N×C×2H×2W → NHW×16C, a row being kernel row, kernel column,
    channel. Its gradient is :class:`Overlaid`.

    Channels lie side by side, so four pixels of a row are copied as one piece; ``F.unfold`` puts each number in its place by itself.
    """

    @staticmethod
    def forward(ctx: Any, h: torch.Tensor) -> torch.Tensor:
        count, channels, height, width = ctx.form = h.shape
        padded = h.new_zeros(count, height + 2, width + 2, channels)
        padded[:, 1:-1, 1:-1] = h.permute(0, 2, 3, 1)
        image, row, pixel, _ = padded.stride()
        patches = padded.as_strided((count, height // 2, width // 2, 4, 4 * channels), (image, 2 * row, 2 * pixel, row, 1))
        return patches.reshape(-1, 16 * channels)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return Overlaid.apply(gradient, ctx.form)


class Overlaid(torch.autograd.Function):
    """NHW×16C patches laid over each other at every second pixel and added, without the outermost ring: → N×C×2H×2W, ``form``, channels
    last. Its gradient is :class:`Patches`.

    In blocks of 2×2 pixels a patch is 2×2 blocks, so four additions of whole maps do it.
    """

    @staticmethod
    def forward(ctx: Any, patches: torch.Tensor, form: tuple[int, int, int, int]) -> torch.Tensor:
        count, channels, height, width = form[0], form[1], form[2] // 2, form[3] // 2
        blocks = patches.view(count, height, width, 2, 2, 2, 2, channels)  # image, place, block row, pixel row, block column, pixel column
        added = patches.new_zeros(count, height + 1, 2, width + 1, 2, channels)
        for down in (0, 1):
            for right in (0, 1):
                added[:, down : down + height, :, right : right + width] += blocks[:, :, :, down, :, right].permute(0, 1, 3, 2, 4, 5)
        pixels = added.view(count, 2 * height + 2, 2 * width + 2, channels)
        return side_by_side(pixels[:, 1:-1, 1:-1].permute(0, 3, 1, 2))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return Patches.apply(gradient), None


class FoldedConv(nn.Conv2d):
    """k×k convolution of stride 1, not padded, to a few channels: N×I×(H+k-1)×(W+k-1) → N×O×H×W; k odd, H and W even.

    Few channels would leave most lanes of a CPU idle. So it makes the outputs of 2×2 neighbours at once, as 4·O channels: a kernel larger
    by one each way, at every second place. Two pixels of a row, side by side as they lie, are one of twice the channels.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        if h.device.type != "cpu" or self.bias is None:
            return super().forward(h)
        count, inputs, height, width = h.shape
        outputs, size = self.out_channels, self.kernel_size[0] + 1
        pairs = h.permute(0, 2, 3, 1).reshape(count, height, width // 2, 2 * inputs).permute(0, 3, 1, 2)
        kernels = torch.stack([F.pad(self.weight, (right, 1 - right, down, 1 - down)) for down in (0, 1) for right in (0, 1)])
        kernels = kernels.reshape(4 * outputs, inputs, size, size // 2, 2).permute(0, 4, 1, 2, 3)
        kernels = kernels.reshape(4 * outputs, 2 * inputs, size, size // 2)
        return unfolded(F.conv2d(pairs, kernels, self.bias.repeat(4), stride=(2, 1)), outputs)


class FoldedDoublingConv(nn.ConvTranspose2d):
    """Transposed 4×4 convolution of stride 2, padded by 1, to a few channels: N×I×H×W → N×O×2H×2W.

    On the CPU a 2×2 convolution to 4·O channels, as in :class:`FoldedConv`: at place j it makes the outputs 2j-1 and 2j each way, which
    see the inputs j-1 and j; those of the first and the last place lie outside.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 4, 2, 1)

    def forward(self, h: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        if h.device.type != "cpu" or self.bias is None:
            return super().forward(h, output_size)
        inputs, outputs = self.in_channels, self.out_channels
        taps = self.weight.view(inputs, outputs, 2, 2, 2, 2).flip(2, 4)  # input j-1 meets rows 2 and 3 of the kernel, input j 0 and 1
        kernels = taps.permute(3, 5, 1, 0, 2, 4).reshape(4 * outputs, inputs, 2, 2)
        y = unfolded(F.conv2d(h, kernels, self.bias.repeat(4), padding=1), outputs)
        return side_by_side(y[:, :, 1:-1, 1:-1])


def unfolded(h: torch.Tensor, channels: int) -> torch.Tensor:
    """N×4C×H×W → N×C×2H×2W: the channels of 2×2 neighbours, row by row, to their places."""
    count, _, height, width = h.shape
    h = h.permute(0, 2, 3, 1).reshape(count, height, width, 2, 2, channels).transpose(2, 3)
    return h.reshape(count, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
