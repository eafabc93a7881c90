"""Drawn pairs for the metric tests: coloured shapes (targets) and their outlines (conditions)."""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter


@cache
def pairs(count: int, seed: int = 0, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A, B: uint8 count×size×size×3."""
    generator = np.random.default_rng(seed)
    sides = []
    for _ in range(count):
        line, filled = Image.new("RGB", (size, size), "white"), Image.new("RGB", (size, size), "white")
        for _ in range(int(generator.integers(2, 5))):
            x, y = generator.uniform(0.1, 0.6, 2) * size
            width, height = generator.uniform(0.15, 0.5, 2) * size
            box = [x, y, min(x + width, size - 2), min(y + height, size - 2)]
            colour = tuple(int(value) for value in generator.integers(0, 256, 3))
            shape = ["ellipse", "rectangle", "pieslice"][int(generator.integers(3))]
            turn = {"start": 30, "end": 300} if shape == "pieslice" else {}
            getattr(ImageDraw.Draw(line), shape)(box, fill="white", outline="black", **turn)
            getattr(ImageDraw.Draw(filled), shape)(box, fill=colour, outline="black", **turn)
        sides.append((np.array(line), np.array(filled)))
    a, b = (np.stack(side) for side in zip(*sides, strict=True))
    return a, b


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter(images.astype(np.float64), (0, sigma, sigma, 0)).round().astype(np.uint8)


def noisy(images: np.ndarray, deviation: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 255 * deviation, images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)
