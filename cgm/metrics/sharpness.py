"""Metrics of an image's own detail and colour, output ÷ target: averaging shows as blur in the one and as greyness in the other.

Images are uint8 N×H×W×3; the functions return one float64 an image; errors are ``ValueError``.
"""

from __future__ import annotations

import numpy as np

from cgm.metrics import checks

CUTOFF = 0.25
"""Cycles per pixel: half the Nyquist frequency. A Gaussian blur of σ = 1 leaves 5% of the energy beyond it."""
LUMINANCE = np.array([0.299, 0.587, 0.114])
ENERGY_EPSILON = (1 / 255) ** 2 / 12
"""The variance of rounding to 8 bits: below it there is no detail, only rounding."""
COLOUR_EPSILON = 1.0
"""One grey level; 15 is 'slightly colourful' (Hasler & Süsstrunk 2003, table 2)."""


def highfreq_energy(images: np.ndarray) -> np.ndarray:
    """Variance of the luminance (in [0, 1]) at frequencies of 0.25 cycles/px and more.

    A Hann window keeps the jump between opposite borders out of the spectrum.
    """
    checks.images(images, "images")
    height, width = images.shape[1:3]
    window = np.outer(_hann(height), _hann(width))
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    beyond = radius >= CUTOFF
    energies = []
    for image in images:
        luminance = image @ (LUMINANCE / 255)
        # the window's weighted mean, so that a flat image has no energy at all
        luminance = (luminance - (luminance * window).sum() / window.sum()) * window
        spectrum = np.abs(np.fft.fft2(luminance)[beyond]) ** 2
        energies.append(spectrum.sum() / (height * width) / (window**2).sum())
    return np.array(energies)


def colourfulness(images: np.ndarray) -> np.ndarray:
    """Hasler & Süsstrunk's M on the 0…255 scale: √(σ²_rg + σ²_yb) + 0.3 √(μ²_rg + μ²_yb), rg = R − G, yb = (R + G)/2 − B."""
    checks.images(images, "images")
    values = []
    for image in images:
        red, green, blue = (image[..., channel].astype(np.float64) for channel in range(3))
        rg, yb = red - green, (red + green) / 2 - blue
        values.append(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
    return np.array(values)


def highfreq_ratio(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """High-frequency energy of the output ÷ that of the target, both plus the energy of rounding."""
    checks.pair(outputs, targets)
    return (highfreq_energy(outputs) + ENERGY_EPSILON) / (highfreq_energy(targets) + ENERGY_EPSILON)


def colourfulness_ratio(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Colourfulness of the output ÷ that of the target, both plus one grey level."""
    checks.pair(outputs, targets)
    return (colourfulness(outputs) + COLOUR_EPSILON) / (colourfulness(targets) + COLOUR_EPSILON)


def _hann(size: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(size) + 0.5) / size)
