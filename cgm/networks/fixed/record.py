"""What is known of a frozen network before it is loaded: where its weights come from and what it can be used for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from cgm.core.errors import UserError
from cgm.core.lazy import torch
from cgm.core.registry import About, resolve

if TYPE_CHECKING:
    from cgm.networks.fixed.network import FixedNetwork

AT_128 = (
    "RGB resized to 128×128 px (antialiased bicubic), the network's published preprocessing, float32; "
    "features: the last map, averaged over its positions"
)
"""How a judge sees an image, unless its record says otherwise."""
Depth = Literal["early", "middle", "late"]
DEPTHS: tuple[Depth, ...] = get_args(Depth)
"""In their order."""


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """Weights that come inside a Python package."""

    package: str
    """As pip names it."""
    version: str
    file: str
    """Inside the package's module."""
    sha256: str
    source: str
    """Whose they are, and under which licence."""
    reader: str = ""
    """``module:function`` that makes torchvision's state dictionary of the file and :attr:`convolutions`. Empty: it is torch's own file."""
    convolutions: tuple[int, ...] = ()
    """Where the file's convolutions stand in torchvision's ``features``, in their order."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A weights file as its publisher offers it."""

    file: str
    url: str
    sha256: str
    source: str
    """Whose it is, and under which licence."""


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """One frozen network."""

    name: str
    about: About
    """``short``: as headings name it (``EffLite0``); ``protocol``: how it sees an image as a judge."""
    family: str
    """Networks of one family see alike: a judge flatters what was trained with a loss network of its family."""
    package: Packaged | None = None
    published: Published | None = None
    """Where its weights are to be had, from either: a Python package that brings them, else the publisher's file. Where there are both,
    they hold the same values."""
    taps: tuple[str, ...] = ()
    """The maps of the perceptual distance, one a resolution. None: it is no judge."""
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
    """The layers of the feature reconstruction and of the style loss. None: nothing can be trained through it."""
    stages: tuple[str, ...] = ()
    """The early, the middle and the late layer for a loss that looks through one alone: in every network the last maps at a half, a quarter
    and an eighth of the image's resolution. VGG-16's are layers of Johnson et al. 2016: relu2_2, relu3_3, relu4_3."""
    load: str = ""
    """``module:function`` that makes the network of this record, in float32 on the CPU. Empty: only its weights are used."""

    def network(self) -> Any:
        """The loaded network, its weights' hash checked; weights that are not there are downloaded first if they are published.

        Raises :class:`UserError` where they can't be had or are not the published ones, and where ``load`` is no function.
        """
        try:
            make = resolve(self.load)
        except LookupError as error:
            raise UserError(f"network {self.name!r}: can't be loaded: {error}; correct load in its record") from None
        return make(self)

    def guide(self, device: str | torch.device) -> FixedNetwork:
        """The network as a training needs it: on the training's device, channels last."""
        network: FixedNetwork = self.network()
        return network.to(memory_format=torch.channels_last).to(device)

    @property
    def judges(self) -> bool:
        return bool(self.taps)

    @property
    def guides(self) -> bool:
        """Whether a training's losses and validation can use it: it is differentiable and works on the training's own device."""
        return bool(self.content_layers)

    def content(self, tap: Depth | None) -> tuple[str, ...]:
        """The layers of the feature reconstruction: one alone with ``tap``."""
        return self.content_layers if tap is None else (self.stages[DEPTHS.index(tap)],)

    def style(self, tap: Depth | None) -> tuple[str, ...]:
        """Likewise, of the style loss."""
        return self.style_layers if tap is None else (self.stages[DEPTHS.index(tap)],)
