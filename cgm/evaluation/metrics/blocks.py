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
    found = []
    for rows, squared in squared_distances(x, x):
        squared[:, rows].fill_diagonal_(torch.inf)
        found.append(squared.topk(k, dim=1, largest=False).values)
    return torch.cat(found)


def distinct(items: Iterable[np.ndarray]) -> int:
    """How many of the arrays (rows, images) differ, byte for byte."""
    return len({hashlib.blake2b(item.tobytes(), digest_size=16).digest() for item in items})
