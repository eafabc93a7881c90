"""Metrics of an image's own detail and colour, output ÷ target: averaging shows as blur in the one and as greyness in the other.

Images are uint8 N×H×W×3; the functions return one float64 an image unless they say otherwise; errors are ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from cgm.metrics import checks

CUTOFF = 0.25
"""Cycles per pixel: half the Nyquist frequency. A Gaussian blur of σ = 1 leaves 5% of the energy beyond it."""
LUMINANCE = (0.299, 0.587, 0.114)
ENERGY_EPSILON = (1 / 255) ** 2 / 12
"""The variance of rounding to 8 bits, and the density of its white spectrum: below it there is no detail, only rounding."""
GRADIENT_EPSILON = (2 * ENERGY_EPSILON) ** 0.5
"""The standard deviation of the difference of two roundings."""
COLOUR_EPSILON = 1.0
"""One grey level; 15 is 'slightly colourful' (Hasler & Süsstrunk 2003, table 2)."""
CHUNK = 64
"""Images held in float64 at a time; bounds the memory, changes no result."""


@dataclass(frozen=True, kw_only=True)
class Detail:
    """What the ratios and the spectrum are made of, from one luminance and one Fourier transform an image."""

    highfreq: np.ndarray
    """N: :func:`highfreq_energy`."""
    gradient: np.ndarray
    """N: :func:`gradient`."""
    colourfulness: np.ndarray
    """N: :func:`colourfulness`."""
    spectrum: np.ndarray
    """N×F: the profiles of :func:`radial_spectrum`."""


def detail(images: np.ndarray) -> Detail:
    parts = []
    for luminance in _luminances(images):
        power = _power(luminance)
        parts.append((_energy(power, luminance.shape), _gradient(luminance), _radial(power, luminance.shape)))
    highfreq, slopes, profiles = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return Detail(highfreq=highfreq, gradient=slopes, colourfulness=colourfulness(images), spectrum=profiles)


def ratios(outputs: Detail, targets: Detail) -> dict[str, np.ndarray]:
    """``highfreq_ratio``, ``gradient_ratio`` and ``colourfulness_ratio``: output ÷ target, both plus what means nothing."""
    return {
        "highfreq_ratio": (outputs.highfreq + ENERGY_EPSILON) / (targets.highfreq + ENERGY_EPSILON),
        "gradient_ratio": (outputs.gradient + GRADIENT_EPSILON) / (targets.gradient + GRADIENT_EPSILON),
        "colourfulness_ratio": (outputs.colourfulness + COLOUR_EPSILON) / (targets.colourfulness + COLOUR_EPSILON),
    }


def highfreq_energy(images: np.ndarray) -> np.ndarray:
    """Variance of the luminance (in [0, 1]) at frequencies of 0.25 cycles/px and more.

    A Hann window keeps the jump between opposite borders out of the spectrum.
    """
    return _each(images, lambda luminance: _energy(_power(luminance), luminance.shape))


def gradient(images: np.ndarray) -> np.ndarray:
    """Mean gradient magnitude of the luminance (in [0, 1]): √(Δx² + Δy²) of the differences to the right and the lower neighbour."""
    return _each(images, _gradient)


def radial_spectrum(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power spectral density of the luminance (in [0, 1]; Hann window), averaged over rings: frequencies F in cycles/px, profiles N×F.

    Ring k = 1 … ⌊S/2⌋, S the shorter side, holds the frequencies within ½ ÷ S of k ÷ S; the mean and the corners beyond the last ring
    are left out. White noise of variance σ² has the density σ² everywhere.
    """
    profiles = _each(images, lambda luminance: _radial(_power(luminance), luminance.shape))
    return frequencies(*images.shape[1:3]), profiles


