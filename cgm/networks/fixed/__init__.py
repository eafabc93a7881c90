"""Frozen, pretrained networks: judges, loss networks and LPIPS's trunks, with their weights."""

from cgm.core.registry import Registry
from cgm.networks.fixed.record import Fixed

FIXED: Registry[Fixed] = Registry(
    "network",
    {
        "efficientnet-lite0": "cgm.networks.fixed.efficientnet_lite0:EFFICIENTNET_LITE0",
        "efficientnet-lite1": "cgm.networks.fixed.efficientnet_lite1:EFFICIENTNET_LITE1",
        "vgg16": "cgm.networks.fixed.vgg16:VGG16",
        "inception-2015": "cgm.networks.fixed.inception_2015:INCEPTION_2015",
        "alexnet": "cgm.networks.fixed.alexnet:ALEXNET",
        "squeezenet": "cgm.networks.fixed.squeezenet:SQUEEZENET",
    },
)
