"""What the first layer of a frozen network looks for: orientations and colours, beside random filters of the same shape.

Textbooks show such filters and say that they are edges and colours. Here two numbers measure that of each filter. The random filters show
what a number means: with nine weights a channel, chance alone makes filters that look oriented.

Both numbers stay the same when a filter is multiplied by a constant, so that folded normalisations and the scale of an initialisation
don't matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import betaincinv, stdtrit

from cgm.core.errors import UserError
from cgm.core.files import replacing
from cgm.core.seeds import numpy_generator
from cgm.evaluation.stats import LEVEL

INITS = 50
"""Random initialisations of the layer."""
BEYOND = 0.95
"""A filter counts as selective where it is more so than this share of the random ones."""
RADII, ANGLES = 16, 36
"""At which a filter's spectrum is sampled."""
DEAD = 0.01
"""Filters whose norm is below this share of the largest one answer to nothing, and are left out. EfficientNet-Lite has some."""


@dataclass(frozen=True, kw_only=True)
class Selective:
    """How many filters go farther than all but 5% of the random ones, with Clopper and Pearson's exact 95% interval over filters
    (Biometrika 1934)."""

    count: int
    n: int
    low: float
    high: float
    chance: float
    """The share of random filters that count: 5% by definition; for filters that are selective in any way, as measured."""

    @property
    def share(self) -> float:
        return self.count / self.n


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One measure of the trained filters and of the random ones."""

    trained: np.ndarray
    """L: a value a filter that isn't dead."""
    random: np.ndarray
    """R×L: a value a filter of each initialisation."""
    difference: float
    """Of the means, trained − random."""
    half_width: float
    """Of its 95% interval, over filters and initialisations (Welch's t)."""
    threshold: float
    """What a random filter exceeds with a probability of 5%."""
    selective: Selective


@dataclass(frozen=True, kw_only=True)
class FirstLayer:
    """The first layer of one network, measured."""

    orientation: Contrast
    chroma: Contrast
    either: Selective
    """Filters that are selective for orientation, for colour, or for both."""
    grey: Selective
    """Filters that see less colour than all but 5% of the random ones: the other side of a layer that tells brightness from colour."""
    alive: np.ndarray
    """bool O: which filters were measured."""


def orientation_selectivity(filters: np.ndarray) -> np.ndarray:
    """…×C×k×k → …, each in 0…1: how much of a filter's power lies at one orientation.

    |∫ E(θ) e^{2iθ} dθ| / ∫ E(θ) dθ, where E(θ) = ∫ Σ_c |W_c(r, θ)|² r dr is the power of the Fourier transform W at orientation θ, up to
    half a cycle a pixel. That is 1 − circular variance as of orientation tuning curves (Ringach, Shapley & Hawken, J. Neurosci. 2002),
    for the responses to gratings. 0: alike in all directions, as a blob is; 1: a grating.
    """
    size = filters.shape[-1]
    radius = (np.arange(RADII) + 0.5) / (2 * RADII)
    angle = np.arange(ANGLES) * np.pi / ANGLES
    place = np.arange(size) - (size - 1) / 2
    waves = [
        np.exp(-2j * np.pi * np.multiply.outer(np.multiply.outer(radius, way), place)) for way in (np.cos(angle), np.sin(angle))
    ]  # R×A×k each: across the columns, and down the rows
    spectrum = np.einsum("...yx,rax,ray->...ra", filters.astype(np.float64), *waves, optimize=True)
    power = (np.abs(spectrum) ** 2 * radius[:, None]).sum(axis=-2).sum(axis=-2)  # over radii, then channels
    total = power.sum(axis=-1)
    resultant = np.abs((power * np.exp(2j * angle)).sum(axis=-1))
    return np.divide(resultant, total, out=np.zeros_like(total), where=total > 0)


def chroma_share(filters: np.ndarray) -> np.ndarray:
    """…×3×k×k → …, each in 0…1: the share of a filter's squared weights that no grey picture excites.

    At each position the three weights are a vector; its part along (1, 1, 1) answers to grey, the rest to differences of colours alone
    (the chromatic plane of an opponent space). 0: sees no colour; ⅔: one primary, or chance; 1: sees nothing but colour.
    """
    filters = filters.astype(np.float64)
    total = np.square(filters).sum(axis=(-3, -2, -1))
    grey = np.square(filters.sum(axis=-3)).sum(axis=(-2, -1)) / filters.shape[-3]
    seen = np.divide(grey, total, out=np.ones_like(total), where=total > 0)
    return np.maximum(1 - seen, 0)  # rounding may bring the share of grey above 1


