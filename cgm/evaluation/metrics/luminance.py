"""An image's luminance, a bounded number of images at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cgm.core.lazy import np, torch
from cgm.evaluation.metrics import checks

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue."""
CHUNK = 64
"""Images held in float64 at a time; bounds the memory, changes no result."""


def luminances(images: np.ndarray) -> Iterator[Tensor]:
    """uint8 N×H×W×3 → chunks N×H×W in [0, 1], float64. Raises ``ValueError`` on another dtype or shape."""
    checks.images(images, "images")
    weights = torch.tensor(WEIGHTS, dtype=torch.float64) / 255
    for start in range(0, len(images), CHUNK):
        yield torch.from_numpy(images[start : start + CHUNK].astype(np.float64)) @ weights


def each(images: np.ndarray, function: Callable[[Tensor], Tensor]) -> np.ndarray:
    """``function`` of the luminances, a row an image."""
    return torch.cat([function(luminance) for luminance in luminances(images)]).numpy()
