"""AlexNet, the trunk of LPIPS 0.1. Its weights are torchvision's."""

from __future__ import annotations

from cgm.core.registry import About
from cgm.networks.fixed.record import Fixed, Published

ALEXNET = Fixed(
    name="alexnet",
    about=About(title="AlexNet", citation="Krizhevsky, 2014 (arXiv:1404.5997)"),
    family="alexnet",
    weights=Published(
        file="alexnet-owt-7be5be79.pth",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        source="torchvision (BSD-3-Clause), trained on ImageNet-1k",
    ),
)
