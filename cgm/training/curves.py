"""What the learning curves show: few metrics, on few validation images."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from cgm.evaluation.judges import BATCH, Judge
from cgm.evaluation.metrics.highfreq_ratio import highfreq_ratio
from cgm.evaluation.metrics.mae import mae
from cgm.evaluation.metrics.pd import pd
from cgm.evaluation.metrics.ssim import ssim
from cgm.networks.fixed.record import Fixed


class Validator:
    """Measures outputs against the same targets again and again; the judge sees the targets once (450 kB of embedding an image)."""

    def __init__(self, targets: np.ndarray, network: Fixed, device: torch.device) -> None:
        """``targets``: uint8 N×H×W×3. ``network``: that of ``training.judge``."""
        self._targets = np.asarray(targets)
        self._judge = Judge(network.guide(device))

    @cached_property
    def _embeddings(self) -> list[torch.Tensor]:
        return [self._judge.embeddings(self._targets[start : start + BATCH]) for start in range(0, len(self._targets), BATCH)]

    def __call__(self, outputs: np.ndarray) -> dict[str, float]:
        """mae, ssim, pd and highfreq_ratio of uint8 N×H×W×3 outputs, one for each target."""
        distances = [
            pd(self._judge.embeddings(outputs[index * BATCH : (index + 1) * BATCH]), embedding)
            for index, embedding in enumerate(self._embeddings)
        ]
        return {
            "mae": float(mae(outputs, self._targets).mean()),
            "ssim": float(ssim(outputs, self._targets).mean()),
            "pd": float(np.concatenate(distances).mean()),
            "highfreq_ratio": float(np.median(highfreq_ratio(outputs, self._targets))),
        }
