"""Metrics that see whether an output follows its condition; marginal metrics cannot."""

from __future__ import annotations

import numpy as np
import torch

from cgm.metrics import checks
from cgm.metrics.blocks import gram, squared_norms

TIE = 1e-9
"""Cosine distances closer than this are one distance."""


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


def pairgain(own: np.ndarray, other: np.ndarray) -> float:
    """1 − mean d(G(xᵢ), yᵢ) ÷ mean d(G(xᵢ), y_π(i)), π a derangement: 1 for perfect outputs, 0 where the condition is ignored.

    Raises ``ValueError`` if the distances differ in number, or all of ``other`` are 0 (then all targets are alike).
    """
    if own.shape != other.shape or own.ndim != 1:
        raise ValueError(f"pairgain: found shapes {own.shape} and {other.shape}, expected two vectors of the same length")
    if not other.mean() > 0:
        raise ValueError("pairgain: found no distance to any other target, expected targets that differ")
    return float(1 - own.mean() / other.mean())


def retrieval(fake: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """N×D features of outputs and of their targets → N: 1 where the own target is the nearest by cosine distance, else 0.

    Where t targets are equally near, the own one among them counts 1/t: a constant output scores chance, 1/N, if targets are alike.
    """
    a, b = checks.two_features(fake, targets)
    if a.shape != b.shape:
        raise ValueError(f"targets: found {len(b)} rows, expected the outputs' {len(a)}")
    shares = []
    lengths_a, lengths_b = (squared_norms(x).sqrt_().clamp_min_(1e-12) for x in (a, b))
    for rows, similarity in gram(a, b):
        similarity.div_(lengths_a[rows, None]).div_(lengths_b)
        nearest = similarity >= similarity.amax(dim=1, keepdim=True) - TIE
        shares.append(nearest[:, rows].diagonal().double() / nearest.sum(1))
    return torch.cat(shares).numpy()
