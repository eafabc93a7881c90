"""Simulated runs whose truth is known: data sets × training seeds × test images, for means over images and for metrics of the whole set.

Every seed of a data set sees the same images. ``weights`` (W×N) say how often each image counts in each of W versions of the test set:
once, not at all where it is left out, and as often as it was drawn in a bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cgm.evaluation.uncertainty import image_groups

SHARES = {
    "seeds": (0.85, 0.10, 0.05),
    "mixed": (0.45, 0.35, 0.20),
    "images": (0.05, 0.80, 0.15),
    "interaction": (0.05, 0.25, 0.70),
}
"""What dominates → shares of seeds, images and their interaction in the variance of the mean."""
SPREADS = {"seeds": 0.25, "mixed": 0.12, "images": 0.03}
"""For set metrics: how far seeds lie apart in each feature, whose standard deviation over images is 1 and common bias BIAS."""
DATA = ("normal", "skewed images", "crops", "skewed seeds")
LARGEST = 8
"""Crops of a photograph."""
ALIKE = 0.6
"""Share of what crops of one photograph have in common, in the variance of the images and of the interaction."""
REALS, FEATURES = 200, 4
BIAS, NOISE = 0.5, 0.3
NEIGHBOURS = 3
SEARCHED = 15
"""Of an output's neighbours, those among which its k-th is looked for when images are left out or drawn repeatedly."""


@dataclass(frozen=True)
class Images:
    """The test set's groups, and which photograph an image is a crop of."""

    photographs: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, count: int, crops: bool, generator: np.random.Generator) -> Images:
        """``crops``: 1, 2 … LARGEST of a photograph, and again from 1."""
        sizes = np.resize(np.arange(1, LARGEST + 1), count) if crops else np.ones(count, dtype=int)
        photographs = np.repeat(np.arange(count), sizes)[:count]
        return cls(photographs, image_groups([str(one) for one in photographs], count, generator))

    @property
    def sizes(self) -> np.ndarray:
        return np.bincount(self.groups)

    def left_out(self) -> np.ndarray:
        """Weights, G×N: one group is missing in each."""
        return np.asarray((self.groups != np.arange(len(self.sizes))[:, None]).astype(float))

    @property
    def kish(self) -> float:
        """By how much the variance of a mean is larger than that of as many independent images."""
        per_photograph = np.bincount(self.photographs)
        return float(1 - ALIKE + ALIKE * (per_photograph**2).sum() / len(self.groups))


def per_image(
    data: str, shares: tuple[float, float, float], images: Images, shape: tuple[int, ...], generator: np.random.Generator
) -> np.ndarray:
    """Values … × S × N around a true mean of 0; ``shape``: … × S. The variance of the mean over seeds and images is 1."""
    *sets, seeds = shape
    count = len(images.groups)
    of_seeds, of_images, of_both = (share**0.5 for share in shares)
    crops = data == "crops"
    seed = generator.exponential(size=(*shape, 1)) - 1 if data == "skewed seeds" else generator.standard_normal((*shape, 1))
    if data == "skewed images":  # difficult images are few, and on them trainings differ most
        spread = 0.6
        difficulty = np.exp(spread * generator.standard_normal((*sets, 1, count)) - spread**2 / 2)
        image = (difficulty - 1) / np.sqrt(np.exp(spread**2) - 1)
        both = generator.standard_t(5, (*shape, count)) / np.sqrt(5 / 3) * difficulty / np.exp(spread**2 / 2)
    else:
        image, both = (_alike(generator, (*those, count), images, crops) for those in ((*sets, 1), shape))
    unit = (count / (images.kish if crops else 1)) ** 0.5
    return np.asarray(of_seeds * seeds**0.5 * seed + of_images * unit * image + of_both * (seeds**0.5) * unit * both)


def outputs(spread: float, seeds: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Features S×N×FEATURES of outputs for the same N conditions: near the truth, beside it by a common bias and each seed's own."""
    content = generator.standard_normal((1, count, FEATURES))
    seed = spread * generator.standard_normal((seeds, 1, FEATURES))
    return content + BIAS + seed + NOISE * generator.standard_normal((seeds, count, FEATURES))


def kernel_distances(fake: np.ndarray, real: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """KID less its term of the reals alone: S×N×D, M×D, W×N → S×W."""
    totals, squares = weights.sum(1), (weights**2).sum(1)
    within = ((fake @ fake.transpose(0, 2, 1)) / FEATURES + 1) ** 3
    own = np.einsum("sii->si", within) @ (weights**2).T
    between = (((fake @ real.T) / FEATURES + 1) ** 3).mean(2) @ weights.T
    return np.asarray((np.einsum("wn,snw->sw", weights, within @ weights.T) - own) / (totals**2 - squares) - 2 * between / totals)


def frechet_distances(fake: np.ndarray, real: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fréchet distance of Gaussians: S×N×D, M×D, W×N → S×W."""
    totals = weights.sum(1)[:, None]
    means = weights @ fake / totals
    products = (fake[..., :, None] * fake[..., None, :]).reshape(*fake.shape[:2], -1)
    second = (weights @ products / totals).reshape(*means.shape, -1)
    covariance = (second - means[..., :, None] * means[..., None, :]) * (totals / (totals - 1))[..., None]
    real_covariance = np.cov(real.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariance @ real_covariance).real, 0)).sum(-1)
    traces = np.trace(covariance, axis1=-2, axis2=-1) + np.trace(real_covariance)
    return np.asarray(((means - real.mean(0)) ** 2).sum(-1) + traces - 2 * roots)


def recalls(fake: np.ndarray, real: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of reals in the balls of outputs: S×N×D, M×D, W×N → S×W. A ball reaches to the k-th nearest other output that counts."""
    found = np.empty((len(fake), len(weights)))
    for seed, features in enumerate(fake):
        squared = _squared_distances(features, features)
        np.fill_diagonal(squared, -1)  # itself comes first
        nearest = np.argsort(squared, axis=1)[:, : SEARCHED + 1]
        radii = np.maximum(np.take_along_axis(squared, nearest, 1), 0)
        enough = np.cumsum(weights[:, nearest], axis=2) > NEIGHBOURS  # drawn twice, it is its own neighbour
        reach = np.where(enough.any(2), enough.argmax(2), SEARCHED)
        radius = np.where(weights > 0, radii[np.arange(len(features)), reach], -1)
        distances = _squared_distances(real, features)
        found[seed] = [(distances <= one).any(1).mean() for one in radius]
    return found


SETS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "KID": kernel_distances,
    "FD": frechet_distances,
    "recall": recalls,
}


def _alike(generator: np.random.Generator, shape: tuple[int, ...], images: Images, crops: bool) -> np.ndarray:
    """Standard normal; crops of one photograph have ALIKE of the variance in common."""
    own = generator.standard_normal(shape)
    if not crops:
        return own
    common = generator.standard_normal((*shape[:-1], int(images.photographs[-1]) + 1))[..., images.photographs]
    return np.asarray(ALIKE**0.5 * common + (1 - ALIKE) ** 0.5 * own)


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T)
