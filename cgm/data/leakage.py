"""Does a split hold what another split holds? Groups, files, pixels and, for line art, the lines themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cgm.data.listing import Picture

DARK = 128
Side = tuple[Sequence[Picture], np.ndarray]
"""The pictures of one split and side, and their pixels uint8 N×H×W×3 in the same order."""
PAIRS = (("train", "test"), ("train", "val"), ("val", "test"))
CHECKED = {
    "shared_groups": "group_root values (look-alikes by concept, skin-tone base, line art, edges) that stand in both splits",
    "identical_files": "images of the second split whose file stands, byte for byte, in the first",
    "identical_pixels": "images of the second split whose prepared pixels stand in the first",
    "identical_lines": f"line drawings of the second split whose dark pixels (all channels < {DARK}) are those of one in the first",
    "shared_ids": "concepts that stand in train A and in train B (unpaired: expected 0)",
}


def check_leakage(data: Mapping[tuple[str, str], Side], *, paired: bool, line_art: bool) -> dict[str, Any]:
    """Compare the splits of a prepared dataset; ``data`` is keyed by (split, side).

    Files, pixels and lines are compared for A (x), and for B too where the reading is unpaired, since train B is then a domain of its
    own. ``passed`` is true if every count between splits is 0 (``null``: not applicable, as the source has no groups or isn't line art).
    """
    sides = ("A",) if paired else ("A", "B")
    result: dict[str, Any] = {}
    for first, second in PAIRS:
        groups = [{p.group for side in "AB" for p in data[split, side][0] if p.group} for split in (first, second)]
        counts: dict[str, int | None] = {"shared_groups": len(groups[0] & groups[1]) if all(groups) else None}
        for name, keys in KEYS.items():
            applies = line_art or name != "identical_lines"
            counts[name] = sum(_repeated(keys, data[first, side], data[second, side]) for side in sides) if applies else None
        result[f"{first}/{second}"] = counts
    result["passed"] = not any(count for counts in result.values() for count in counts.values())
    if not paired:
        ids = [{picture.id for picture in data["train", side][0]} for side in "AB"]
        result["train A/train B"] = {"shared_ids": len(ids[0] & ids[1])}
    return {"checked": CHECKED, **result}


def _repeated(keys: Callable[[Side], list[bytes]], first: Side, second: Side) -> int:
    known = set(keys(first))
    return sum(key in known for key in keys(second))


def _files(side: Side) -> list[bytes]:
    return [picture.sha256.encode() for picture in side[0]]


def _pixels(side: Side) -> list[bytes]:
    return [hashlib.sha256(image.tobytes()).digest() for image in side[1]]


def _lines(side: Side) -> list[bytes]:
    return [hashlib.sha256(np.packbits((image < DARK).all(axis=-1)).tobytes()).digest() for image in side[1]]


KEYS: dict[str, Callable[[Side], list[bytes]]] = {"identical_files": _files, "identical_pixels": _pixels, "identical_lines": _lines}
