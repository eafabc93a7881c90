"""LPIPS, the perceptual distance with weights fitted to human judgements. Like a judge it works in float32, on the evaluation's device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cgm.core.lazy import torch
from cgm.evaluation.metrics import checks
from cgm.networks.fixed import FIXED, lpips, weights
from cgm.networks.fixed.lpips import TRUNKS

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

BATCH = 32
"""Images in one forward pass; changes no result beyond float32's rounding."""


def judge_name(variant: str) -> str:
    """What a value names as the network that it was seen through."""
    return f"lpips-0.1.4-{TRUNKS[variant]}"


class LPIPS:
    """LPIPS 0.1, from the ``lpips`` package and torchvision's weights of its trunk."""

    def __init__(self, variant: str, trunk: Mapping[str, Tensor], device: str | torch.device = "cpu") -> None:
        """``trunk``: torchvision's state dictionary of ``TRUNKS[variant]``."""
        self.name = judge_name(variant)
        self.network: Any = lpips.assembled(variant, trunk).to(device)
        self.device = device

    def __call__(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """uint8 N×H×W×3 each → float64 N. Raises ``ValueError`` on another dtype or shape, or unequal shapes."""
        from cgm.data.images import to_float  # here, since it imports torch, which the metric's record must not

        checks.pair(outputs, targets)
        with torch.inference_mode():
            values = [
                self.network(*(to_float(each[start : start + BATCH], self.device) for each in (outputs, targets))).flatten(1)[:, 0]
                for start in range(0, len(outputs), BATCH)
            ]
            return torch.cat(values).double().cpu().numpy()


def load_lpips(variant: str, device: str | torch.device = "cpu") -> LPIPS:
    """Raises :class:`cgm.core.errors.UserError` where the trunk's weights can't be had or aren't the published ones."""
    return LPIPS(variant, weights.read(FIXED[TRUNKS[variant]])[0], device)
