"""Vendi score of the outputs ÷ that of reals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import np, torch
from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.blocks import directions, eigenvalues, grams_of_parts, row_blocks, squared_norms
from cgm.evaluation.metrics.metric import Metric, Value

if TYPE_CHECKING:
    from torch import Tensor

    from cgm.evaluation.view import Parts, View


def vendi(values: np.ndarray) -> float:
    """Vendi score: exp(−Σ λ log λ) over the eigenvalues λ of K ÷ N, K the cosine kernel of the rows (Friedman & Dieng 2023, def. 3.1).

    Between 1 (all alike) and N (all orthogonal). Raises ``ValueError`` on a row of zeros, which has no direction.
    """
    x = checks.features(values, "features")
    if bool((squared_norms(x) == 0).any()):
        raise ValueError("features: found a row of zeros, whose cosine similarity is undefined")
    # K = X Xᵀ and XᵀX share their eigenvalues other than 0
    if len(x) <= x.shape[1]:
        unit = directions(x)
        gram = unit @ unit.T
    else:
        gram = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)
        for _, block in row_blocks(x):
            unit = directions(block)
            gram.addmm_(unit.T, unit)
    return _effective_number(gram / len(x))


def of_reals(view: View) -> float:
    return vendi(view.subset)


def compute(view: View) -> Value:
    return Value(value=vendi(view.features) / view.for_all(of_reals), n_real=len(view.subset), n_fake=view.count)


def of_parts(parts: Parts) -> list[float]:
    x, kept = checks.features(parts.view.features, "features"), torch.from_numpy(parts.kept)
    grams = grams_of_parts(directions(x), kept)
    return [_effective_number(gram / size) / parts.view.for_all(of_reals) for gram, size in zip(grams, kept.sum(1), strict=True)]


def _effective_number(kernel: Tensor) -> float:
    """exp(−Σ λ log λ) over the eigenvalues λ of a kernel of trace 1."""
    return float(torch.exp(torch.special.entr(eigenvalues(kernel)).sum()))


VENDI_RATIO = Metric(
    name="vendi_ratio",
    about=About(
        title="Vendi ÷ real",
        citation="Friedman & Dieng, TMLR 2023",
        protocol="Vendi score (cosine kernel) of the test outputs ÷ that of equally many train targets; noise can lift it",
    ),
    group="diversity",
    direction="target",
    target=1.0,
    bounds=(0, None),
    judge="judge",
    main=True,
    compute=compute,
    of_parts=of_parts,
)
