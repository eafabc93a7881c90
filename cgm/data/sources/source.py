"""The contract of a source: its settings, what it fetches, and what must change for it to be fetched again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

from cgm.core.files import replacing, write_json
from cgm.core.registry import About
from cgm.core.settings import Count, Model, Positive
from cgm.data.conditions import Condition

EMBEDDED = Path("data/embedded")
"""The archives that come with the project, below its root."""


class Dataset(Model):
    """What every entry of ``datasets`` holds; a source adds its own settings."""

    source: str
    image_size: Literal[32, 64, 128, 256] = 64
    kimg: Positive
    """Budget of every method on it: thousands of images seen by the generator."""
    channels: Literal[1, 3] = 3
    """1: grey pictures in, grey pictures out."""
    fit: Literal["auto", "pad", "crop", "stretch"] = "auto"
    """How pictures of another shape become ``image_size``: on the ground, by their centre, or distorted. ``auto``: drawings on the ground
    are padded, where it doesn't show, and everything else is cropped, since a network learns bars as content."""
    condition: Condition | None = None
    """What x is made from y by, instead of the source's own x (:mod:`cgm.data.conditions`)."""
    variant: str = "base"
    """``base``: one picture a concept. Sources that have more say so in their own settings."""
    limit: Count | None = None
    """Keep at most this many images of each split and side (smoke runs); ``None`` keeps all."""


class Source(ABC):
    """One kind of ``source`` in ``params.yaml``. Its subclasses hold no state: one instance is the record."""

    about: ClassVar[About]
    Settings: ClassVar[type[Dataset]]
    pairing: ClassVar[Literal["paired", "unpaired", "either"]]
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
