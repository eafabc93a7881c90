"""EfficientNet-Lite 0 and 1 (Tan & Le, ICML 2019; the "lite" variants of the authors' TPU repository).

EfficientNet without squeeze-and-excitation, with ReLU6 in place of swish, and with stem (32) and head (1280) that don't grow.
The weights are ImageNet's, converted from TensorFlow: hence SAME padding (the odd pixel goes right and below) and ε = 10⁻³.

Batch normalisation is folded into the convolutions while loading (in float64): the network is never trained, the sums are the same,
and no running statistics are left that a stray ``.train()`` could disturb.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cgm.networks.fixed import weights
from cgm.networks.fixed.network import FixedNetwork
from cgm.networks.fixed.record import Fixed

EPSILON = 1e-3
STEM, HEAD, CLASSES = 32, 1280, 1000
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
"""Repeats, kernel, stride, expansion, output channels (Tan & Le, table 1)."""


class SameConv(nn.Module):
    """Convolution with TensorFlow's SAME padding, its folded batch normalisation, and optionally ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activation: bool = True) -> None:
        super().__init__()
        symmetric = (kernel - 1) // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, symmetric, groups=groups)
        self.kernel, self.stride, self.activation = kernel, stride, activation

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            height, width = (self._pad(size) for size in x.shape[-2:])
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        x = self.conv(x)
        # in place: neither the convolution's nor ReLU6's backward pass needs the convolution's output
        return F.relu6(x, inplace=True) if self.activation else x

    def _pad(self, size: int) -> int:
        return max((math.ceil(size / self.stride) - 1) * self.stride + self.kernel - size, 0)


class Block(nn.Module):
    """Inverted residual: expand (1×1), depthwise, project (1×1, linear); skip where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = SameConv(inputs, middle, 1) if expansion > 1 else None
        self.depthwise = SameConv(middle, middle, kernel, stride, groups=middle)
        self.project = SameConv(middle, outputs, 1, activation=False)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return x + y if self.skip else y


def segments(name: str, depth: float, state: Mapping[str, Tensor]) -> tuple[dict[str, nn.Module], nn.Linear]:
    """The network as named segments (``stem``, ``block0`` …, ``head``), each applied to the one before, and the ImageNet classifier.

    ``depth``: the network's depth coefficient; the first and the last stage stay at one block. ``state``: the published state dictionary.
    Raises ``ValueError`` if ``state`` lacks a tensor, has one too many, or one of another shape.
    """
    left = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    layers: dict[str, nn.Module] = {"stem": _fold(SameConv(3, STEM, 3, 2), left, "_conv_stem", "_bn0")}
    channels = STEM
    for stage, (repeats, kernel, stride, expansion, outputs) in enumerate(STAGES):
        if 0 < stage < len(STAGES) - 1:
            repeats = math.ceil(depth * repeats)
        for repeat in range(repeats):
            index = len(layers) - 1
            block = Block(channels, outputs, kernel, stride if repeat == 0 else 1, expansion)
            prefix = f"_blocks.{index}."
            if block.expand is not None:
                _fold(block.expand, left, prefix + "_expand_conv", prefix + "_bn0")
            _fold(block.depthwise, left, prefix + "_depthwise_conv", prefix + "_bn1")
            _fold(block.project, left, prefix + "_project_conv", prefix + "_bn2")
            layers[f"block{index}"] = block
            channels = outputs
    layers["head"] = _fold(SameConv(channels, HEAD, 1), left, "_conv_head", "_bn1")
    classifier = nn.Linear(HEAD, CLASSES)
    _copy(classifier.weight, left, "_fc.weight")
    _copy(classifier.bias, left, "_fc.bias")
    if left:
        raise ValueError(f"{name}: found {len(left)} tensors that the architecture doesn't have, the first being {min(left)}")
    return layers, classifier


def _fold(layer: SameConv, state: dict[str, Tensor], conv: str, norm: str) -> SameConv:
    """w ← γ w / √(σ² + ε), b ← β − γ μ / √(σ² + ε); what was used leaves ``state``."""
    weight, gamma, beta, mean, variance = (
        _take(state, key).double()
        for key in (f"{conv}.weight", f"{norm}.weight", f"{norm}.bias", f"{norm}.running_mean", f"{norm}.running_var")
    )
    scale = gamma / torch.sqrt(variance + EPSILON)
    assert layer.conv.bias is not None
    _set(layer.conv.weight, weight * scale[:, None, None, None], conv)
    _set(layer.conv.bias, beta - mean * scale, norm)
    return layer


def _take(state: dict[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise ValueError(f"weights: {key} is missing")
    return state.pop(key)


def _copy(parameter: Tensor, state: dict[str, Tensor], key: str) -> None:
    _set(parameter, _take(state, key), key)


def _set(parameter: Tensor, value: Tensor, key: str) -> None:
    if parameter.shape != value.shape:
        raise ValueError(f"weights: {key} has shape {tuple(value.shape)}, expected {tuple(parameter.shape)}")
    with torch.no_grad():
        parameter.copy_(value)


def lite0(record: Fixed) -> FixedNetwork:
    return _load(record, 1.0)


def lite1(record: Fixed) -> FixedNetwork:
    return _load(record, 1.1)


def _load(record: Fixed, depth: float) -> FixedNetwork:
    """Published preprocessing: (255 x − 127) / 128 for x in [0, 1]."""
    state, digest = weights.read(record)
    layers, classifier = segments(record.name, depth, state)
    return FixedNetwork(record, digest, layers, scale=[127.5 / 128] * 3, shift=[0.5 / 128] * 3, classifier=classifier)
