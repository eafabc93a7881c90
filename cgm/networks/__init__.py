"""Generators, discriminators, and the frozen networks that losses and metrics look through."""

from typing import Any

from cgm.core.registry import Registry
from cgm.networks.own import complete

GENERATORS: Registry[Any] = Registry(
    "generator",
    {
        "unet": "cgm.networks.unet:UNet",
        "resnet": "cgm.networks.resnet:ResNet",
    },
    complete,
)
"""Generators that translate an image; ``networks`` in ``params.yaml`` has the sizes of each under its name. One of the user's own is
named by its place, ``my_nets.py:MyUNet``, and has its sizes in the method's entry. A generator's ``multiple`` says of what number of pixels
heights and widths must be multiples, when it translates pictures of any size."""
