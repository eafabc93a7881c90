"""Fréchet joint distance: FID of images with their conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.blocks import squared_norms
from cgm.evaluation.metrics.frechet import Moments, frechet, frechet_of_parts, joined, moments_of_parts
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import PAIRS, TWO_OUTPUTS

if TYPE_CHECKING:
    import numpy as np

    from cgm.evaluation.view import Parts, View


@dataclass(frozen=True)
class RealPart:
    """What the reals contribute: the same for whatever they are compared with."""

    moments: Moments
    scales: tuple[float, float]
    """1 and α."""


def fjd(
    fake: np.ndarray, fake_conditions: np.ndarray, real: np.ndarray, real_conditions: np.ndarray, real_part: RealPart | None = None
) -> float:
    """Fréchet joint distance (DeVries et al. 2019, eq. 4): FID of the rows [f(y), α h(x)], which sees whether outputs belong to their
    conditions.

    Row i of ``fake`` is the features of the output for the condition behind row i of ``fake_conditions``; of ``real``, those of its true
    target. α = mean ‖f(y)‖ ÷ mean ‖h(x)‖ over the reals, so that both halves weigh alike. ``real_part``: :func:`fjd_real_part` of the
    reals, if it is known already. Raises ``ValueError`` also where images and conditions differ in number, or all real conditions are 0.
    """
    outputs, targets = checks.two_features(fake, real, at_least=2)
    conditions, true_conditions = checks.two_features(fake_conditions, real_conditions)
    for name, images, theirs in (("fake", outputs, conditions), ("real", targets, true_conditions)):
        if len(images) != len(theirs):
            raise ValueError(f"{name}_conditions: found {len(theirs)} rows, expected one for each of the {len(images)} images")
    part = fjd_real_part(real, real_conditions) if real_part is None else real_part
    return frechet(moments_of_parts([outputs, conditions], list(part.scales)), part.moments)


def fjd_real_part(real: np.ndarray, real_conditions: np.ndarray) -> RealPart:
    """Of M×D features of targets and of their conditions, row by row."""
    targets, conditions = checks.two_features(real, real_conditions, at_least=2)
    lengths = [float(squared_norms(x).sqrt().mean()) for x in (targets, conditions)]
    if lengths[1] == 0:
        raise ValueError("real_conditions: found zeros alone, expected features that differ from 0")
    scales = (1.0, lengths[0] / lengths[1])
    return RealPart(moments_of_parts([targets, conditions], list(scales)), scales)


def of_reals(view: View) -> RealPart:
    return fjd_real_part(view.reals.features, view.both_conditions()[1])


def compute(view: View) -> Value:
    real = view.reals.features
    conditions, real_conditions = view.both_conditions()
    value = fjd(view.features, conditions, real, real_conditions, view.for_all(of_reals))
    return Value(value=value, n_real=len(real), n_fake=view.count)


def of_parts(parts: Parts) -> list[float]:
    real = parts.view.for_all(of_reals)
    outputs, conditions = checks.two_features(parts.view.features, parts.view.both_conditions()[0])
    return frechet_of_parts(joined([outputs, conditions], list(real.scales)), parts.kept, real.moments)


FJD = Metric(
    name="fjd",
    about=About(
        title="FJD",
        citation="DeVries et al., 2019 (arXiv:1907.08175)",
        protocol="Fréchet distance of the joint features [f(y), α·h(x)] of image and condition, test outputs with their conditions "
        "against all train pairs; f and h the judge's features, α = mean ‖f(y)‖ ÷ mean ‖h(x)‖ over the reals; sees an ignored condition; "
        "biased upwards by small samples: read it beside the real-vs-real floor",
    ),
    group="distribution",
    direction="lower",
    bounds=(0, None),
    judge="judge",
    needs=(PAIRS, TWO_OUTPUTS),
    canonical="FJD",
    judge_in_heading=True,
    compute=compute,
    of_parts=of_parts,
)
