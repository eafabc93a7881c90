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
from torch.nn import functional as F

from cgm.core import seeds
from cgm.core.device import to_device
from cgm.data.images import WHITE, to_float

RESIDENT_SHARE = 0.4
"""Of a GPU's free memory: the most that one side of a dataset may take to lie there as a whole."""
MAPPED = 2**28
"""Bytes of an array's file up to which its pages stay mapped; of larger ones rows are read, so that memory doesn't grow with the set."""


@dataclass(frozen=True)
class Batch:
    """``x``, ``y``: float N×C×H×W in [-1, 1]; aligned only where the reading is paired. ``noise``: the stream of the generator's noise."""

    x: torch.Tensor
    y: torch.Tensor
    noise: torch.Generator


class Store(Protocol):
    """Where the images of one side lie; gives some of them, uint8 N×H×W×C, on the device of the training."""

    def __call__(self, rows: np.ndarray) -> torch.Tensor: ...


class OnDevice:
    """The whole side in the GPU's memory, as uint8."""

    def __init__(self, images: np.ndarray, device: torch.device) -> None:
        self._images = torch.from_numpy(np.array(images)).to(device)

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        return self._images[to_device(rows, self._images.device)]


class InMemory:
    """An array, or a mapped file; on the way to a GPU through pinned memory, so that the copy overlaps with the computation."""

    def __init__(self, images: np.ndarray, device: torch.device) -> None:
        self._images, self._device = images, device

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        return to_device(self._images[rows], self._device)


class InFile:
    """A file of which only the rows that are asked for are read; to a GPU as :class:`InMemory`."""

    def __init__(self, images: np.memmap, device: torch.device) -> None:
        self._shape, self._offset, self._name = images.shape[1:], images.offset, str(images.filename)
        self._device = device
        self._file = os.open(self._name, os.O_RDONLY)

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        found = np.empty((len(rows), *self._shape), np.uint8)
        for place, row in zip(found, rows.tolist(), strict=True):
            self._read(row, memoryview(place).cast("B"))
        return to_device(found, self._device)

    def _read(self, row: int, place: memoryview) -> None:
        if os.preadv(self._file, [place], self._offset + row * len(place)) != len(place):
            raise OSError(f"{self._name}: ends before image {row}")

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # not where the file could not be opened
            os.close(self._file)


def store(images: np.ndarray, device: torch.device) -> Store:
    """Where one side lies best: in the GPU's memory if it is small enough, else where it is."""
    if device.type == "cuda" and images.nbytes <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        return OnDevice(images, device)
    if isinstance(images, np.memmap) and isinstance(images.base, mmap.mmap) and images.nbytes > MAPPED:
        return InFile(images, device)
    return InMemory(images, device)


class Stream:
    """An endless stream of augmented images of one side, or of both sides together.

    ``sides``: stores of ``count`` images each, of ``size`` (height, width), that are indexed, shifted and flipped alike. ``name`` separates
    independent streams.
    """

    def __init__(
        self,
        sides: tuple[Store, ...],
        count: int,
        size: tuple[int, int],
        device: torch.device,
        *,
        dataset: str,
        seed: int,
        name: str,
        augment: str,
        jitter: float,
        flip: bool,
    ) -> None:
        self._sides, self._count, self._size, self._device = sides, count, size, device
        self._dataset, self._seed, self._name = dataset, seed, name
        self._margins = tuple(round(side * jitter / 2) if augment != "none" else 0 for side in size)
        """How far an image may move each way, down and to the right."""
        self._enlarges = augment == "resize-crop"
        self._flip = flip
        self._epoch = -1
        self._plan = np.empty((0, 4), np.int64)

    def take(self, start: int, count: int) -> tuple[torch.Tensor, ...]:
        """Images ``start`` … ``start + count - 1`` of the stream, uint8 N×H×W×C, one tensor a side."""
        index, down, right, flip = np.array([self._row(position) for position in range(start, start + count)]).T
        # Only this table of N×(H+W) positions goes from the host to a GPU; the images are moved there.
        height, width = self._size
        rows = np.arange(height) - down[:, None] + self._margins[0]
        columns = np.arange(width) - right[:, None]
        columns = np.where(flip[:, None] == 1, width - 1 - columns, columns) + self._margins[1]
        where = to_device(np.concatenate([rows, columns], axis=1), self._device).split([height, width], dim=1)
        return tuple(self._moved(side(index), *where) for side in self._sides)

    def _row(self, position: int) -> tuple[int, int, int, int]:
        """Index, vertical shift, horizontal shift, flip of one position."""
        epoch, place = divmod(position, self._count)
        if epoch != self._epoch:
            rng = seeds.numpy_generator(self._dataset, "", self._seed, f"{self._name}-{epoch}")
            order = rng.permutation(self._count)
            most = np.array(self._margins)[:, None]
            shifts = rng.integers(-most, most + 1, (2, self._count))
            flips = rng.integers(0, 2, self._count) * self._flip
            self._plan = np.stack([order, *shifts, flips], axis=1)
            self._epoch = epoch
        index, down, right, flip = self._plan[place].tolist()
        return index, down, right, flip

    def _moved(self, images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Each image's pixel (r, c) taken from (``rows``[r], ``columns``[c]) of the image that is larger by a margin all around."""
        larger = self._enlarged(images) if self._enlarges else self._with_margin(images)
        which = torch.arange(len(images), device=images.device)
        return larger[which[:, None, None], rows[:, :, None], columns[:, None, :]]

    def _with_margin(self, images: torch.Tensor) -> torch.Tensor:
        """Uint8 N×H×W×C on white."""
        count, height, width, channels = images.shape
        down, right = self._margins
        wide = images.new_full((count, height + 2 * down, width + 2 * right, channels), WHITE)
        wide[:, down : down + height, right : right + width] = images
        return wide

    def _enlarged(self, images: torch.Tensor) -> torch.Tensor:
        """Uint8 N×H×W×C, bicubically, as the papers' 256 px become 286 before they are cropped."""
        height, width = (side + 2 * margin for side, margin in zip(self._size, self._margins, strict=True))
        large = F.interpolate(images.permute(0, 3, 1, 2).float(), (height, width), mode="bicubic", align_corners=False)
        return large.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


class Batches:
    """Training batches by image count. ``paired``: x and y belong together; else each side has its own order and augmentation.

    ``a``, ``b``: uint8 N×H×W×C. ``augment``: ``shift``, ``resize-crop`` or ``none``. Batches come on ``device``, channels last.
    """

    def __init__(
        self,
        a: np.ndarray,
        b: np.ndarray,
        *,
        paired: bool,
        dataset: str,
        seed: int,
        augment: str,
        jitter: float,
        flip: bool,
        device: torch.device,
    ) -> None:
        def stream(sides: tuple[np.ndarray, ...], name: str) -> Stream:
            stores = tuple(store(side, device) for side in sides)
            count, height, width = sides[0].shape[:3]
            return Stream(
                stores, count, (height, width), device, dataset=dataset, seed=seed, name=name, augment=augment, jitter=jitter, flip=flip
            )

        self._streams = [stream((a, b), "order")] if paired else [stream((a,), "order-A"), stream((b,), "order-B")]

    def take(self, start: int, count: int, noise: torch.Generator) -> Batch:
        x, y = (to_float(side, side.device, torch.channels_last) for stream in self._streams for side in stream.take(start, count))
        return Batch(x, y, noise)
