"""Batches of training images: their order and augmentation.

Order and augmentation depend on (dataset, seed, epoch) alone: all methods of a dataset see the same images in the same order, moved and
flipped alike, and a run can go on from any image count without replaying what came before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cgm import seeds
from cgm.images import WHITE, to_float


@dataclass(frozen=True)
class Batch:
    """``x``, ``y``: float N×3×S×S in [-1, 1]; aligned only where the reading is paired. ``noise``: the stream of the generator's noise."""

    x: torch.Tensor
    y: torch.Tensor
    noise: torch.Generator


class Stream:
    """An endless stream of augmented images of one side, or of both sides together.

    ``sides``: arrays N×S×S×3 uint8 of equal length that are indexed, shifted and flipped alike. ``name`` separates independent streams.
    """

    def __init__(self, sides: tuple[np.ndarray, ...], *, dataset: str, seed: int, name: str, jitter: float, flip: bool) -> None:
        self._sides = sides
        self._count = len(sides[0])
        self._dataset, self._seed, self._name = dataset, seed, name
        self._margin = round(sides[0].shape[1] * jitter / 2)
        self._flip = flip
        self._epoch = -1
        self._plan = np.empty((0, 4), np.int64)

    def take(self, start: int, count: int) -> tuple[np.ndarray, ...]:
        """Images ``start`` … ``start + count - 1`` of the stream, uint8, one array a side."""
        rows = [self._row(position) for position in range(start, start + count)]
        return tuple(np.stack([self._augmented(side, *row) for row in rows]) for side in self._sides)

    def _row(self, position: int) -> tuple[int, int, int, int]:
        """Index, vertical shift, horizontal shift, flip of one position."""
        epoch, place = divmod(position, self._count)
        if epoch != self._epoch:
            rng = seeds.numpy_generator(self._dataset, "", self._seed, f"{self._name}-{epoch}")
            order = rng.permutation(self._count)
            shifts = rng.integers(-self._margin, self._margin + 1, (2, self._count))
            flips = rng.integers(0, 2, self._count) * self._flip
            self._plan = np.stack([order, *shifts, flips], axis=1)
            self._epoch = epoch
        index, down, right, flip = self._plan[place].tolist()
        return index, down, right, flip

    @staticmethod
    def _augmented(side: np.ndarray, index: int, down: int, right: int, flip: int) -> np.ndarray:
        image = side[index]
        if flip:
            image = image[:, ::-1]
        size = image.shape[0]
        moved = np.full_like(image, WHITE)
        moved[max(down, 0) : size + min(down, 0), max(right, 0) : size + min(right, 0)] = image[
            max(-down, 0) : size + min(-down, 0), max(-right, 0) : size + min(-right, 0)
        ]
        return moved


class Batches:
    """Training batches by image count. ``paired``: x and y belong together; else each side has its own order and augmentation."""

    def __init__(
        self, a: np.ndarray, b: np.ndarray, *, paired: bool, dataset: str, seed: int, jitter: float, flip: bool, device: torch.device
    ) -> None:
        def stream(sides: tuple[np.ndarray, ...], name: str) -> Stream:
            return Stream(sides, dataset=dataset, seed=seed, name=name, jitter=jitter, flip=flip)

        self._streams = [stream((a, b), "order")] if paired else [stream((a,), "order-A"), stream((b,), "order-B")]
        self._device = device

    def take(self, start: int, count: int, noise: torch.Generator) -> Batch:
        x, y = (to_float(side, self._device) for stream in self._streams for side in stream.take(start, count))
        return Batch(x, y, noise)
