"""Drawn pairs for the metric tests: coloured shapes (targets) and their outlines (conditions)."""

import csv
import json
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

TRAIN, VAL, TEST = 140, 4, 60


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


def prepare(folder: Path, *, paired: bool = True, hidden: bool = False, test_size: int = TEST, size: int = 64) -> Path:
    """A prepared dataset of drawn shapes, in the form that the stage ``prepare`` writes."""
    a, b = pairs(TRAIN + VAL + TEST, size=size)
    cuts = {"train": slice(0, TRAIN), "val": slice(TRAIN, TRAIN + VAL), "test": slice(TRAIN + VAL, TRAIN + VAL + test_size)}
    rows, counts = [], {}
    for split, cut in cuts.items():
        (folder / split).mkdir(parents=True)
        for side, images in (("A", a), ("B", b)):
            np.save(folder / split / f"{side}.npy", images[cut])
        ids = [f"shape{index}" for index in range(len(a))[cut]]
        aligned = paired or (hidden and split != "train")
        for side in ("AB",) if aligned else ("A", "B"):
            rows += [(split, side, index, name, name) for index, name in enumerate(ids)]
        counts[split] = {"A": len(ids), "B": len(ids)}
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("split", "side", "index", "id", "label"), *rows])
    card = {"dataset": "shapes", "source": "folder", "variant": "base", "image_size": size, "paired": paired, "hidden_pairs": hidden,
            "channels": 3, "aligned": [split for split in ("train", "val", "test") if paired or (hidden and split != "train")],
            "counts": counts, "data_sha256": "0" * 64}  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return folder