def random_filters(shape: tuple[int, ...], generator: np.random.Generator, inits: int = INITS) -> np.ndarray:
    """R×O×3×k×k: normal and independent, as layers are initialised (He et al. 2015); their scale says nothing here."""
    return generator.standard_normal((inits, *shape), dtype=np.float32)


def generator_of(network: str) -> np.random.Generator:
    """Of the random filters beside a network's."""
    return numpy_generator("", "", 0, f"filters/{network}")


def first_layer(weights: np.ndarray, generator: np.random.Generator, inits: int = INITS) -> FirstLayer:
    """O×3×k×k weights of a first convolution beside ``inits`` ≥ 2 random initialisations of it.

    Raises ``ValueError`` for another shape, weights that aren't finite, or fewer than two filters that aren't dead.
    """
    if weights.ndim != 4 or weights.shape[1] != 3 or not np.isfinite(weights).all():
        raise ValueError(f"first layer: found weights of shape {weights.shape}, expected finite O×3×k×k")
    alive = living(weights)
    if alive.sum() < 2:
        raise ValueError(f"first layer: found {alive.sum()} filters that aren't 0, expected 2 or more")
    trained, chance = weights[alive], random_filters((int(alive.sum()), *weights.shape[1:]), generator, inits)
    orientation, chroma = (_contrast(measure(trained), measure(chance)) for measure in (orientation_selectivity, chroma_share))
    either = [(each.trained > each.threshold, each.random > each.threshold) for each in (orientation, chroma)]
    return FirstLayer(
        orientation=orientation,
        chroma=chroma,
        either=_selective(either[0][0] | either[1][0], float((either[0][1] | either[1][1]).mean())),
        grey=_selective(chroma.trained < np.quantile(chroma.random, 1 - BEYOND), 1 - BEYOND),
        alive=alive,
    )


def living(weights: np.ndarray) -> np.ndarray:
    """bool O: the filters of O×C×k×k that aren't dead."""
    norms = np.sqrt(np.square(weights.astype(np.float64)).sum(axis=(1, 2, 3)))
    found: np.ndarray = norms > DEAD * norms.max(initial=0)
    return found


def _contrast(trained: np.ndarray, random: np.ndarray) -> Contrast:
    of_inits = random.mean(axis=1)
    parts = np.array([trained.var(ddof=1) / len(trained), of_inits.var(ddof=1) / len(of_inits)])
    degrees = parts.sum() ** 2 / (parts**2 / (np.array([len(trained), len(of_inits)]) - 1)).sum() if parts.sum() else np.inf
    threshold = float(np.quantile(random, BEYOND))
    return Contrast(
        trained=trained,
        random=random,
        difference=float(trained.mean() - random.mean()),
        half_width=float(stdtrit(degrees, (1 + LEVEL) / 2) * np.sqrt(parts.sum())) if parts.sum() else 0.0,
        threshold=threshold,
        selective=_selective(trained > threshold, 1 - BEYOND),
    )


def _selective(found: np.ndarray, chance: float) -> Selective:
    count, n, tail = int(found.sum()), len(found), (1 - LEVEL) / 2
    return Selective(
        count=count,
        n=n,
        low=float(betaincinv(count, n - count + 1, tail)) if count else 0.0,
        high=float(betaincinv(count + 1, n - count, 1 - tail)) if count < n else 1.0,
        chance=chance,
    )


def save(path: Path, layers: Mapping[str, np.ndarray]) -> None:
    """Write the first convolutions, O×3×k×k each, by the names of their networks."""
    with replacing(path) as temporary:
        arrays: dict[str, np.ndarray] = dict(layers)
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> dict[str, np.ndarray]:
    """What :func:`save` wrote; empty where the file isn't there. Raises :class:`UserError` for another file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        return {}
    except (ValueError, OSError, EOFError, AttributeError) as error:
        raise UserError(f"{path}: no file of filters ({error}); run the stage 'filters' again") from None
