"""Splits that don't leak: which pictures belong together, and which split each group goes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cgm.core.errors import UserError
from cgm.data.listing import hash_order

if TYPE_CHECKING:
    import numpy as np

    from cgm.data.survey import Look

CARVED = {"test": 0.15, "val": 0.10}
"""Share of train that a missing split takes."""
TWIN_BITS = 4
"""Of the 64 bits of two look-alikes' perceptual hashes, the most that may differ …"""
TWIN_COLOURS = 0.08
"""… and the root mean square by which their 16×16 thumbnails may, of [0, 1]."""
BLOCK = 128
"""Pictures compared with all others at a time; bounds the memory, changes no result."""


Name = tuple[str, str]


class Groups:
    """Disjoint sets that grow together (union-find)."""

    def __init__(self) -> None:
        self._above: dict[Name, Name] = {}

    def of(self, name: Name) -> Name:
        """The representative of the group that ``name`` is in."""
        self._above.setdefault(name, name)
        while self._above[name] != name:
            self._above[name] = self._above[self._above[name]]
            name = self._above[name]
        return name

    def join(self, first: Name, second: Name) -> None:
        first, second = self.of(first), self.of(second)
        # The lesser name represents both, in whatever order groups grow.
        low, high = sorted((first, second))
        self._above[high] = low


def near_twins(looks: Sequence[Look]) -> list[tuple[int, int]]:
    """Indices of every two pictures that look alike: by their perceptual hashes and by their colours. A picture of one colour looks like
    nothing."""
    import numpy as np

    from cgm.data.survey import THUMB

    rows = [index for index, look in enumerate(looks) if not look.one_colour]
    hashes = np.array([looks[row].hash for row in rows], np.uint64)
    thumbs = np.frombuffer(b"".join(looks[row].thumb for row in rows), np.uint8).reshape(len(rows), THUMB * THUMB * 3)
    found = []
    for start in range(0, len(rows), BLOCK):
        near = np.bitwise_count(hashes[start : start + BLOCK, None] ^ hashes[None, start:]) <= TWIN_BITS
        for first, second in zip(*(place + start for place in np.nonzero(near)), strict=True):
            if first < second and _colours_apart(thumbs[first], thumbs[second]) < TWIN_COLOURS:
                found.append((rows[first], rows[second]))
    return found


def _colours_apart(first: np.ndarray, second: np.ndarray) -> float:
    import numpy as np

    return float(np.sqrt(np.mean(np.square((first.astype(np.float64) - second) / 255))))


def carve(ids: Iterable[str], missing: Sequence[str], groups: Mapping[str, str], what: str) -> dict[str, list[str]]:
    """``ids`` by split: each of the ``missing`` ones takes its share of train (:data:`CARVED`), whole groups in the order of the SHA-256 of
    their names. ``groups``: the group of each id that has one. ``what``: the folder, for messages.

    Raises :class:`UserError` where nothing would be left to train on.
    """
    members: dict[str, list[str]] = {}
    for identity in ids:
        members.setdefault(groups.get(identity, identity), []).append(identity)
    count = sum(map(len, members.values()))
    waiting = hash_order(members)
    found: dict[str, list[str]] = {}
    for split in missing:
        size = max(1, round(CARVED[split] * count))
        taken: list[str] = []
        for group in list(waiting):
            room = size - len(taken)
            if room <= 0:
                break
            # A group that is far larger than what is wanted is passed over, unless all are.
            if len(members[group]) > 2 * room and any(len(members[other]) <= 2 * room for other in waiting):
                continue
            taken += members[group]
            waiting.remove(group)
        found[split] = sorted(taken)
    found["train"] = sorted(identity for group in waiting for identity in members[group])
    if not found["train"] or not all(found[split] for split in missing):
        raise UserError(
            f"{what}: found {count} images in {len(members)} groups, too few to carve {' and '.join(missing)} from; add images"
            + (", or say which belong together by group: or near_duplicates: false" if len(members) < count else "")
        )
    return found


def figures(groups: Mapping[str, str], rules: Sequence[str]) -> dict[str, Any]:
    """For the card: how many groups of two and more there are, by which ``rules``, and how large the largest is."""
    sizes = Counter(groups.values())
    several = [size for size in sizes.values() if size > 1]
    return {"rules": list(rules), "of_several": len(several), "pictures_in_them": sum(several), "largest": max(several, default=1)}


def across(twins: Iterable[tuple[int, int]], split_of: Sequence[str]) -> dict[str, int]:
    """How many twins stand in two splits: ``{"train/test": 0, …}``."""
    order = ("train", "val", "test")
    found = {f"{one}/{other}": 0 for one, other in (*pairwise(order), ("train", "test"))}
    for first, second in twins:
        one, other = sorted((split_of[first], split_of[second]), key=order.index)
        if one != other:
            found[f"{one}/{other}"] += 1
    return found
