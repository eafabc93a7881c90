"""Generators with known faults, made from the embedded pictures.

None of them is trained. Each has one fault that trained generators have: it ignores its condition, memorises, averages, collapses, leaves
out a subject, or adds noise.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.color import hsv2rgb, rgb2hsv

from benchmarks.page import ROOT
from cgm.core.seeds import numpy_generator
from cgm.data.listing import SPLITS
from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.sources.openmoji import OPENMOJI
from cgm.evaluation.baselines import mean_image, nearest_neighbours
from cgm.evaluation.metrics.derangement import derangement

SOURCE = "openmoji"
DROPPED = 3


@dataclass(frozen=True)
class Pool:
    """All pairs of the source, uint8 N×S×S×3 each, and the subject group (smileys, food, …) of each pair."""

    conditions: np.ndarray
    targets: np.ndarray
    subjects: np.ndarray


@dataclass(frozen=True)
class Split:
    """Disjoint random parts of a pool: N test pairs, N ``held`` targets (what real-vs-real compares) and the train pairs, M."""

    conditions: np.ndarray
    targets: np.ndarray
    subjects: np.ndarray
    held: np.ndarray
    train_conditions: np.ndarray
    train: np.ndarray


def load_pool(folder: Path, image_size: int = 64, limit: int | None = None) -> Pool:
    """Prepare the embedded pictures (variant base) below ``folder`` and join their splits. ``limit``: pairs of each split, at most."""
    settings = OPENMOJI.Settings(source=SOURCE, variant="base", image_size=image_size, kimg=1.0, limit=limit)
    archives = ROOT / "data" / "embedded"
    OPENMOJI.fetch(settings, folder / "raw", paired=True, root=ROOT)
    prepare(settings, folder / "raw", folder / "prepared", name=SOURCE, paired=True)
    prepared = open_prepared(folder / "prepared")
    with (archives / f"{SOURCE}_split.csv").open(encoding="utf-8", newline="") as file:
        subject = {row["hexcode"]: row["category"] for row in csv.DictReader(file)}
    conditions, targets = (np.concatenate([prepared.images(split, side) for split in SPLITS]) for side in "AB")
    return Pool(conditions, targets, np.array([subject[name] for split in SPLITS for name in prepared.ids(split, "A")]))


def random_split(pool: Pool, number: int, count: int) -> Split:
    """The ``number``-th random split with ``count`` test pairs and as many held-out targets; all others are train pairs.

    It ignores the dataset's own split, which keeps look-alikes together. That makes test and train differ in distribution, and the study
    asks how a metric behaves where they don't.
    """
    order = numpy_generator(SOURCE, "", number, "benchmarks/split").permutation(len(pool.targets))
    test, held, train = order[:count], order[count : 2 * count], order[2 * count :]
    return Split(
        conditions=pool.conditions[test],
        targets=pool.targets[test],
        subjects=pool.subjects[test],
        held=pool.targets[held],
        train_conditions=pool.conditions[train],
        train=pool.targets[train],
    )


def blur(images: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian of ``sigma`` px over height and width."""
    return _rounded(gaussian_filter(images.astype(np.float64), (0, sigma, sigma, 0)))


def noise(images: np.ndarray, deviation: float, generator: np.random.Generator) -> np.ndarray:
    """Independent Gaussian noise; ``deviation`` on the scale where white is 1."""
    return _rounded(images + generator.normal(0, 255 * deviation, images.shape))


def recolour(images: np.ndarray) -> np.ndarray:
    """Hues turned by half a circle (HSV), saturation and value as they were."""
    turned = [rgb2hsv(image) for image in images]
    for image in turned:
        image[..., 0] = (image[..., 0] + 0.5) % 1
    return _rounded(np.stack([hsv2rgb(image) for image in turned]) * 255)


def regression(conditions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """What a mean over colourings looks like: half the target, half the drawing, slightly blurred (σ 0.7)."""
    return _rounded(gaussian_filter((conditions / 2 + targets / 2), (0, 0.7, 0.7, 0)))


def deranged(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Each image exchanged for another one's."""
    exchanged = np.empty_like(images)
    for block in derangement(len(images), generator, len(images)):
        exchanged[block] = images[np.roll(block, -1)]
    return exchanged


def collapsed(images: np.ndarray, modes: int, generator: np.random.Generator) -> np.ndarray:
    """As many images, but only ``modes`` different ones, each about equally often."""
    chosen = generator.choice(len(images), modes, replace=False)
    return images[generator.permutation(np.resize(chosen, len(images)))]


def subjects_dropped(images: np.ndarray, subjects: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """As many images, drawn from those that show none of the three most frequent subjects."""
    names, counts = np.unique(subjects, return_counts=True)
    left = np.flatnonzero(~np.isin(subjects, names[np.argsort(-counts, kind="stable")[:DROPPED]]))
    return images[generator.choice(left, len(images))]


def _rounded(images: np.ndarray) -> np.ndarray:
    return np.clip(images, 0, 255).round().astype(np.uint8)


HELD = "held-out real"
TARGET = "ground truth"
GENERATORS: dict[str, Callable[[Split, np.random.Generator], np.ndarray]] = {
    TARGET: lambda s, g: s.targets,
    HELD: lambda s, g: s.held,
    "derangement": lambda s, g: deranged(s.targets, g),
    "nearest-neighbour memoriser": lambda s, g: s.train[nearest_neighbours(s.conditions, s.train_conditions)],
    "recolour (hue)": lambda s, g: recolour(s.targets),
    "noise 0.02": lambda s, g: noise(s.targets, 0.02, g),
    "noise 0.1": lambda s, g: noise(s.targets, 0.1, g),
    "blur σ 1": lambda s, g: blur(s.targets, 1),
    "blur σ 2": lambda s, g: blur(s.targets, 2),
    "regression": lambda s, g: regression(s.conditions, s.targets),
    "copy of the line art": lambda s, g: s.conditions,
    "collapse to 1": lambda s, g: collapsed(s.targets, 1, g),
    "collapse to 1, noise 0.05": lambda s, g: noise(collapsed(s.targets, 1, g), 0.05, g),
    "collapse to 10": lambda s, g: collapsed(s.targets, 10, g),
    "collapse to 10, noise 0.05": lambda s, g: noise(collapsed(s.targets, 10, g), 0.05, g),
    "collapse to N ÷ 4": lambda s, g: collapsed(s.targets, len(s.targets) // 4, g),
    "3 subjects dropped": lambda s, g: subjects_dropped(s.targets, s.subjects, g),
    "mean image": lambda s, g: np.repeat(mean_image(s.train)[None], len(s.targets), axis=0),
}


def outputs(name: str, split: Split, number: int) -> np.ndarray:
    """The outputs of generator ``name`` on the test conditions of the ``number``-th split.

    All draw from the same stream, so that a collapse with noise holds the same pictures as one without.
    """
    return GENERATORS[name](split, numpy_generator(SOURCE, "", number, "benchmarks/generators"))
