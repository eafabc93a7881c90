"""What the learning curves show: few metrics, on few validation images.

Apart from :mod:`cgm.evaluation`, because this is part of a training: what is changed there must not train anything anew.
"""

from __future__ import annotations

import numpy as np

from cgm.metrics import paired, sharpness
from cgm.metrics.judges import BATCH, Judge
from cgm.networks.fixed import FixedNetwork


def validation_metrics(outputs: np.ndarray, targets: np.ndarray, judge: FixedNetwork) -> dict[str, float]:
    """mae, ssim, pd and highfreq_ratio of uint8 N×H×W×3 outputs; ``judge``: the network of ``training.judge``, loaded."""
    looking = Judge(judge)
    distances = [
        paired.pd(looking.embeddings(outputs[start : start + BATCH]), looking.embeddings(targets[start : start + BATCH]))
        for start in range(0, len(outputs), BATCH)
    ]
    return {
        "mae": float(paired.mae(outputs, targets).mean()),
        "ssim": float(paired.ssim(outputs, targets).mean()),
        "pd": float(np.concatenate(distances).mean()),
        "highfreq_ratio": float(np.median(sharpness.highfreq_ratio(outputs, targets))),
    }
