"""VGG-16, the loss network of Johnson et al. 2016. Its weights are torchvision's, downloaded at first use."""

from __future__ import annotations

from cgm.core.registry import About
from cgm.networks.fixed.record import AT_128, Fixed, Published

VGG16 = Fixed(
    name="vgg16",
    about=About(title="VGG-16", short="VGG16", citation="Simonyan & Zisserman, ICLR 2015", protocol=AT_128),
    family="vgg",
    weights=Published(
        file="vgg16-397923af.pth",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        source="torchvision (BSD-3-Clause), trained on ImageNet-1k",
    ),
    taps=("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    content_layers=("relu2_2",),
    style_layers=("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
    load="cgm.networks.fixed.vgg:load",
)
