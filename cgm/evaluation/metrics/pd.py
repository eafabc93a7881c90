"""Perceptual distance through the judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import torch
from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.over_images import mean_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


def pd(embedding: Tensor, other: Tensor) -> np.ndarray:
    """Two batches N×P of :func:`cgm.evaluation.judges.perceptual_embedding` → N: ‖a − b‖², row by row.

    Raises ``ValueError`` on another shape, or unequal shapes.
    """
    if embedding.shape != other.shape or embedding.ndim != 2:
        raise ValueError(f"pd: found embeddings of shape {tuple(embedding.shape)} and {tuple(other.shape)}, expected the same N×P")
    return (embedding - other).square().sum(dim=1, dtype=torch.float64).cpu().numpy()


PD = Metric(
    name="pd",
    about=About(
        title="PD",
        citation="Zhang et al., CVPR 2018, eq. 1 with unit weights, on the judge's maps",
        protocol="perceptual distance: five maps (one a resolution), unit-normalised over channels; squared differences, mean "
        "over positions, summed over maps",
    ),
    group="paired",
    direction="lower",
    bounds=(0, None),
    judge="judge",
    needs=(TARGETS,),
    main=True,
    judge_in_heading=True,
    per_image=lambda block: block.target_distances(),
    compute=mean_of("pd"),
)
