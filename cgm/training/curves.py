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
from cgm.evaluation.metrics.vendi_ratio import vendi
from cgm.networks.fixed.record import Fixed


class Validator:
    """Measures outputs against the same targets again and again; the judge sees the targets once (450 kB of embedding an image)."""

    def __init__(self, targets: np.ndarray, network: Fixed, device: torch.device, aligned: bool = True) -> None:
        """``targets``: uint8 N×H×W×3. ``network``: that of ``training.judge``. ``aligned``: output *i* has its own target, the *i*-th."""
        self._targets, self._aligned = np.asarray(targets), aligned
        self._judge = Judge(network.guide(device))

    @cached_property
    def _seen(self) -> tuple[np.ndarray, list[torch.Tensor]]:
        return self._look(self._targets)

    def __call__(self, outputs: np.ndarray) -> dict[str, float]:
        """Of uint8 N×H×W×3 outputs: vendi_ratio; before it mae, ssim, pd and highfreq_ratio, where each has a target of its own."""
        features, embeddings = self._look(outputs)
        target_features, target_embeddings = self._seen
        found = {}
        if self._aligned:
            distances = [pd(*pair) for pair in zip(embeddings, target_embeddings, strict=True)]
            found = {
                "mae": float(mae(outputs, self._targets).mean()),
                "ssim": float(ssim(outputs, self._targets).mean()),
                "pd": float(np.concatenate(distances).mean()),
                "highfreq_ratio": float(np.median(highfreq_ratio(outputs, self._targets))),
            }
        count = min(len(outputs), len(self._targets))
        return {**found, "vendi_ratio": vendi(features[:count]) / vendi(target_features[:count])}

    def _look(self, images: np.ndarray) -> tuple[np.ndarray, list[torch.Tensor]]:
        """The judge's features N×D, and its embeddings by batches, from one pass; no embeddings where nothing is going to be compared."""
        if not self._aligned:
            return self._judge.features(images), []
        looked = [self._judge.look(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return np.concatenate([features for features, _ in looked]), [embedding for _, embedding in looked]
