"""``listing.csv``: what a fetched dataset holds, one row a picture, the same for every source."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from cgm.core.errors import UserError

SPLITS = ("train", "val", "test")
SIDES = ("A", "B")
NAME = "listing.csv"
VALIDATED = 64
"""Validation pictures by which competence is judged: the first of the split, which is sorted by id."""


@dataclass(frozen=True)
class Picture:
    """One picture of one side. ``id`` is unique within split and side; A and B of a pair share it."""

    split: str
    side: str
    id: str
    label: str
    group: str
    """Pictures that look alike share a group, and groups don't cross train, val and test. Empty: unknown."""
    base: bool
    """False for what only ``variant: all`` holds."""
    path: str
    """Below the raw folder where the source brought it there, else as the user gave it."""
    sha256: str
    """Of the file."""
    part: Literal["", "left", "right"] = ""
    """Which half of the file it is, where two stand side by side in one."""


def write_listing(folder: Path, pictures: Iterable[Picture]) -> None:
    """Write ``folder/listing.csv``, sorted by split, side and id."""
    order = {name: place for place, name in enumerate((*SPLITS, *SIDES))}
    rows = sorted(pictures, key=lambda picture: (order[picture.split], order[picture.side], picture.id))
    with (folder / NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Picture)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**asdict(row), "base": int(row.base)} for row in rows)


def read_listing(folder: Path) -> list[Picture]:
    """Read ``folder/listing.csv``; raises :class:`UserError` where it isn't whole."""
    path = folder / NAME
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        pictures = [_picture(row) for row in rows]
        whole = not any(None in row.values() for row in rows)  # a row that ends early has None for what it lacks
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run python -m pipeline.fetch dataset={folder.name} first") from None
    except (KeyError, TypeError, UnicodeDecodeError, csv.Error):
        whole = False
    if not whole:
        raise UserError(f"{path}: not a listing; run python -m pipeline.fetch dataset={folder.name} again")
    return pictures


def _picture(row: dict[str, Any]) -> Picture:
    return Picture(**{**row, "base": row["base"] == "1"})


def hash_order(ids: Iterable[str]) -> list[str]:
    """Ids in the order of their SHA-256: arbitrary, yet the same everywhere and for ever."""
    return sorted(ids, key=lambda text: hashlib.sha256(text.encode()).digest())
