"""LPIPS, the perceptual distance with weights fitted to human judgements. Like a judge it works on the CPU, in float32."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cgm.core.lazy import torch
from cgm.evaluation.metrics import checks
from cgm.networks.fixed import FIXED, weights

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

LPIPS_JUDGE = "lpips-0.1.4-alexnet"
"""What a value names as the network that it was seen through."""
BATCH = 32
"""Images in one forward pass; changes no result beyond float32's rounding."""


class LPIPS:
    """LPIPS 0.1 with AlexNet, from the ``lpips`` package and torchvision's AlexNet weights."""

    name = LPIPS_JUDGE

    def __init__(self, alexnet: Mapping[str, Tensor]) -> None:
        """``alexnet``: torchvision's state dictionary."""
        import lpips  # here, since it loads scikit-image and torchvision, and most evaluations have no AlexNet weights

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision's, about the arguments that lpips gives it
            # pnet_rand: the package would download the trunk's weights by itself, and without checking their hash
            self.network: Any = lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
        trunk: nn.Module = self.network.net
        trunk.load_state_dict({key: alexnet[f"features.{key.partition('.')[2]}"] for key in trunk.state_dict()})
        self.network.eval().requires_grad_(False)

    def __call__(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """uint8 N×H×W×3 each → float64 N. Raises ``ValueError`` on another dtype or shape, or unequal shapes."""
        from cgm.data.images import to_float  # here, since it imports torch, which the metric's record must not

        checks.pair(outputs, targets)
        with torch.inference_mode():
            values = [
                self.network(to_float(outputs[start : start + BATCH]), to_float(targets[start : start + BATCH])).flatten(1)[:, 0]
                for start in range(0, len(outputs), BATCH)
            ]
            return torch.cat(values).double().numpy()


def load_lpips(mode: str) -> LPIPS | None:
    """``off`` → None; ``auto`` → None unless AlexNet's weights are there; ``alexnet`` → they are downloaded if need be.

    Raises :class:`cgm.core.errors.UserError` where the file can't be had (``alexnet``) or isn't the published one (both).
    """
    if mode == "off" or (mode == "auto" and not weights.locate("alexnet").is_file()):
        return None
    return LPIPS(weights.read(FIXED["alexnet"])[0])
