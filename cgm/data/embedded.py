"""The archives that come with the project: verified, then unpacked."""

from __future__ import annotations

import csv
import hashlib
import lzma
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgm.data.listing import Picture
from cgm.errors import UserError
from cgm.files import read_json, sha256


@dataclass(frozen=True)
class Embedded:
    """How a dataset reads an archive of ``manifest.json``.

    ``splits`` says which splits and sides a row of ``split.csv`` goes to, by the name it has there.
    """

    archive: str
    folders: dict[str, str]
    suffixes: dict[str, str]
    splits: dict[str, tuple[str, str]]
    line_art: bool = False


_SHARED = {"val": ("val", "AB"), "test": ("test", "AB")}
_FLUENT: dict[str, Any] = {"archive": "fluent", "folders": {"A": "flat", "B": "3d"}, "suffixes": {"A": ".svg", "B": ".webp"}}

EMBEDDED = {
    "openmoji": Embedded(
        archive="openmoji",
        folders={"A": "black", "B": "color"},
        suffixes={"A": ".svg", "B": ".svg"},
        splits={"train": ("train", "AB"), **_SHARED},
        line_art=True,
    ),
    "fluent": Embedded(**_FLUENT, splits={"trainA": ("train", "AB"), "trainB": ("train", "AB"), **_SHARED}),
    "fluent-unpaired": Embedded(**_FLUENT, splits={"trainA": ("train", "A"), "trainB": ("train", "B"), **_SHARED}),
}
"""Line drawing → colour; flat → 3-D in pairs; flat → 3-D with disjoint concepts in train and hidden pairs in val and test."""


def verify(source: str, embedded: Path) -> tuple[Path, dict[str, Any]]:
    """The archive of ``source`` in ``embedded`` and its entry in the manifest.

    Raises :class:`UserError` where the archive is missing or isn't the pinned one.
    """
    name = EMBEDDED[source].archive
    entry = read_json(embedded / "manifest.json")[name]
    path = embedded / entry["archive"]
    remedy = f"restore it with `git checkout -- {path}` or `python {embedded / 'rebuild.py'} {name}`"
    if not path.is_file():
        raise UserError(f"{path}: not found; {remedy}")
    if (found := sha256(path)) != entry["sha256"]:
        raise UserError(f"{path}: found SHA-256 {found}, expected {entry['sha256']}; {remedy}")
    return path, entry


def unpack(source: str, embedded: Path, out: Path) -> dict[str, Any]:
    """Verify the archive of ``source`` in ``embedded`` (see :func:`verify`) and unpack it into the folder ``out``.

    Returns ``{licence, attribution, archive: {name, sha256}}``. Raises :class:`UserError` also where it has a member that would land
    outside ``out``.
    """
    path, entry = verify(source, embedded)
    extract(path, out)
    return {
        "licence": entry["licence"],
        "attribution": entry["attribution"],
        "archive": {"name": entry["archive"], "sha256": entry["sha256"]},
    }


def extract(path: Path, out: Path) -> None:
    """Unpack a tar into ``out``; raises :class:`UserError` for one that isn't whole, or that would write outside ``out``."""
    try:
        with tarfile.open(path) as archive:
            archive.extractall(out, filter="data")
    except tarfile.FilterError as error:
        raise UserError(f"{path}: {error}; expected only plain files below one folder, so don't use this archive") from None
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise UserError(f"{path}: can't be unpacked ({error}); expected a whole tar archive, so fetch it again") from None


def pictures(source: str, folder: Path) -> Iterator[Picture]:
    """The pictures of an unpacked archive, by its ``split.csv``."""
    embedded = EMBEDDED[source]
    with (folder / "split.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            split, sides = embedded.splits[row["split"]]
            for side in sides:
                path = f"{embedded.folders[side]}/{row['hexcode']}{embedded.suffixes[side]}"
                digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()
                yield Picture(split, side, row["hexcode"], row["annotation"], row["group_root"], row["is_base"] == "1", path, digest)
