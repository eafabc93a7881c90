"""The contract of a source: its settings, what it fetches, and what must change for it to be fetched again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from cgm.core.files import replacing, write_json
from cgm.core.registry import About
from cgm.core.settings import Count, Model, Positive
from cgm.data.conditions import Condition

EMBEDDED = Path("data/embedded")
"""The archives that come with the project, below its root."""


SQUARES = (32, 64, 128, 256, 512)
SIDES_OF, LARGEST = 32, 1024
"""What every network here takes: sides of a multiple of the one, up to the other."""


def _size(found: Any) -> Any:
    """A square's side, or YAML's list of height and width as a tuple."""
    if isinstance(found, list | tuple):
        fits = len(found) == 2 and all(type(side) is int and side % SIDES_OF == 0 and SIDES_OF <= side <= LARGEST for side in found)
        if not fits:
            raise ValueError(f"found {list(found)}, expected [height, width], multiples of {SIDES_OF} from {SIDES_OF} to {LARGEST}")
        return tuple(found)
    if found not in SQUARES or type(found) is not int:
        raise ValueError(f"found {found!r}, expected {', '.join(map(str, SQUARES))}, or [height, width]")
    return found


Size = Annotated[int | tuple[int, int], BeforeValidator(_size)]


class Dataset(Model):
    """What every entry of ``datasets`` holds; a source adds its own settings."""

    source: str
    image_size: Size = 64
    """Pixels a side, or ``[height, width]``."""
    kimg: Positive
    """Budget of every method on it: thousands of images seen by the generator."""
    channels: Literal[1, 3] = 3
    """1: grey pictures in, grey pictures out."""
    fit: Literal["auto", "pad", "crop", "stretch"] = "auto"
    """How pictures of another shape become ``image_size``: on the ground, by their centre, or distorted. ``auto``: drawings on the ground
    are padded, where it doesn't show, and everything else is cropped, since a network learns bars as content."""
    augment: Literal["auto", "shift", "resize-crop", "none"] = "auto"
    """How training images move, by ``training.jitter``: shifted on white, or enlarged and cropped at random, as the papers have it.
    ``auto``: drawings on the ground are shifted, since nothing shows there, and everything else is enlarged and cropped."""
    condition: Condition | None = None
    """What x is made from y by, instead of the source's own x (:mod:`cgm.data.conditions`)."""
    variant: str = "base"
    """``base``: one picture a concept. Sources that have more say so in their own settings."""
    limit: Count | None = None
    """Keep at most this many images of each split and side (smoke runs); ``None`` keeps all."""

    @property
    def height_width(self) -> tuple[int, int]:
        return self.image_size if isinstance(self.image_size, tuple) else (self.image_size, self.image_size)


class Source(ABC):
    """One kind of ``source`` in ``params.yaml``. Its subclasses hold no state: one instance is the record."""

    about: About
    Settings: type[Dataset]
    pairing: Literal["paired", "unpaired", "either"]
    """In which group of ``params.yaml`` it may stand."""
    line_art: ClassVar[bool] = False
    """Whether A holds line drawings, whose lines the check for leakage compares."""

    def fetch(self, settings: Any, out: Path, *, paired: bool, root: Path = Path()) -> None:
        """Bring the images to the folder ``out``: all of them, or nothing.

        ``out`` then holds ``listing.csv`` (one :class:`~cgm.data.listing.Picture` a row), ``source.json`` and what the source unpacked.
        ``root``: the project's. Raises :class:`~cgm.core.errors.UserError`, which names the file, where they can't be had.
        """
        with replacing(out) as temporary:
            temporary.mkdir()
            card = self.bring(settings, temporary, paired, root, Path(out).name)
            facts = {"source": settings.source, "paired": paired, "line_art": self.line_art}
            write_json(temporary / "source.json", {**facts, **card})

    @abstractmethod
    def bring(self, settings: Any, out: Path, paired: bool, root: Path, name: str) -> dict[str, Any]:
        """Write ``listing.csv`` into ``out``. ``name``: of the dataset. Returns ``licence``, ``attribution``, ``archive``,
        ``hidden_pairs``, ``path`` and, where the pictures decide, ``fit``, ``augment``, ``settings`` and ``reading``."""

    @abstractmethod
    def identity(self, settings: Any, root: Path) -> dict[str, Any]:
        """What must change for the images to be fetched again; JSON. Budgets and sizes are none of it."""

    def check(self, settings: Any, root: Path) -> None:  # noqa: B027 (most sources can't tell before they fetch)
        """Before anything starts: raise :class:`~cgm.core.errors.UserError` where :meth:`fetch` is bound to fail."""
