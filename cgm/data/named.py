"""Pictures that are known by their names: which are there, and whether they are those that are wanted."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cgm.core.errors import UserError
from cgm.data.layouts import pictures_below

if TYPE_CHECKING:
    import numpy as np

NAMED = 3
"""So many pictures an error names; it counts the rest."""


def named(folder: Path, apart: str = "") -> dict[str, Path]:
    """By id: the name below ``folder``, without the suffix. What lies in the folder ``apart`` below it doesn't belong to them. A folder
    that isn't there has none. Raises :class:`UserError` where two names differ in their suffix alone."""
    found: dict[str, Path] = {}
    for path in pictures_below(folder) if folder.is_dir() else ():
        if apart and path.is_relative_to(folder / apart):
            continue
        name = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
        if name in found:
            raise UserError(f"{path}: the same name as {found[name].name} but for the suffix; remove one of them")
        found[name] = path
    return found


def compare(folder: Path, found: Mapping[str, Path], expected: Sequence[str], known: Sequence[str], what: str) -> None:
    """Raise :class:`UserError` where a picture is missing, or belongs to nothing."""
    if missing := [name for name in expected if name not in found]:
        raise UserError(
            f"{folder}: {len(missing)} of {len(expected)} pictures are missing: {some(missing)}; expected one a {what}, named like it"
        )
    if extra := sorted(found.keys() - set(known)):
        names = [found[name].relative_to(folder).as_posix() for name in extra]
        raise UserError(f"{folder}: found {some(names)}, named like no {what}; move away what is none of the outputs")


def loaded(folder: Path, pictures: Iterable[Path], shape: tuple[int, int, int], whose: str) -> Iterator[np.ndarray]:
    """Each picture, uint8 of ``shape``, H×W×C. ``whose``: who has that size, for messages.

    Raises :class:`UserError` at the end, where some can't be read or have another size.
    """
    from cgm.data.raster import Reading, read_picture  # here: it imports Pillow, and params.yaml is read without it

    unreadable: list[str] = []
    odd: list[str] = []
    for path in pictures:
        name = path.relative_to(folder).as_posix()
        try:
            picture = read_picture(path, Reading(channels=shape[2]))
        except UserError as error:
            unreadable.append(str(error))
            continue
        height, width = picture.shape[:2]
        if (height, width) != shape[:2]:
            odd.append(f"{name} ({width}×{height})")
        yield picture
    if unreadable:
        others = f"; {len(unreadable) - 1} more can't be read either" if len(unreadable) > 1 else ""
        raise UserError(f"{unreadable[0]}{others}")
    if odd:
        raise UserError(
            f"{folder}: found {some(odd)}, expected {shape[1]}×{shape[0]} px as {whose} has; make them at that size: resizing them "
            "here would change what is measured"
        )


def some(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
