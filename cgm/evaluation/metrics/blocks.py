"""Products and distances among many rows, a bounded number of *bytes* at a time: features stay in the float type they came in, the
arithmetic is float64."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cgm.core.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

BLOCK_BYTES = 2**26
"""What a block may hold; bounds the memory, changes no result beyond float64's rounding."""
NEAR = 1e-9
"""Of ‖x‖² + ‖y‖²: what squared distances are known to. Features of one image differ by less (float32), those of two by far more."""


def blocks(rows: int, bytes_per_row: int) -> Iterator[slice]:
    step = max(BLOCK_BYTES // bytes_per_row, 1)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def row_blocks(x: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """The rows of N×D as float64, block by block."""
    for rows in blocks(len(x), 8 * x.shape[1]):
        yield rows, x[rows].double()


def squared_norms(x: Tensor) -> Tensor:
    """N×D → N."""
    return torch.cat([block.square().sum(1) for _, block in row_blocks(x)])


def directions(x: Tensor) -> Tensor:
    """N×D → the rows at unit length, float64; a row of zeros stays as it is."""
    unit = x.to(torch.float64, copy=True)
    return unit.div_(unit.norm(dim=1, keepdim=True).clamp_min_(1e-12))


def gram(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """The rows of x yᵀ, block by block; neither matrix is converted as a whole."""
    for rows in blocks(len(x), 8 * (len(y) + x.shape[1])):
        block = x[rows].double()
        yield rows, torch.cat([block @ part.T for _, part in row_blocks(y)], dim=1)


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """The rows of the matrix of ‖x − y‖², block by block.

    By products, thus to float64's rounding of ‖x‖² + ‖y‖²; what lies below :data:`NEAR` of that is 0, so that equal rows are at
    distance 0 exactly.
    """
    norms_x, norms_y = squared_norms(x), squared_norms(y)
    for rows, products in gram(x, y):
        scale = norms_x[rows, None] + norms_y
        squared = products.mul_(-2).add_(scale)
        yield rows, squared.masked_fill_(squared < scale.mul_(NEAR), 0.0)


def nearest_others(x: Tensor, k: int = 1) -> Tensor:
    """N×D → N×k: the squared distances of each row to its k nearest other rows, ascending. Needs N > k."""
    return nearest_others_of_parts(x, torch.ones(1, len(x), dtype=torch.bool), k)[0]


def nearest_others_of_parts(x: Tensor, kept: Tensor, k: int = 1) -> Tensor:
    """N×D and bool G×N → G×N×k: as :func:`nearest_others`, of each row to the rows of each part, which hold more than k."""
    found = []
    for rows, squared in squared_distances(x, x):
        squared[:, rows].fill_diagonal_(torch.inf)
        found.append(torch.stack([squared.masked_fill(~part, torch.inf).topk(k, dim=1, largest=False).values for part in kept]))
    return torch.cat(found, dim=1)


def grams_of_parts(x: Tensor, kept: Tensor, *, centred: bool = False) -> Iterator[Tensor]:
    """For each part of the rows of float64 N×D, by bool G×N: A Aᵀ or AᵀA of its rows A, whichever is smaller (they share their
    eigenvalues other than 0), ``centred``: less their mean. Only the whole is multiplied, and the rows that a part lacks.
    """
    count, width = x.shape
    whole = x @ x.T if count <= width else x.T @ x
    for part, size in zip(kept, kept.sum(1).tolist(), strict=True):
        if count <= width:
            gram = whole[part][:, part]
            yield gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean() if centred else gram
        elif size > max(width, count // 2):
            rest, mean = x[~part], x[part].mean(0)
            gram = whole - rest.T @ rest
            yield gram.addr_(mean, mean, alpha=-size) if centred else gram
        else:  # little is left of the whole, whose rounding would show
            rows = x[part] - x[part].mean(0) if centred else x[part]
            yield rows @ rows.T if size <= width else rows.T @ rows


def eigenvalues(gram: Tensor) -> Tensor:
    """Of a Gram matrix, ascending; what stands above its diagonal isn't read."""
    return torch.linalg.eigvalsh(gram).clamp_min_(0)


def distinct(items: Iterable[np.ndarray]) -> int:
    """How many of the arrays (rows, images) differ, byte for byte."""
    return len(set(digests(items)))


def digests(items: Iterable[np.ndarray]) -> list[str]:
    """Of each array's bytes."""
    return [hashlib.blake2b(item.tobytes(), digest_size=16).hexdigest() for item in items]
