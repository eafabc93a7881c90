"""A user's own images: ``train/A``, ``train/B`` and, if there are any, ``val/…`` and ``test/…``."""

from __future__ import annotations

import hashlib
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from cgm.data.listing import SIDES, SPLITS, Picture, hash_order
from cgm.data.raster import DEEP_MODES
from cgm.errors import UserError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
CARVED = {"test": 0.15, "val": 0.10}
"""Share of train that a missing split takes."""


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
    if not folder.is_dir():
        raise UserError(f"{folder}: not found; expected a folder of images (see 'source: folder': train/A, train/B, val/…, test/…)")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "Thumbs.db":
            continue
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
