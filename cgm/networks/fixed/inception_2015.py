"""Inception-2015, the network of the FID as published (Heusel et al., NeurIPS 2017). Its weights are downloaded at first use."""

from __future__ import annotations

from cgm.core.registry import About
from cgm.networks.fixed.record import Fixed, Published

INCEPTION_2015 = Fixed(
    name="inception-2015",
    about=About(
        title="Inception-2015",
        short="Inception",
        citation="Szegedy et al., CVPR 2016; Heusel et al., NeurIPS 2017",
        protocol="as published for FID, by torch-fidelity's extractor: RGB resized to 299×299 px (bilinear as in TensorFlow 1, not "
        "antialiased), float32; features: the 2048 of the last pooling",
    ),
    family="inception",
    published=Published(
        file="weights-inception-2015-12-05-6726825d.pth",
        url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        source="TensorFlow's network of FID (Apache-2.0), converted by torch-fidelity",
    ),
    taps=("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c"),
    load="cgm.networks.fixed.inception:Inception",
)
