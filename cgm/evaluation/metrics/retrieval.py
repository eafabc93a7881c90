"""How many outputs have their own target as the nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import np, torch
from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.blocks import gram, squared_norms
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import TARGETS

if TYPE_CHECKING:
    from torch import Tensor

    from cgm.evaluation.view import Parts, View

TIE = 1e-9
"""Cosine distances closer than this are one distance."""


def retrieval(fake: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """N×D features of outputs and of their targets → N: 1 where the own target is the nearest by cosine distance, else 0.

    Where t targets are equally near, the own one among them counts 1/t: a constant output scores chance, 1/N, if targets are alike.
    """
    return _shares(fake, targets, np.ones((1, len(fake)), dtype=bool))[0].numpy()


def compute(view: View) -> Value:
    found = retrieval(view.features, view.target_features)
    return Value(value=float(found.mean()), n_real=view.count, n_fake=view.count, chance=1 / view.count, columns={"retrieval": found})


def of_parts(parts: Parts) -> list[float]:
    shares = _shares(parts.view.features, parts.view.target_features, parts.kept)
    return [float(share[part].mean()) for share, part in zip(shares, torch.from_numpy(parts.kept), strict=True)]


def _shares(fake: np.ndarray, targets: np.ndarray, kept: np.ndarray) -> Tensor:
    """G×N: as :func:`retrieval` among the targets of each part, by bool G×N; of those outputs that belong to it."""
    a, b = checks.two_features(fake, targets)
    if a.shape != b.shape:
        raise ValueError(f"targets: found {len(b)} rows, expected the outputs' {len(a)}")
    shares = []
    lengths_a, lengths_b = (squared_norms(x).sqrt_().clamp_min_(1e-12) for x in (a, b))
    for rows, similarity in gram(a, b):
        similarity.div_(lengths_a[rows, None]).div_(lengths_b)
        of_part = []
        for part in torch.from_numpy(kept):
            among = similarity.masked_fill(~part, -torch.inf)
            nearest = among >= among.amax(dim=1, keepdim=True) - TIE
            of_part.append(nearest[:, rows].diagonal().double() / nearest.sum(1))
        shares.append(torch.stack(of_part))
    return torch.cat(shares, dim=1)


RETRIEVAL = Metric(
    name="retrieval",
    about=About(
        title="retrieval@1",
        citation="this benchmark",
        protocol="share of outputs whose nearest test target (cosine distance of features; ties count by their share) is their "
        "own; chance level 1 ÷ N",
    ),
    group="conditioning",
    direction="higher",
    bounds=(0, 1),
    judge="judge",
    needs=(TARGETS,),
    main=True,
    compute=compute,
    of_parts=of_parts,
)