def frequencies(height: int, width: int) -> np.ndarray:
    """The middles of the rings of :func:`radial_spectrum`, in cycles/px."""
    shorter = min(height, width)
    return np.arange(1, shorter // 2 + 1) / shorter


def spectrum_distance(outputs: np.ndarray, targets: np.ndarray) -> float:
    """:func:`profile_distance` of two sets of images of one size; they need not be pairs, nor equally many.

    That generators miss the spectrum of real images: Durall et al., CVPR 2020.
    """
    checks.images(outputs, "outputs")
    checks.images(targets, "targets")
    if outputs.shape[1:] != targets.shape[1:]:
        raise ValueError(f"targets: found images of shape {targets.shape[1:]}, expected the outputs' {outputs.shape[1:]}")
    return profile_distance(*(radial_spectrum(images)[1].mean(axis=0) for images in (outputs, targets)))


def profile_distance(output: np.ndarray, target: np.ndarray) -> float:
    """RMS over frequencies of log₁₀ ((output + ε) ÷ (target + ε)), in decades: both mean profiles F, ε the density of rounding."""
    if output.shape != target.shape or output.ndim != 1:
        raise ValueError(f"profiles: found shapes {output.shape} and {target.shape}, expected two vectors of the same length")
    return float(np.sqrt(np.mean(np.log10((output + ENERGY_EPSILON) / (target + ENERGY_EPSILON)) ** 2)))


def colourfulness(images: np.ndarray) -> np.ndarray:
    """Hasler & Süsstrunk's M on the 0…255 scale: √(σ²_rg + σ²_yb) + 0.3 √(μ²_rg + μ²_yb), rg = R − G, yb = (R + G)/2 − B."""
    checks.images(images, "images")
    values = []
    for start in range(0, len(images), CHUNK):
        red, green, blue = images[start : start + CHUNK].transpose(3, 0, 1, 2).reshape(3, -1, images[0, ..., 0].size).astype(np.float64)
        rg, yb = red - green, (red + green) / 2 - blue
        values.append(np.hypot(rg.std(axis=1), yb.std(axis=1)) + 0.3 * np.hypot(rg.mean(axis=1), yb.mean(axis=1)))
    return np.concatenate(values)


def highfreq_ratio(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """High-frequency energy of the output ÷ that of the target, both plus the energy of rounding."""
    checks.pair(outputs, targets)
    return (highfreq_energy(outputs) + ENERGY_EPSILON) / (highfreq_energy(targets) + ENERGY_EPSILON)


def gradient_ratio(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Mean gradient magnitude of the output ÷ that of the target, both plus the difference that rounding makes."""
    checks.pair(outputs, targets)
    return (gradient(outputs) + GRADIENT_EPSILON) / (gradient(targets) + GRADIENT_EPSILON)


def colourfulness_ratio(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Colourfulness of the output ÷ that of the target, both plus one grey level."""
    checks.pair(outputs, targets)
    return (colourfulness(outputs) + COLOUR_EPSILON) / (colourfulness(targets) + COLOUR_EPSILON)


def _luminances(images: np.ndarray) -> Iterator[Tensor]:
    """Chunks N×H×W in [0, 1], float64."""
    checks.images(images, "images")
    weights = torch.tensor(LUMINANCE, dtype=torch.float64) / 255
    for start in range(0, len(images), CHUNK):
        yield torch.from_numpy(images[start : start + CHUNK].astype(np.float64)) @ weights


def _each(images: np.ndarray, function: Callable[[Tensor], Tensor]) -> np.ndarray:
    return torch.cat([function(luminance) for luminance in _luminances(images)]).numpy()


def _gradient(luminance: Tensor) -> Tensor:
    corner = luminance[:, :-1, :-1]
    return torch.hypot(luminance[:, :-1, 1:] - corner, luminance[:, 1:, :-1] - corner).mean(dim=(1, 2))


def _power(luminance: Tensor) -> Tensor:
    """N×H×W → the density at the half plane of frequencies that a real image's transform consists of, N×(H·(⌊W/2⌋ + 1))."""
    window = _window(*luminance.shape[1:])
    # the window's weighted mean, so that a flat image has no energy at all
    mean = (luminance * window).sum(dim=(1, 2), keepdim=True) / window.sum()
    transform = torch.fft.rfft2((luminance - mean) * window)
    return (transform.real.square() + transform.imag.square()).flatten(1) / window.square().sum()


def _energy(power: Tensor, shape: torch.Size) -> Tensor:
    return power @ _bands(*shape[1:])[0]


def _radial(power: Tensor, shape: torch.Size) -> Tensor:
    return power @ _bands(*shape[1:])[1]


@cache
def _window(height: int, width: int) -> Tensor:
    rows, columns = (
        0.5 - 0.5 * torch.cos(2 * torch.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / size) for size in (height, width)
    )
    return torch.outer(rows, columns)


@cache
def _bands(height: int, width: int) -> tuple[Tensor, Tensor]:
    """What the density is multiplied with: for the energy from the cutoff on, and, a column a ring, for the means over rings."""
    columns = np.fft.rfftfreq(width)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], columns[None])
    # a frequency and its mirror image: all but those that are their own column's
    twice = np.broadcast_to(np.where((columns == 0) | (columns == 0.5), 1.0, 2.0), radius.shape)
    energy = np.where(radius >= CUTOFF, twice, 0) / (height * width)
    shorter = min(height, width)
    ring = np.floor(radius * shorter + 0.5)
    rings = np.stack([np.where(ring == index, twice, 0) for index in range(1, shorter // 2 + 1)], axis=-1)
    rings /= rings.sum(axis=(0, 1))
    return torch.from_numpy(energy.reshape(-1)), torch.from_numpy(rings.reshape(-1, rings.shape[-1]))
