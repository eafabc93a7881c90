"""A user's own images: ``train/A``, ``train/B`` and, if there are any, ``val/…`` and ``test/…``.

Pillow is imported when a picture is opened: ``params.yaml`` is read without it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from cgm.core.contents import digest
from cgm.core.errors import UserError
from cgm.core.files import sha256
from cgm.core.registry import About
from cgm.data.listing import NAME, SIDES, SPLITS, Picture, hash_order, write_listing
from cgm.data.sources.source import Dataset, Source

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
CARVED = {"test": 0.15, "val": 0.10}
"""Share of train that a missing split takes."""
LEFT_BEHIND = ("desktop.ini", "thumbs.db")
"""What file managers leave in a folder, beside files whose name starts with a dot."""
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes of more than 8 bits a channel, which RGB would clip."""


class Folder(Source):
    about = About(title="the user's own images")
    pairing = "either"

    class Settings(Dataset):
        variant: Literal["base"] = "base"
        path: str
        """Where ``train/A`` and its like lie."""

    def bring(self, settings: Any, out: Path, paired: bool, root: Path) -> dict[str, Any]:
        listing, aligned = pictures(settings.path, paired=paired)
        write_listing(out, listing)
        return {
            "licence": "the user's own",
            "attribution": "",
            "archive": {"name": settings.path, "sha256": sha256(out / NAME)},
            "hidden_pairs": aligned and not paired,
            "path": settings.path,
        }

    def identity(self, settings: Any, root: Path) -> dict[str, Any]:
        """The pictures by name and content: neither their times nor what a file manager leaves beside them count. ``files`` is None where
        the folder isn't there, as in a clone whose prepared data came from elsewhere."""
        folder = root / settings.path
        return {"path": settings.path, "files": digest(folder, _given(folder), root) if folder.is_dir() else None}

    def check(self, settings: Any, root: Path) -> None:
        for side in SIDES:
            _expect_folder(root / settings.path / "train" / side)


FOLDER = Folder()


def _given(folder: Path) -> list[Path]:
    """The files of all splits and sides."""
    return [file for split in SPLITS for side in SIDES for file in _listed(folder / split / side) if file.is_file()]


def _listed(folder: Path) -> Iterator[Path]:
    """What lies in ``folder``, less what file managers leave there. Raises :class:`UserError` for a name that no list of ours can hold."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.name.startswith(".") and path.name.lower() not in LEFT_BEHIND:
            try:
                path.name.encode()
            except UnicodeEncodeError:
                raise UserError(f"{folder}: found a file name that isn't UTF-8, {os.fsencode(path.name)!r}; rename the file") from None
            yield path


def pictures(folder: str, *, paired: bool) -> tuple[list[Picture], bool]:
    """List and check the images below ``folder``.

    An image's id is its file name without the suffix. Paired: A and B hold the same ids, and the two images of a pair have one size.
    Unpaired: train's A and B may hold anything; val and test are hidden pairs where the user gave both and each holds the same ids in A
    and B. A split that is missing is carved from train: the ids with the smallest SHA-256.

    Returns the pictures and whether val and test hold aligned pairs. Raises :class:`UserError`, which names the file or the folder.
    """
    root = Path(folder)
    given = {
        split: {side: _files(root / split / side) for side in SIDES} for split in SPLITS if split == "train" or (root / split).exists()
    }
    for split, sides in given.items():
        if paired:
            _check_pairs(root / split, sides)
    missing = [split for split in ("test", "val") if split not in given]
    aligned = paired or (not missing and all(given[split]["A"].keys() == given[split]["B"].keys() for split in ("val", "test")))
    if missing:
        for side in SIDES:
            _carve(given, side, missing, root)
    listing = [
        Picture(split, side, name, "", "", True, str(path), hashlib.sha256(path.read_bytes()).hexdigest())
        for split, sides in given.items()
        for side, files in sides.items()
        for name, path in sorted(files.items())
    ]
    _check_sizes(listing, aligned=aligned, paired=paired)
    return listing, aligned


def _files(folder: Path) -> dict[str, Path]:
    """Image files by id."""
    _expect_folder(folder)
    files: dict[str, Path] = {}
    for path in _listed(folder):
        if not path.is_file() or path.suffix.lower() not in SUFFIXES:
            raise UserError(
                f"{path}: found {path.suffix or 'a folder'}, expected an image ({' '.join(SUFFIXES)}); convert it or move it away"
            )
        if path.stem in files:
            raise UserError(f"{path}: the same name as {files[path.stem].name} but for the suffix; rename one of them")
        files[path.stem] = path
    if not files:
        raise UserError(f"{folder}: found no images, expected at least one ({' '.join(SUFFIXES)})")
    return files


def _expect_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: not found; expected a folder of images (see 'source: folder': train/A, train/B, val/…, test/…)")


def _check_pairs(folder: Path, sides: dict[str, dict[str, Path]]) -> None:
    for one, other in (SIDES, SIDES[::-1]):
        if alone := sorted(set(sides[one]) - set(sides[other])):
            raise UserError(
                f"{sides[one][alone[0]]}: no file of that name in {folder / other} ({len(alone)} such); a pair has equal names in A and B:"
                " add or remove files, or move the dataset to unpaired.datasets"
            )


def _carve(given: dict[str, dict[str, dict[str, Path]]], side: str, missing: list[str], root: Path) -> None:
    train = given["train"][side]
    if len(train) <= len(missing):
        raise UserError(f"{root / 'train' / side}: found {len(train)} images, too few to carve {' and '.join(missing)} from; add images")
    order = hash_order(train)
    count = len(train)
    for split in missing:
        size = max(1, round(CARVED[split] * count))
        given.setdefault(split, {})[side] = {name: train.pop(name) for name in order[:size]}
        order = order[size:]


def _check_sizes(listing: list[Picture], *, aligned: bool, paired: bool) -> None:
    """Every file is an image; the two of a pair have one size."""
    sizes: dict[tuple[str, str], tuple[str, tuple[int, int]]] = {}
    for picture in listing:
        size = _size(picture.path)
        pair = picture.split, picture.id
        first = sizes.setdefault(pair, (picture.path, size))
        if aligned and (paired or picture.split != "train") and first[1] != size:
            raise UserError(
                f"{picture.path}: found {size[0]}×{size[1]} px, expected {first[1][0]}×{first[1][1]} px as in {first[0]};"
                " resize one, so that the pair aligns"
            )


def _size(path: str) -> tuple[int, int]:
    """Width and height as displayed; decodes the whole file, so that a truncated one is found now."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()
            if image.mode in DEEP_MODES:
                raise ValueError(f"mode {image.mode}, more than 8 bits a channel: convert it to 8 bits")
            # Orientations 5 to 8 of the EXIF tag 0x0112 lie on their side.
            turned = image.getexif().get(0x0112, 1) >= 5
            return image.size[::-1] if turned else image.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: not a readable image ({error}); replace or remove it") from None
