"""Generators, discriminators, and the frozen networks that losses and metrics look through."""

from typing import Any

from cgm.core.registry import Registry

GENERATORS: Registry[Any] = Registry(
    "generator",
    {
        "unet": "cgm.networks.unet:UNet",
        "resnet": "cgm.networks.resnet:ResNet",
    },
)
"""Generators that translate an image; ``networks`` in ``params.yaml`` has the sizes of each under its name. A
generator's ``multiple`` says of what number of pixels heights and widths must be multiples, when it translates pictures of any size."""
