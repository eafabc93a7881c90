"""Distance between the mean power spectra of outputs and of real images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.spectrum import ENERGY_EPSILON, radial_spectrum

if TYPE_CHECKING:
    from cgm.evaluation.view import View


def spectrum_distance(outputs: np.ndarray, targets: np.ndarray) -> float:
    """:func:`profile_distance` of two sets uint8 N×H×W×3 of images of one size; they need not be pairs, nor equally many.

    That generators miss the spectrum of real images: Durall et al., CVPR 2020. Raises ``ValueError`` on another dtype or shape, or unequal
    sizes.
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


def compute(view: View) -> Value:
    compared = view.count if view.targets is not None else len(view.reals.features)
    return Value(value=profile_distance(view.spectrum, view.real_spectrum), n_real=compared, n_fake=view.count)


SPECTRUM_DISTANCE = Metric(
    name="spectrum_distance",
    about=About(
        title="spectrum distance",
        citation="after Durall et al., CVPR 2020",
        protocol="RMS over frequencies of log₁₀ of the ratio of the mean radial power spectra (luminance, Hann window, plus the density of "
        "rounding), test outputs against test targets; against the train targets where the test set holds no aligned ones",
    ),
    group="sharpness",
    unit="decade",
    direction="lower",
    bounds=(0, None),
    compute=compute,
)
