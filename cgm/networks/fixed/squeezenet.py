"""SqueezeNet 1.1, a trunk of LPIPS 0.1. Its weights are torchvision's, downloaded at first use."""

from __future__ import annotations

from cgm.core.registry import About
from cgm.networks.fixed.record import Fixed, Published

SQUEEZENET = Fixed(
    name="squeezenet",
    about=About(title="SqueezeNet 1.1", citation="Iandola et al., 2016 (arXiv:1602.07360)"),
    family="squeezenet",
    published=Published(
        file="squeezenet1_1-b8a52dc0.pth",
        url="https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
        sha256="b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
        source="torchvision (BSD-3-Clause), trained on ImageNet-1k",
    ),
)
