"""Small pictures inside of drawn figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

COLOURS = 64
"""Of a mosaic, unless it says otherwise: pictures are most of the bytes of a figure that holds some."""


def small(image: np.ndarray, side: int) -> np.ndarray:
    """uint8 H×W×3 with its larger side at most ``side``, each pixel the mean of what it stands for."""
    height, width, _ = image.shape
    factor = min(1.0, side / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BOX))


def mosaic(rows: Sequence[Sequence[np.ndarray]], side: int, colours: int = COLOURS) -> np.ndarray:
    """Equally large images, uint8 H×W×3, made :func:`small` and set edge to edge."""
    whole = np.concatenate([np.concatenate([small(image, side) for image in row], axis=1) for row in rows])
    return np.asarray(Image.fromarray(whole).quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB"))


def place(axes: Axes, image: np.ndarray, left: float, top: float, width: float, height: float) -> None:
    """Draw ``image`` into a box of data coordinates, y pointing down; its own pixels go into the file."""
    axes.imshow(image, extent=(left, left + width, top + height, top), interpolation="none", aspect="equal")
