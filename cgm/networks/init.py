"""Weight initialisation and parameter counts."""

from __future__ import annotations

import torch
from torch import nn


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Convolutions and linear layers from N(0, 0.02), normalisation scales from N(1, 0.02), biases 0, in place.

    Source: Radford et al. 2016 (DCGAN), section 3; kept by Pix2Pix (section 6.2) and CycleGAN (section 7.2).
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.weight.data.normal_(0.0, 0.02, generator=generator)
        elif isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)) and module.affine:
            module.weight.data.normal_(1.0, 0.02, generator=generator)
        else:
            continue
        if module.bias is not None:
            module.bias.data.zero_()


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
