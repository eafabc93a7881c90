"""Builds the networks of one run from ``networks`` in ``params.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from cgm.core import own
from cgm.networks import GENERATORS, dcgan
from cgm.networks.heads import PatchHeads
from cgm.networks.patchgan import PatchGAN
from cgm.networks.settings import Networks
from cgm.networks.size import Size


@dataclass(frozen=True)
class Builder:
    """What a method builds its networks with. Weights are not initialised yet."""

    settings: Networks
    image_size: Size
    channels: int = 3
    """Of the images: 3, or 1 where they are grey."""
    sizes: Mapping[str, Any] = field(default_factory=dict)
    """Of a generator of the user's own."""

    def generator(self, name: str, more_inputs: int = 0) -> nn.Module:
        """One of the translating generators, x → ŷ, by its name in :data:`cgm.networks.GENERATORS`, or its place.

        ``more_inputs``: channels that come with those of x.
        """
        sizes = self.sizes if own.is_place(name) else getattr(self.settings, name).model_dump()
        inputs = {"inputs": self.channels + more_inputs} if more_inputs else {}
        return GENERATORS[name](self.image_size, channels=self.channels, **inputs, **sizes)

    def patchgan(self, images: int = 1) -> PatchGAN:
        """A discriminator that sees ``images`` images on top of each other: one, or a condition and an image."""
        return PatchGAN(images * self.channels, **self.settings.patchgan.model_dump())

    def heads(self, channels: Sequence[int], width: int) -> PatchHeads:
        """What embeds patches of maps that have so many ``channels``."""
        return PatchHeads(channels, width)

    def dcgan(self) -> tuple[dcgan.Generator, dcgan.Discriminator]:
        """The unconditional pair; the generator's ``latent`` says how many numbers z has."""
        sizes = self.settings.dcgan
        return (
            dcgan.Generator(self.image_size, sizes.width, sizes.latent, self.channels),
            dcgan.Discriminator(self.image_size, sizes.width, self.channels),
        )
