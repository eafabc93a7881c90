"""Colourfulness, output ÷ target: averaging shows as greyness."""

from __future__ import annotations

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import COLOUR, TARGETS
from cgm.evaluation.metrics.over_images import median_of

EPSILON = 1.0
"""One grey level; 15 is 'slightly colourful' (Hasler & Süsstrunk 2003, table 2)."""
CHUNK = 64
"""Images held in float64 at a time; bounds the memory, changes no result."""


def colourfulness_ratio(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 each → N: colourfulness of the output ÷ that of the target, both plus one grey level.

    Raises ``ValueError`` on another dtype or shape, or unequal shapes.
    """
    checks.pair(outputs, targets)
    return (colourfulness(outputs) + EPSILON) / (colourfulness(targets) + EPSILON)


def colourfulness(images: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 → N: Hasler & Süsstrunk's M on the 0…255 scale, √(σ²_rg + σ²_yb) + 0.3 √(μ²_rg + μ²_yb), with rg = R − G and
    yb = (R + G)/2 − B."""
    checks.images(images, "images")
    values = []
    for start in range(0, len(images), CHUNK):
        red, green, blue = images[start : start + CHUNK].transpose(3, 0, 1, 2).reshape(3, -1, images[0, ..., 0].size).astype(np.float64)
        rg, yb = red - green, (red + green) / 2 - blue
        values.append(np.hypot(rg.std(axis=1), yb.std(axis=1)) + 0.3 * np.hypot(rg.mean(axis=1), yb.mean(axis=1)))
    return np.concatenate(values)


COLOURFULNESS_RATIO = Metric(
    name="colourfulness_ratio",
    about=About(
        title="colourfulness ratio",
        short="colour ratio",
        citation="Hasler & Süsstrunk, Human Vision and Electronic Imaging 2003",
        protocol="colourfulness M, output ÷ target, median over test images; below 1: desaturated",
    ),
    group="sharpness",
    direction="target",
    target=1.0,
    bounds=(0, None),
    needs=(TARGETS, COLOUR),
    main=True,
    per_image=lambda block: colourfulness_ratio(block.outputs, block.targets),
    compute=median_of("colourfulness_ratio"),
)
