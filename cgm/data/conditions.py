"""What x is made of y by, where a dataset holds single pictures: a function a condition, and one line in :data:`CONDITIONS`.

Each takes a target, uint8 H×W×C, and a generator that depends on (dataset, id) alone, and gives the condition, of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from cgm.core import seeds
from cgm.core.lazy import np

REDUCTION = 4
SIGMA = 25.0
"""Of the noise, in grey levels: what denoisers are usually compared at (Zhang et al. 2017)."""
HOLE = (0.3, 0.5)
"""Least and largest side of the hole, as shares of the picture's."""
HOLE_LEVEL = 127
NIGHT, DAY = 0, 255
"""Edges are drawn in black on white, as in the edges2shoes set."""


def grey(target: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Colourisation: the luma (ITU-R 601), in as many equal channels."""
    from PIL import Image

    if target.shape[2] == 1:
        return target
    luma = np.asarray(Image.fromarray(target).convert("L"))
    return np.repeat(luma[..., None], 3, axis=2)


def edges(target: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Drawing to photograph: the edges that Canny's detector (1986) finds in the luma, σ = 1."""
    from skimage.feature import canny

    found = canny(grey(target, generator)[..., 0].astype(float) / 255, sigma=1.0)
    return np.repeat(np.where(found, NIGHT, DAY).astype(np.uint8)[..., None], target.shape[2], axis=2)


def downscale_4(target: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Super-resolution ×4: reduced by the bicubic filter, anti-aliased, and enlarged to the old size by it. (Johnson et al. 2016, section
    4.2, blur by a Gaussian of σ = 1 before they reduce, and let the network enlarge.)"""
    from PIL import Image

    image = Image.fromarray(target[..., 0] if target.shape[2] == 1 else target)
    small = image.resize((max(1, image.width // REDUCTION), max(1, image.height // REDUCTION)), Image.Resampling.BICUBIC)
    return np.asarray(small.resize(image.size, Image.Resampling.BICUBIC)).reshape(target.shape)


def mask(target: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Inpainting: a rectangle at random is filled with grey."""
    found = target.copy()
    height, width = (max(1, round(side * generator.uniform(*HOLE))) for side in target.shape[:2])
    top, left = generator.integers(0, target.shape[0] - height + 1), generator.integers(0, target.shape[1] - width + 1)
    found[top : top + height, left : left + width] = HOLE_LEVEL
    return found


def noise(target: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Denoising: Gaussian noise of σ = 25 grey levels is added."""
    return np.rint(np.clip(target + generator.normal(0.0, SIGMA, target.shape), 0, 255)).astype(np.uint8)


CONDITIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "grey": grey,
    "edges": edges,
    "downscale-4": downscale_4,
    "mask": mask,
    "noise": noise,
}
Condition = Literal["grey", "edges", "downscale-4", "mask", "noise"]


def make(kind: Condition, target: np.ndarray, *, dataset: str, identity: str) -> np.ndarray:
    """The condition of one target; the same for the same dataset and id, in whatever order they are made."""
    return CONDITIONS[kind](target, seeds.numpy_generator(dataset, "", 0, f"condition/{kind}/{identity}"))
