"""LPIPS's network: the ``lpips`` package's, with torchvision's weights of its trunk."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cgm.core.lazy import torch
from cgm.networks.fixed import FIXED, weights

if TYPE_CHECKING:
    from torch import Tensor, nn

TRUNKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet"}
"""LPIPS's variants, by the package's names, and the frozen network behind each."""


def load(variant: str) -> nn.Module:
    """LPIPS 0.1, frozen: two float32 N×3×H×W in [-1, 1] → N×1×1×1. Differentiable with respect to the images.

    Raises :class:`cgm.core.errors.UserError` where the trunk's weights can't be had or aren't the published ones.
    """
    return assembled(variant, weights.read(FIXED[TRUNKS[variant]])[0])


def assembled(variant: str, trunk: Mapping[str, Tensor]) -> nn.Module:
    """``trunk``: torchvision's state dictionary of ``TRUNKS[variant]``."""
    import lpips  # here, since it loads scikit-image and torchvision

    with warnings.catch_warnings(), _uninitialised_linear_layers():
        warnings.simplefilter("ignore")  # torchvision's, about the arguments that lpips gives it
        # pnet_rand: the package would download the trunk's weights by itself, and without checking their hash
        network: Any = lpips.LPIPS(net=variant, version="0.1", pnet_rand=True, verbose=False)
    layers: nn.Module = network.net
    layers.load_state_dict({key: trunk[f"features.{key.partition('.')[2]}"] for key in layers.state_dict()})
    found: nn.Module = network.eval().requires_grad_(False)
    return found


@contextmanager
def _uninitialised_linear_layers() -> Iterator[None]:
    """torchvision makes each trunk with its classifier, which LPIPS drops: to initialise its 60 to 120 million weights takes seconds."""
    usual = torch.nn.Linear.reset_parameters
    torch.nn.Linear.reset_parameters = lambda self: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.nn.Linear.reset_parameters = usual  # type: ignore[method-assign]
