"""The sizes of the trainable networks, as ``networks`` in ``params.yaml`` gives them.

The defaults are those of the authors' code.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_type_hints

from pydantic import Field, create_model

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

    def merged(self, changes: Any) -> Networks:
        """With the sizes that ``changes`` (of :data:`Changes`, or None) names."""
        named = changes.model_dump(exclude_none=True) if changes else {}
        return self.model_copy(update={name: getattr(self, name).model_copy(update=sizes) for name, sizes in named.items()})


def _optional(model: type[Model], **types: Any) -> type[Model]:
    """The same settings, each of which may be left out: None. ``types``: in place of the fields' own."""
    hints = get_type_hints(model, include_extras=True) | types
    fields: dict[str, Any] = {name: (hints[name] | None, None) for name in model.model_fields}
    return create_model(f"{model.__name__}Changes", __base__=Model, **fields)


Changes: Any = _optional(Networks, **{name: _optional(type(sizes)) for name, sizes in Networks()})
"""Some sizes of some networks: ``{patchgan: {layers: 3}}``. None is what isn't named, also of ``resnet.blocks``."""
