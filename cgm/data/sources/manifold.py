"""Outlines, each filled in one of three colours: pictures that are made, so that p(y | x) is known exactly.

An outline x has three equally sharp pictures y. Each x stands in the data once for each unit of weight of its colours, so that its mean,
its coordinate-wise median and its modes can be read from the data without an error of sampling. The colours are chosen so that these are
all different pictures: no colour has half of the weight, and each channel is bright in one colour alone. So the median is dark in every
channel, the mean is grey, and neither is a colour that occurs. ``docs/data.md`` has the numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.core.seeds import numpy_generator
from cgm.data.listing import SIDES, Picture, write_listing
from cgm.data.sources.source import Dataset, Source

BRIGHT, DARK = 220, 40
COLOURS = {"red": (BRIGHT, DARK, DARK), "green": (DARK, BRIGHT, DARK), "blue": (DARK, DARK, BRIGHT)}
WEIGHTS = {"red": 4, "green": 3, "blue": 3}
"""p(y | x) is 0.4, 0.3 and 0.3; as many copies of an outline stand in the data."""
OUTLINES = {"train": 40, "val": 6, "test": 10}
"""By split; no outline stands in two."""
CORNERS = (4, 8)
RADII = (12.0, 14.5)
SIDE, MARGIN, LINE = 32.0, 1.5, 2.0
"""Of the canvas; the least distance of an outline from its edge; the line's width."""


class Manifold(Source):
    about = About(title="Outlines in three colours", citation="made by this benchmark, with a known p(y | x)")
    pairing = "paired"
    line_art = True

    class Settings(Dataset):
        variant: Literal["base"] = "base"
        condition: None = None
        """x is the outline: of what is made from y, no two would be equal."""

    def bring(self, settings: Any, out: Path, paired: bool, root: Path, name: str) -> dict[str, Any]:
        for side in SIDES:
            (out / side).mkdir()
        write_listing(out, _pictures(out))
        return {"licence": "CC0-1.0", "attribution": "", "archive": None, "hidden_pairs": False, "path": None}

    def identity(self, settings: Any, root: Path) -> dict[str, Any]:
        """Nothing beside the code that draws them."""
        return {}


def _pictures(out: Path) -> Iterator[Picture]:
    """Draws every outline, bare and filled, and gives it as often as its colours weigh."""
    generator = numpy_generator("manifold", "", 0, "outlines")
    for split, count in OUTLINES.items():
        for number in range(count):
            corners = int(generator.integers(*CORNERS))
            points = _outline(generator, corners)
            name = f"{split}-{number:02d}"
            bare = _drawn(out, f"A/{name}.svg", points, "none")
            for colour, weight in WEIGHTS.items():
                filled = _drawn(out, f"B/{name}-{colour}.svg", points, f"rgb{COLOURS[colour]}")
                for copy in range(weight):
                    for side, (path, digest) in zip(SIDES, (bare, filled), strict=True):
                        identity, label = f"{number:02d}-{colour}-{copy}", f"{corners} corners, {colour}"
                        yield Picture(split, side, identity, label, name, True, path, digest)


def _outline(generator: np.random.Generator, corners: int) -> np.ndarray:
    """corners×2: a polygon around a centre that sees all of it, within the canvas."""
    turns = (np.arange(corners) + generator.uniform(-0.3, 0.3, corners)) * 2 * np.pi / corners + generator.uniform(0, 2 * np.pi)
    radius = generator.uniform(*RADII)
    around = (radius * generator.uniform(0.7, 1, corners))[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    low, high = MARGIN - around.min(axis=0), SIDE - MARGIN - around.max(axis=0)
    found: np.ndarray = around + generator.uniform(low, high)
    return found


def _drawn(out: Path, path: str, points: np.ndarray, fill: str) -> tuple[str, str]:
    """Writes an SVG below ``out``; returns its path there and its SHA-256."""
    corners = " ".join(f"{x:.3f},{y:.3f}" for x, y in points)
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE:g} {SIDE:g}"><polygon points="{corners}" fill="{fill}"'
        f' stroke="black" stroke-width="{LINE:g}" stroke-linejoin="round"/></svg>\n'
    )
    content = text.encode()
    (out / path).write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


MANIFOLD = Manifold()
