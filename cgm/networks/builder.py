"""Builds the networks of one run from ``networks`` in ``params.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

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

    def generator(self, name: str, more_inputs: int = 0) -> nn.Module:
        """One of the translating generators, x → ŷ, by its name in :data:`cgm.networks.GENERATORS`.

        ``more_inputs``: channels that come with those of x.
        """
        sizes = getattr(self.settings, name).model_dump()
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
