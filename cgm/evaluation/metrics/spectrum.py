"""Power spectra of the luminance: energy at high frequencies, and the profile over rings of frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from cgm.core.lazy import np, torch
from cgm.evaluation.metrics.luminance import each, luminances

if TYPE_CHECKING:
    from torch import Tensor

    from cgm.evaluation.view import Block

CUTOFF = 0.25
"""Cycles per pixel: half the Nyquist frequency. A Gaussian blur of σ = 1 leaves 5% of the energy beyond it."""
ENERGY_EPSILON = (1 / 255) ** 2 / 12
"""The variance of rounding to 8 bits, and the density of its white spectrum: below it there is no detail, only rounding."""


@dataclass(frozen=True, kw_only=True)
class Spectra:
    """What metrics take from the same Fourier transforms, one an image."""

    highfreq: np.ndarray
    """N: :func:`highfreq_energy`."""
    profiles: np.ndarray
    """N×F: those of :func:`radial_spectrum`."""


def spectra(images: np.ndarray) -> Spectra:
    """Of uint8 N×H×W×3. Raises ``ValueError`` on another dtype or shape."""
    parts = []
    for luminance in luminances(images):
        density = power(luminance)
        parts.append((energy(density, luminance.shape), radial(density, luminance.shape)))
    highfreq, profiles = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return Spectra(highfreq=highfreq, profiles=profiles)


def of_outputs(block: Block) -> Spectra:
    return spectra(block.outputs)


def of_targets(block: Block) -> Spectra:
    return spectra(block.targets)


def highfreq_energy(images: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 → N: variance of the luminance (in [0, 1]) at frequencies of 0.25 cycles/px and more.

    A Hann window keeps the jump between opposite borders out of the spectrum.
    """
    return each(images, lambda luminance: energy(power(luminance), luminance.shape))


def radial_spectrum(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power spectral density of the luminance (in [0, 1]; Hann window), averaged over rings: frequencies F in cycles/px, profiles N×F.

    Ring k = 1 … ⌊S/2⌋, S the shorter side, holds the frequencies within ½ ÷ S of k ÷ S; the mean and the corners beyond the last ring
    are left out. White noise of variance σ² has the density σ² everywhere.
    """
    profiles = each(images, lambda luminance: radial(power(luminance), luminance.shape))
    return frequencies(*images.shape[1:3]), profiles


def frequencies(height: int, width: int) -> np.ndarray:
    """The middles of the rings of :func:`radial_spectrum`, in cycles/px."""
    shorter = min(height, width)
    return np.arange(1, shorter // 2 + 1) / shorter


def power(luminance: Tensor) -> Tensor:
    """N×H×W → the density at the half plane of frequencies that a real image's transform consists of, N×(H·(⌊W/2⌋ + 1))."""
    window = _window(*luminance.shape[1:])
    # the window's weighted mean, so that a flat image has no energy at all
    mean = (luminance * window).sum(dim=(1, 2), keepdim=True) / window.sum()
    transform = torch.fft.rfft2((luminance - mean) * window)
    return (transform.real.square() + transform.imag.square()).flatten(1) / window.square().sum()


def energy(power: Tensor, shape: torch.Size) -> Tensor:
    """:func:`power` of luminances of ``shape`` N×H×W → N: the variance from the cutoff on."""
    return power @ _bands(*shape[1:])[0]


def radial(power: Tensor, shape: torch.Size) -> Tensor:
    """:func:`power` of luminances of ``shape`` N×H×W → N×F: the means over rings."""
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
