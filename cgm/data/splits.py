"""Splits that don't leak: which pictures belong together, and which split each group goes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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


def near_twins(looks: Sequence[Look]) -> np.ndarray:
    """P×2: the indices of every two pictures that look alike, by their perceptual hashes and by their colours, the lesser first. A picture
    of one colour looks like nothing."""
    import numpy as np

    from cgm.data.survey import THUMB

    rows = np.array([index for index, look in enumerate(looks) if not look.one_colour], np.int64)
    hashes = np.array([looks[row].hash for row in rows], np.uint64)
    thumbs = np.frombuffer(b"".join(looks[row].thumb for row in rows), np.uint8).reshape(len(rows), THUMB * THUMB * 3)
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(rows), BLOCK):
        near = np.bitwise_count(hashes[start : start + BLOCK, None] ^ hashes[None, start:]) <= TWIN_BITS
        first, second = (place + start for place in np.nonzero(np.triu(near, 1)))
        for part in range(0, len(first), BLOCK):
            one, other = first[part : part + BLOCK], second[part : part + BLOCK]
            apart = np.sqrt(np.square((thumbs[one].astype(np.float32) - thumbs[other]) / 255).mean(axis=1))
            found.append(rows[np.stack([one, other], axis=1)[apart < TWIN_COLOURS]])
    return np.concatenate(found)


def in_both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The rows of P×2 that stand in Q×2 too."""
    import numpy as np

    wide = 1 + max((int(each.max()) for each in (first, second) if each.size), default=0)
    return first[np.isin(first[:, 0] * wide + first[:, 1], second[:, 0] * wide + second[:, 1])]


def families(twins: np.ndarray, count: int) -> np.ndarray:
    """For each of ``count`` pictures the least index among those that twins connect it with."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(twins), bool), (twins[:, 0], twins[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, least = np.unique(labels, return_index=True)
    return least[labels]


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


def across(twins: np.ndarray, split_of: Sequence[str]) -> dict[str, int]:
    """How many twins stand in two splits: ``{"train/test": 0, …}``."""
    import numpy as np

    order = ("train", "val", "test")
    places = np.array([order.index(split) for split in split_of], np.int64)
    both = np.sort(places[twins], axis=1)
    pairs = [(0, 1), (1, 2), (0, 2)]
    return {f"{order[one]}/{order[other]}": int(((both[:, 0] == one) & (both[:, 1] == other)).sum()) for one, other in pairs}
