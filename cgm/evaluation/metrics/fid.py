"""Fréchet distance between the features of outputs and reals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.frechet import Moments, frechet, frechet_of_parts, moments_of_parts
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import TWO_OUTPUTS

if TYPE_CHECKING:
    import numpy as np

    from cgm.evaluation.view import Parts, View


def fid(fake: np.ndarray, real: np.ndarray, real_moments: Moments | None = None) -> float:
    """Fréchet distance of the Gaussians fitted to both (Heusel et al. 2017, eq. 6), of N×D and M×D features.

    ``real_moments``: :func:`cgm.evaluation.metrics.frechet.moments` of ``real``, if they are known already.
    Raises ``ValueError`` on another shape, NaN, or fewer than two rows.
    """
    x, y = checks.two_features(fake, real, at_least=2)
    return frechet(moments_of_parts([x], [1.0]), moments_of_parts([y], [1.0]) if real_moments is None else real_moments)


def compute(view: View) -> Value:
    real = view.reals.features
    return Value(value=fid(view.features, real, view.reals.moments), n_real=len(real), n_fake=view.count)


def of_parts(parts: Parts) -> list[float]:
    x, _ = checks.two_features(parts.view.features, parts.view.reals.features)
    return frechet_of_parts(x.double(), parts.kept, parts.view.reals.moments)


FID = Metric(
    name="fid",
    about=About(
        title="FD",
        citation="Heusel et al., NeurIPS 2017",
        protocol="Fréchet distance of Gaussians, test outputs against all train targets; biased upwards by small samples: read it beside "
        "the real-vs-real floor; 'FID' only with Inception-2015",
    ),
    group="distribution",
    direction="lower",
    bounds=(0, None),
    judge="judge",
    needs=(TWO_OUTPUTS,),
    main=True,
    main_through_all=True,
    canonical="FID",
    judge_in_heading=True,
    decimals=1,
    compute=compute,
    of_parts=of_parts,
)
