"""Which test images have the same input, byte for byte: they show in how many ways one input can be answered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from cgm.data.splits import Groups


def recurring(images: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×C (a memory map will do) → N: a number for each image; equal images have the same one. The first new image is 0, the next
    1, and so on."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(hashlib.sha256(image.tobytes()).digest(), len(numbers)) for image in images], dtype=np.int64)


def kept_together(alike: Sequence[str] | None, inputs: np.ndarray) -> Sequence[str]:
    """N labels such that images with the same label in ``alike`` (None: nothing is known of that) or the same input have the same one."""
    names = [("", f"{number:012d}") for number in range(len(inputs))] if alike is None else [("", label) for label in alike]
    union, first = Groups(), dict[int, tuple[str, str]]()
    for name, number in zip(names, inputs.tolist(), strict=True):
        union.join(first.setdefault(number, name), name)
    return [union.of(name)[1] for name in names]
