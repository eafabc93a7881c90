"""Was a method trained to competence? What the answer is made of, measured on validation images: no decision may look at the test split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cgm.data.listing import VALIDATED
from cgm.data.prepared import as_rgb
from cgm.evaluation.baselines import mean_image
from cgm.evaluation.judges import BATCH, Judge
from cgm.evaluation.metrics.kid import kid
from cgm.evaluation.metrics.pd import pd
from cgm.evaluation.reference import Reference

if TYPE_CHECKING:
    from cgm.data.prepared import Prepared

Measured = dict[str, float]


def measure(outputs: np.ndarray, prepared: Prepared, reference: Reference, judge: Judge) -> Measured:
    """Of uint8 N×H×W×C, outputs for the first N validation conditions.

    ``kid``: against all train targets. ``pd``: the mean perceptual distance to the own target, where validation's targets are aligned.
    ``n``: N. Empty for fewer than two images.
    """
    outputs, count = as_rgb(outputs), len(outputs)
    if count < 2:
        return {}
    found = {"n": count, "kid": kid(judge.features(outputs), reference.features, float(reference.kernel_mean))}
    if prepared.aligned_in("val"):
        targets = prepared.rgb("val", "B")[:count]
        blocks = [slice(start, start + BATCH) for start in range(0, count, BATCH)]
        distances = [pd(judge.embeddings(outputs[block]), judge.embeddings(targets[block])) for block in blocks]
        found["pd"] = float(np.concatenate(distances).mean())
    return found


def untrained(prepared: Prepared, reference: Reference, judge: Judge) -> dict[str, Measured]:
    """:func:`measure` of what needs no training: the mean image of the train targets, and the conditions as they are."""
    conditions = np.asarray(prepared.rgb("val", "A")[:VALIDATED])
    mean = np.broadcast_to(mean_image(prepared.rgb("train", "B")), conditions.shape)
    return {"mean_image": measure(mean, prepared, reference, judge), "copy_input": measure(conditions, prepared, reference, judge)}
