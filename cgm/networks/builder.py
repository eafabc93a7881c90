"""Builds the networks of one run from ``networks`` in ``params.yaml``."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from cgm.networks import GENERATORS, dcgan
from cgm.networks.patchgan import PatchGAN
from cgm.networks.settings import Networks


@dataclass(frozen=True)
class Builder:
    """What a method builds its networks with. Weights are not initialised yet."""

    settings: Networks
    image_size: int

    def generator(self, name: str) -> nn.Module:
        """One of the translating generators, x → ŷ, by its name in :data:`cgm.networks.GENERATORS`."""
        sizes = getattr(self.settings, name).model_dump()
        return GENERATORS[name](self.image_size, **sizes)

    def patchgan(self, channels: int = 3) -> PatchGAN:
        """A discriminator that sees ``channels`` channels: 3 of an image, 6 of a condition and an image."""
        return PatchGAN(channels, **self.settings.patchgan.model_dump())

    def dcgan(self) -> tuple[dcgan.Generator, dcgan.Discriminator]:
        """The unconditional pair; the generator's ``latent`` says how many numbers z has."""
        sizes = self.settings.dcgan
        return dcgan.Generator(self.image_size, sizes.width, sizes.latent), dcgan.Discriminator(self.image_size, sizes.width)
