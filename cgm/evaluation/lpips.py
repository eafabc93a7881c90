"""LPIPS, the perceptual distance with weights fitted to human judgements. Like a judge it works in float32, on the evaluation's device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cgm.core.lazy import torch
from cgm.evaluation.metrics import checks
from cgm.networks.fixed import FIXED, weights

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

TRUNKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet"}
"""LPIPS's variants, by the package's names, and the frozen network behind each."""
BATCH = 32
"""Images in one forward pass; changes no result beyond float32's rounding."""


def judge_name(variant: str) -> str:
    """What a value names as the network that it was seen through."""
    return f"lpips-0.1.4-{TRUNKS[variant]}"


class LPIPS:
    """LPIPS 0.1, from the ``lpips`` package and torchvision's weights of its trunk."""

    def __init__(self, variant: str, trunk: Mapping[str, Tensor], device: str | torch.device = "cpu") -> None:
        """``trunk``: torchvision's state dictionary of ``TRUNKS[variant]``."""
        import lpips  # here, since it loads scikit-image and torchvision

        self.name = judge_name(variant)
        with warnings.catch_warnings(), _uninitialised_linear_layers():
            warnings.simplefilter("ignore")  # torchvision's, about the arguments that lpips gives it
            # pnet_rand: the package would download the trunk's weights by itself, and without checking their hash
            self.network: Any = lpips.LPIPS(net=variant, version="0.1", pnet_rand=True, verbose=False)
        layers: nn.Module = self.network.net
        layers.load_state_dict({key: trunk[f"features.{key.partition('.')[2]}"] for key in layers.state_dict()})
        self.network.eval().requires_grad_(False).to(device)
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


@contextmanager
def _uninitialised_linear_layers() -> Iterator[None]:
    """torchvision makes each trunk with its classifier, which LPIPS drops: to initialise its 60 to 120 million weights takes seconds."""
    usual = torch.nn.Linear.reset_parameters
    torch.nn.Linear.reset_parameters = lambda self: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.nn.Linear.reset_parameters = usual  # type: ignore[method-assign]


def load_lpips(variant: str, device: str | torch.device = "cpu") -> LPIPS:
    """Raises :class:`cgm.core.errors.UserError` where the trunk's weights can't be had or aren't the published ones."""
    return LPIPS(variant, weights.read(FIXED[TRUNKS[variant]])[0], device)
