"""Raw images to a prepared dataset: ``{train,val,test}/{A,B}.npy``, ``index.csv``, ``sheet.png``, ``card.json``."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import resvg_py

from cgm.core.errors import UserError
from cgm.core.files import read_json, replacing, sha256, write_json
from cgm.core.progress import counted
from cgm.data.leakage import check_leakage
from cgm.data.listing import SIDES, SPLITS, Picture, hash_order, read_listing
from cgm.data.raster import rasterise_all
from cgm.data.sources.source import Dataset

SHEET_COLUMNS = 12
Pictures = dict[tuple[str, str], list[Picture]]
Arrays = dict[tuple[str, str], np.memmap]


def prepare(settings: Dataset, raw: str | Path, out: str | Path, *, name: str, paired: bool, processes: int = 1) -> dict[str, Any]:
    """Rasterise what :meth:`cgm.data.sources.source.Source.fetch` left in ``raw`` into the folder ``out``: all of it, or nothing.

    ``name`` is the dataset's name in ``params.yaml``, ``paired`` how it is read. Images are uint8 N×S×S×3, sorted by id. The same raw
    folder and settings give the same bytes, whatever the number of ``processes``. Returns the card.
    Raises :class:`UserError` where ``raw`` is missing, belongs to other settings or holds an image that can't be read.
    """
    raw = Path(raw)
    source = _read_source(raw, settings, name, paired)
    pictures = select(read_listing(raw), settings)
    with replacing(out) as temporary:
        arrays = _rasterise(pictures, temporary, Path() if source["path"] else raw, settings.image_size, name, processes)
        aligned = [split for split in SPLITS if paired or (source["hidden_pairs"] and split != "train")]
        _write_index(temporary / "index.csv", pictures, aligned)
        _sheet(temporary / "sheet.png", pictures, arrays)
        leakage = check_leakage({key: (pictures[key], arrays[key]) for key in pictures}, paired=paired, line_art=source["line_art"])
        card = {
            "dataset": name,
            "source": settings.source,
            "variant": settings.variant,
            "image_size": settings.image_size,
            "limit": settings.limit,
            "paired": paired,
            "hidden_pairs": source["hidden_pairs"],
            "counts": {split: {side: len(pictures[split, side]) for side in SIDES} for split in SPLITS},
            "licence": source["licence"],
            "attribution": source["attribution"],
            "archive": source["archive"],
            "data_sha256": sha256(*(temporary / split / f"{side}.npy" for split in SPLITS for side in SIDES)),
            "leakage": leakage,
            "rasteriser": f"resvg-py {resvg_py.__version__}",
            "resampler": f"Pillow {PIL.__version__}, bicubic",
        }
        write_json(temporary / "card.json", card)
    if not leakage["passed"]:
        print(f"warning: {name}: splits share images; see 'leakage' in {Path(out) / 'card.json'}", file=sys.stderr)
    return card


def select(listing: Iterable[Picture], settings: Dataset) -> Pictures:
    """The pictures of the variant and within the limit, by split and side, sorted by id.

    ``limit`` keeps the ids whose SHA-256 are smallest, so that a larger limit only adds.
    """
    listing = list(listing)
    chosen: Pictures = {}
    for split in SPLITS:
        for side in SIDES:
            by_id = {p.id: p for p in listing if (p.split, p.side) == (split, side) and (p.base or settings.variant == "all")}
            chosen[split, side] = [by_id[name] for name in sorted(hash_order(by_id)[: settings.limit])]
    return chosen


def _read_source(raw: Path, settings: Dataset, name: str, paired: bool) -> dict[str, Any]:
    path = raw / "source.json"
    again = f"run python -m pipeline.fetch dataset={name}"
    if not path.is_file():
        raise UserError(f"{path}: not found; {again} first")
    source: dict[str, Any] = read_json(path)
    for key, expected in (("source", settings.source), ("path", getattr(settings, "path", None)), ("paired", paired)):
        if source[key] != expected:
            raise UserError(f"{path}: found {key} {source[key]!r}, expected {expected!r} as in params.yaml; {again} again")
    return source


def _rasterise(pictures: Pictures, out: Path, base: Path, size: int, name: str, processes: int) -> Arrays:
    arrays: Arrays = {}
    for (split, side), listed in pictures.items():
        (out / split).mkdir(parents=True, exist_ok=True)
        shape = (len(listed), size, size, 3)
        arrays[split, side] = np.lib.format.open_memmap(out / split / f"{side}.npy", mode="w+", dtype=np.uint8, shape=shape)
    jobs = [(base / picture.path, picture.sha256) for listed in pictures.values() for picture in listed]
    images = counted(rasterise_all(jobs, size, processes), len(jobs), f"prepare {name}")
    places = ((array, place) for array in arrays.values() for place in range(len(array)))
    for (array, place), image in zip(places, images, strict=True):
        array[place] = image
    for array in arrays.values():
        array.flush()
    return arrays


def _write_index(path: Path, pictures: Pictures, aligned: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["split", "side", "index", "id", "label"])
        for split in SPLITS:
            for mark, side in [("AB", "A")] if split in aligned else [("A", "A"), ("B", "B")]:
                for index, picture in enumerate(pictures[split, side]):
                    writer.writerow([split, mark, index, picture.id, picture.label])


def _sheet(path: Path, pictures: Pictures, arrays: Arrays) -> None:
    """For each split a row of A above a row of B, chosen by the hash of the id; where the split is aligned, pairs stand in columns."""
    from cgm.data.images import WHITE, contact_sheet  # here: it imports torch, which the worker processes would import too

    rows = []
    for split in SPLITS:
        for side in SIDES:
            places = {picture.id: place for place, picture in enumerate(pictures[split, side])}
            array = arrays[split, side]
            row = np.full((SHEET_COLUMNS, *array.shape[1:]), WHITE, np.uint8)
            for column, identity in enumerate(hash_order(places)[:SHEET_COLUMNS]):
                row[column] = array[places[identity]]
            rows.append(row)
    contact_sheet(np.concatenate(rows), columns=SHEET_COLUMNS).save(path)
