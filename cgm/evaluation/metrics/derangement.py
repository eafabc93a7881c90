"""Which other image each test image is compared with."""

from __future__ import annotations

from cgm.core.lazy import np


def derangement(count: int, generator: np.random.Generator, block: int) -> list[np.ndarray]:
    """A random permutation of ``count`` items, cut into blocks of ``block`` (the last may be larger or smaller, but not 1).

    Within a block, each item's "other" is the next one, and the last one's is the first: no item is its own, and only one block at a
    time need be in memory. Raises ``ValueError`` for fewer than two items.
    """
    if count < 2 or block < 2:
        raise ValueError(f"derangement: found {count} items in blocks of {block}, expected 2 or more of each")
    starts = np.arange(0, count, block)
    if count - starts[-1] == 1 and len(starts) > 1:
        starts = starts[:-1]
    return np.split(generator.permutation(count), starts[1:])
