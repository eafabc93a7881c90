"""Prepared datasets: the folder that ``cgm.data.prepare`` writes, opened and checked."""

from __future__ import annotations

import csv
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cgm.core.errors import UserError
from cgm.core.files import read_json
from cgm.data.listing import SIDES, SPLITS


class Prepared:
    """A prepared dataset. ``card``: what ``card.json`` holds. Made by :func:`open_prepared`."""

    def __init__(self, folder: Path, card: dict[str, Any], index: dict[tuple[str, str], list[tuple[str, str]]]) -> None:
        self.folder = folder
        self.card = card
        self._index = index

    @property
    def paired(self) -> bool:
        """A[i] belongs to B[i] in every split, and a method may use it."""
        return bool(self.card["paired"])

    @property
    def hidden_pairs(self) -> bool:
        """Unpaired, but A[i] belongs to B[i] in val and test: for scoring only."""
        return bool(self.card["hidden_pairs"])

    @property
    def aligned(self) -> bool:
        """Whether test has a target for each condition, be it hidden from training."""
        return self.aligned_in("test")

    def aligned_in(self, split: str) -> bool:
        """Whether A[i] belongs to B[i] in this split."""
        return split in self.card["aligned"]

    @property
    def height_width(self) -> tuple[int, int]:
        """Pixels."""
        return _height_width(self.card)

    @property
    def channels(self) -> int:
        """3, or 1 where pictures are grey."""
        return int(self.card["channels"])

    @property
    def augment(self) -> str:
        """How training images move: ``shift``, ``resize-crop`` or ``none``."""
        return str(self.card["augment"])

    @property
    def data_sha256(self) -> str:
        """SHA-256 over the six ``.npy`` files (train/A, train/B, val/A, …), as measured when they were written."""
        return str(self.card["data_sha256"])

    def images(self, split: str, side: str) -> np.ndarray:
        """uint8 N×H×W×C, a read-only memory map. ``KeyError`` for a split or side that doesn't exist."""
        return self._arrays[split, side]

    def rgb(self, split: str, side: str) -> np.ndarray:
        """:meth:`images` as uint8 N×H×W×3, which is what judges and metrics look at: grey three times over, without a copy."""
        return as_rgb(self.images(split, side))

    def ids(self, split: str, side: str) -> list[str]:
        return [identity for identity, _ in self._index[split, side]]

    def labels(self, split: str, side: str) -> list[str]:
        """What each picture shows, in words; empty where the source doesn't say."""
        return [label for _, label in self._index[split, side]]

    @cached_property
    def _arrays(self) -> dict[tuple[str, str], np.ndarray]:
        return {(split, side): _open(self.folder / split / f"{side}.npy", _remedy(self.folder)) for split in SPLITS for side in SIDES}


def as_rgb(images: np.ndarray) -> np.ndarray:
    """uint8 …×C with C of 1 or 3 → …×3; grey three times over, without a copy."""
    return images if images.shape[-1] == 3 else np.broadcast_to(images, (*images.shape[:-1], 3))


def _height_width(card: dict[str, Any]) -> tuple[int, int]:
    size = card["image_size"]
    height, width = size if isinstance(size, list) else (size, size)
    return int(height), int(width)


def open_prepared(folder: str | Path) -> Prepared:
    """Open the prepared dataset in ``folder`` and check its files, shapes and dtype against its card and its index.

    Raises :class:`UserError`, naming the file and the stage to run, where something is missing or doesn't fit.
    """
    folder = Path(folder)
    remedy = _remedy(folder)
    try:
        card = read_json(folder / "card.json")
        index = _read_index(folder / "index.csv")
        prepared = Prepared(folder, card, index)
        expected = {
            (split, side): (card["counts"][split][side], *_height_width(card), card["channels"]) for split in SPLITS for side in SIDES
        }
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: not found; {remedy}") from None
    except (KeyError, TypeError, ValueError, json.JSONDecodeError, csv.Error) as error:
        raise UserError(f"{folder}: card.json or index.csv isn't valid ({error!r}); {remedy} again") from None
    for (split, side), shape in expected.items():
        array = prepared.images(split, side)
        path = folder / split / f"{side}.npy"
        if array.dtype != np.uint8 or array.shape != shape:
            raise UserError(f"{path}: found {array.dtype} {array.shape}, expected uint8 {shape}; {remedy} again")
        if (rows := len(prepared.ids(split, side))) != shape[0]:
            raise UserError(f"{folder / 'index.csv'}: found {rows} rows for {split} {side}, expected {shape[0]}; {remedy} again")
    return prepared


def _remedy(folder: Path) -> str:
    return f"run python -m pipeline.prepare dataset={folder.name}"


def _open(path: Path, remedy: str) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; {remedy}") from None
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path}: not a whole .npy file ({error}); {remedy} again") from None


def _read_index(path: Path) -> dict[tuple[str, str], list[tuple[str, str]]]:
    index: dict[tuple[str, str], list[tuple[str, str]]] = {(split, side): [] for split in SPLITS for side in SIDES}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for side in row["side"]:
                entries = index[row["split"], side]
                if int(row["index"]) != len(entries):
                    raise ValueError(f"{row['split']} {side}: index {row['index']}, expected {len(entries)}")
                entries.append((row["id"], row["label"]))
    return index
