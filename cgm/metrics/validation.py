"""What the learning curves show: few metrics, on few validation images.

Apart from :mod:`cgm.evaluation`, because this is part of a training: what is changed there must not train anything anew.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from cgm.metrics import paired, sharpness
from cgm.metrics.judges import BATCH, Judge
from cgm.networks.fixed import FixedNetwork


class Validator:
    """Measures outputs against the same targets again and again; the judge sees the targets once (450 kB of embedding an image)."""

    def __init__(self, targets: np.ndarray, judge: FixedNetwork) -> None:
        """``targets``: uint8 N×H×W×3. ``judge``: the network of ``training.judge``, loaded."""
        self._targets = np.asarray(targets)
        self._judge = Judge(judge)

    @cached_property
    def _embeddings(self) -> list[torch.Tensor]:
        return [self._judge.embeddings(self._targets[start : start + BATCH]) for start in range(0, len(self._targets), BATCH)]

    def __call__(self, outputs: np.ndarray) -> dict[str, float]:
        """mae, ssim, pd and highfreq_ratio of uint8 N×H×W×3 outputs, one for each target."""
        distances = [
            paired.pd(self._judge.embeddings(outputs[index * BATCH : (index + 1) * BATCH]), embedding)
            for index, embedding in enumerate(self._embeddings)
        ]
        return {
            "mae": float(paired.mae(outputs, self._targets).mean()),
            "ssim": float(paired.ssim(outputs, self._targets).mean()),
            "pd": float(np.concatenate(distances).mean()),
            "highfreq_ratio": float(np.median(sharpness.highfreq_ratio(outputs, self._targets))),
        }
