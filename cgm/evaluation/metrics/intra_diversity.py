"""Diversity among the outputs for one condition."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from cgm.core.lazy import np, torch
from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import SAMPLES
from cgm.evaluation.metrics.pd import pd

if TYPE_CHECKING:
    from torch import Tensor

    from cgm.evaluation.view import Block, View

CONDITIONS = 64
"""Conditions over which the diversity among samples is measured."""
AT_ONCE, BYTES = 8, 2**27
"""Conditions whose samples are held at a time; fewer where their embeddings are more than so many bytes: through Inception-2015 an image's
is 12 MB."""


def intra_diversity(embeddings: Tensor) -> np.ndarray:
    """K×N×P embeddings of K samples of each of N conditions → N: the mean perceptual distance over the K(K − 1)/2 pairs of samples."""
    if embeddings.ndim != 3 or len(embeddings) < 2:
        raise ValueError(f"embeddings: found shape {tuple(embeddings.shape)}, expected K×N×P with K of 2 or more")
    return np.mean([pd(a, b) for a, b in combinations(embeddings, 2)], axis=0)


def per_image(block: Block) -> np.ndarray:
    """NaN beyond the first :data:`CONDITIONS`."""
    values = np.full(len(block.rows), np.nan)
    chosen = block.rows[: max(CONDITIONS - block.start, 0)]
    step = max(min(AT_ONCE, BYTES // (len(block.view.samples) * block.embedding[0].nbytes)), 1)
    for start in range(0, len(chosen), step):
        part = slice(start, min(start + step, len(chosen)))
        others = [block.view.judge.embeddings(sample[chosen[part]]) for sample in block.view.samples[1:]]
        values[part] = intra_diversity(torch.stack([block.embedding[part], *others]))
    return values


def compute(view: View) -> Value:
    return Value(value=float(np.nanmean(view.columns["intra_diversity"])), n_fake=len(view.samples) * min(view.count, CONDITIONS))


INTRA_DIVERSITY = Metric(
    name="intra_diversity",
    about=About(
        title="intra-condition diversity",
        citation="Zhu et al. (BicycleGAN), NeurIPS 2017",
        protocol="mean PD over the pairs of samples of one condition, over at most 64 test conditions chosen by a fixed seed; "
        "noise lifts it: read it with pairgain and KID",
    ),
    group="diversity",
    direction="higher",
    bounds=(0, None),
    judge="judge",
    ranked=False,
    needs=(SAMPLES,),
    per_image=per_image,
    compute=compute,
)
