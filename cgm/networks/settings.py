"""The sizes of the trainable networks, as ``networks`` in ``params.yaml`` gives them.

The defaults are those of the authors' code.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cgm.core.settings import Count, Model


class UNet(Model):
    width: Count = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    norm: Literal["batch", "instance"] = "batch"


class ResNet(Model):
    width: Count = 64
    blocks: Annotated[int, Field(ge=0)] | None = None
    """Residual blocks; ``None``: 9 from 256 px on, else 6 (CycleGAN, section 4)."""


class PatchGAN(Model):
    width: Count = 64
    layers: Annotated[int, Field(ge=0, le=6)] = 3
    """Strided layers: receptive field 1, 16, 34, 70, 142 for 0, 1, 2, 3, 4."""
    norm: Literal["batch", "instance", "none"] = "instance"


class DCGAN(Model):
    width: Count = 64
    latent: Count = 100


class Networks(Model):
    unet: UNet = UNet()
    resnet: ResNet = ResNet()
    patchgan: PatchGAN = PatchGAN()
    dcgan: DCGAN = DCGAN()
