"""Where images come from. One explicit registry; every source leaves the same two files, ``listing.csv`` and ``source.json``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cgm.config import Dataset
from cgm.data import embedded, folder
from cgm.data.listing import NAME, write_listing
from cgm.files import replacing, sha256, write_json


def fetch(settings: Dataset, out: str | Path, *, paired: bool, archives: str | Path) -> None:
    """Bring the images of ``settings.source`` to the folder ``out``: all of them, or nothing.

    ``out`` then holds ``listing.csv`` (one :class:`~cgm.data.listing.Picture` a row), ``source.json`` and, for an embedded source, the
    unpacked archive; ``archives`` is the folder of embedded archives. Raises :class:`~cgm.errors.UserError` for a corrupted archive or an
    unusable folder.
    """
    with replacing(out) as temporary:
        temporary.mkdir()
        card = SOURCES[settings.source](settings, temporary, paired, Path(archives))
        write_json(temporary / "source.json", {"source": settings.source, "paired": paired, **card})


def _embedded(settings: Dataset, out: Path, paired: bool, archives: Path) -> dict[str, Any]:
    card = embedded.unpack(settings.source, archives, out)
    write_listing(out, embedded.pictures(settings.source, out))
    return {**card, "hidden_pairs": not paired, "line_art": embedded.EMBEDDED[settings.source].line_art, "path": None}


def _folder(settings: Dataset, out: Path, paired: bool, archives: Path) -> dict[str, Any]:
    assert settings.path is not None  # the configuration checks it
    pictures, aligned = folder.pictures(settings.path, paired=paired)
    write_listing(out, pictures)
    return {
        "licence": "the user's own",
        "attribution": "",
        "archive": {"name": settings.path, "sha256": sha256(out / NAME)},
        "hidden_pairs": aligned and not paired,
        "line_art": False,
        "path": settings.path,
    }


SOURCES: dict[str, Callable[[Dataset, Path, bool, Path], dict[str, Any]]] = {
    "openmoji": _embedded,
    "fluent": _embedded,
    "fluent-unpaired": _embedded,
    "folder": _folder,
}
