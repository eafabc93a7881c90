"""Sizes of images that networks take."""

from __future__ import annotations

import math

Size = int | tuple[int, int]
"""Pixels a side, or height and width."""


def height_width(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def halvings(size: Size) -> int:
    """How often both sides can be halved."""
    common = math.gcd(*height_width(size))
    return (common & -common).bit_length() - 1


def text(size: Size) -> str:
    return "×".join(map(str, height_width(size)))
