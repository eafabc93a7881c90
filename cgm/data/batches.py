"""Batches of training images: their order and augmentation.

Order and augmentation depend on (dataset, seed, epoch) alone: all methods of a dataset see the same images in the same order, moved and
flipped alike, and a run can go on from any image count without replaying what came before.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from cgm import seeds
from cgm.images import WHITE, to_float

RESIDENT_SHARE = 0.4
"""Of a GPU's free memory: the most that one side of a dataset may take to lie there as a whole."""
MAPPED = 2**28
"""Bytes of an array's file up to which its pages stay mapped; of larger ones rows are read, so that memory doesn't grow with the set."""


@dataclass(frozen=True)
class Batch:
    """``x``, ``y``: float N×3×S×S in [-1, 1]; aligned only where the reading is paired. ``noise``: the stream of the generator's noise."""

    x: torch.Tensor
    y: torch.Tensor
    noise: torch.Generator


class Store(Protocol):
    """Where the images of one side lie; gives some of them, uint8 N×S×S×3, on the device of the training."""

    def __call__(self, rows: np.ndarray) -> torch.Tensor: ...


class OnDevice:
    """The whole side in the GPU's memory, as uint8."""

    def __init__(self, images: np.ndarray, device: torch.device) -> None:
        self._images = torch.from_numpy(np.array(images)).to(device)

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        return self._images[to_device(rows, self._images.device)]


class OnDisk:
    """An array or its file, read row by row; on the way to a GPU through pinned memory, so that the copy overlaps with the computation."""

    def __init__(self, images: np.ndarray, device: torch.device) -> None:
        self._images, self._device = images, device
        whole = isinstance(images, np.memmap) and isinstance(images.base, mmap.mmap)
        self._file = os.open(images.filename, os.O_RDONLY) if whole and images.nbytes > MAPPED else None  # type: ignore[attr-defined]

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        if self._file is None:
            return to_device(self._images[rows], self._device)
        found = np.empty((len(rows), *self._images.shape[1:]), np.uint8)
        for place, row in zip(found, rows.tolist(), strict=True):
            self._read(row, memoryview(place).cast("B"))
        return to_device(found, self._device)

    def _read(self, row: int, place: memoryview) -> None:
        start = self._images.offset + row * len(place)  # type: ignore[attr-defined]
        if os.preadv(self._file, [place], start) != len(place):  # type: ignore[arg-type]
            raise OSError(f"{self._images.filename}: ends before image {row}")  # type: ignore[attr-defined]

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            os.close(self._file)  # type: ignore[arg-type]


def store(images: np.ndarray, device: torch.device) -> Store:
    """Where one side lies best: in the GPU's memory if it is small enough, else where it is."""
    if device.type == "cuda" and images.nbytes <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        return OnDevice(images, device)
    return OnDisk(images, device)


def to_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """A copy of ``array`` on ``device``, without waiting for a GPU."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


class Stream:
    """An endless stream of augmented images of one side, or of both sides together.

    ``sides``: stores of ``count`` images each, ``size`` pixels a side, that are indexed, shifted and flipped alike. ``name`` separates
    independent streams.
    """

    def __init__(
        self,
        sides: tuple[Store, ...],
        count: int,
        size: int,
        device: torch.device,
        *,
        dataset: str,
        seed: int,
        name: str,
        jitter: float,
        flip: bool,
    ) -> None:
        self._sides, self._count, self._size, self._device = sides, count, size, device
        self._dataset, self._seed, self._name = dataset, seed, name
        self._margin = round(size * jitter / 2)
        self._flip = flip
        self._epoch = -1
        self._plan = np.empty((0, 4), np.int64)

    def take(self, start: int, count: int) -> tuple[torch.Tensor, ...]:
        """Images ``start`` … ``start + count - 1`` of the stream, uint8 N×S×S×3, one tensor a side."""
        index, down, right, flip = np.array([self._row(position) for position in range(start, start + count)]).T
        # Only this table of N×S positions goes from the host to a GPU; the images are moved there.
        pixels = np.arange(self._size)
        rows = pixels - down[:, None]
        columns = pixels - right[:, None]
        columns = np.where(flip[:, None] == 1, self._size - 1 - columns, columns)
        where = to_device(np.stack([rows, columns]) + self._margin, self._device)
        return tuple(self._moved(side(index), *where) for side in self._sides)

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

    def _moved(self, images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Each image's pixel (r, c) taken from (``rows``[r], ``columns``[c]) of the image with a white margin."""
        count, size = images.shape[:2]
        margin = self._margin
        wide = images.new_full((count, size + 2 * margin, size + 2 * margin, 3), WHITE)
        wide[:, margin : margin + size, margin : margin + size] = images
        which = torch.arange(count, device=images.device)
        return wide[which[:, None, None], rows[:, :, None], columns[:, None, :]]


class Batches:
    """Training batches by image count. ``paired``: x and y belong together; else each side has its own order and augmentation.

    ``a``, ``b``: uint8 N×S×S×3. Batches come on ``device`` in ``layout``.
    """

    def __init__(
        self,
        a: np.ndarray,
        b: np.ndarray,
        *,
        paired: bool,
        dataset: str,
        seed: int,
        jitter: float,
        flip: bool,
        device: torch.device,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        def stream(sides: tuple[np.ndarray, ...], name: str) -> Stream:
            stores = tuple(store(side, device) for side in sides)
            count, size = sides[0].shape[:2]
            return Stream(stores, count, size, device, dataset=dataset, seed=seed, name=name, jitter=jitter, flip=flip)

        self._streams = [stream((a, b), "order")] if paired else [stream((a,), "order-A"), stream((b,), "order-B")]
        self._layout = layout

    def take(self, start: int, count: int, noise: torch.Generator) -> Batch:
        x, y = (to_float(side, side.device, self._layout) for stream in self._streams for side in stream.take(start, count))
        return Batch(x, y, noise)
