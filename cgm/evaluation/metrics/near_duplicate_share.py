"""How many outputs are nearly alike, calibrated on the reals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import np, torch
from cgm.core.registry import About
from cgm.evaluation.metrics import checks, neighbourhood
from cgm.evaluation.metrics.blocks import nearest_others, nearest_others_of_parts
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import NEIGHBOURS, TWO_OUTPUTS

if TYPE_CHECKING:
    from cgm.evaluation.view import Parts, View

NEAR_DUPLICATES = 0.05
"""The share of reals that count as near duplicates of another real, by definition."""


def nearest_other(values: np.ndarray) -> np.ndarray:
    """N×D features → N: the distance of each row to the nearest other row; 0 for equal ones. Needs two rows or more."""
    return nearest_others(checks.features(values, "features", at_least=2))[:, 0].sqrt().numpy()


def share_within(fake_distances: np.ndarray, real_distances: np.ndarray) -> float:
    """Share of outputs nearer to another output than all but 5% of the reals are to another real: 0.05 for equal distributions.

    As Arora & Zhang's birthday test (2017) looks for collisions, with "alike" calibrated on the reals. Both are distances to the
    :func:`nearest_other`, of equally many outputs and reals, since in a larger sample the nearest one is nearer.
    """
    return float(np.mean(fake_distances <= np.quantile(real_distances, NEAR_DUPLICATES)))


def compute(view: View) -> Value:
    if NEIGHBOURS.lacking(view):
        fake, real = nearest_other(view.features), nearest_other(view.subset)
    else:
        found = view.once(neighbourhood.of_outputs)
        fake, real = found.nearest_fake, found.nearest_real
    columns = {"nearest_output": fake}
    if len(real) < len(fake):  # the nearest of fewer is farther
        note = f"needs as many train targets as outputs, found {len(view.reals.features)} for {view.count}"
        return Value(value=None, note=note, columns=columns)
    return Value(value=share_within(fake, real), n_real=view.count, n_fake=view.count, columns=columns)


def of_parts(parts: Parts) -> list[float]:
    view = parts.view
    if any(NEIGHBOURS.lacking(part) for part in parts.each()):
        kept = torch.from_numpy(parts.kept)
        nearest = nearest_others_of_parts(checks.features(view.features, "features"), kept)[..., 0].sqrt()
        real = nearest_other(view.subset)
        return [share_within(fake[part].numpy(), real) for fake, part in zip(nearest, kept, strict=True)]
    return [share_within(found.nearest_fake, found.nearest_real) for found in parts.once(neighbourhood.of_parts)]


NEAR_DUPLICATE_SHARE = Metric(
    name="near_duplicate_share",
    about=About(
        title="near duplicates",
        citation="after the birthday test of Arora & Zhang, 2017 (arXiv:1706.08224)",
        protocol="share of test outputs whose features are as near to another output's as the nearest 5% of equally many train targets are "
        "to one another; 0.05 for equal distributions",
    ),
    group="diversity",
    direction="target",
    target=NEAR_DUPLICATES,
    bounds=(0, 1),
    judge="judge",
    needs=(TWO_OUTPUTS,),
    compute=compute,
    of_parts=of_parts,
)
