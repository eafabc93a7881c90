"""The networks that metrics look through: a judge (features and perceptual distance), and LPIPS.

Both are loaded onto the CPU and work in float32, so that a final number doesn't depend on the machine's accelerator.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cgm import weights
from cgm.images import to_float
from cgm.metrics import checks
from cgm.networks.fixed import FixedNetwork, load_fixed, read_checkpoint
from cgm.networks.inception import NAME as INCEPTION
from cgm.networks.inception import Inception

SIZE = 128
"""Pixels at which a judge sees every image; but Inception-2015 has its own size, 299, and its own way to get there."""
TAPS = {
    "efficientnet-lite0": ("block0", "block2", "block4", "block10", "block15"),
    "efficientnet-lite1": ("block0", "block3", "block6", "block14", "block20"),
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    INCEPTION: ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c"),
}
"""The maps of the perceptual distance: the last layer at each of the network's five resolutions, as LPIPS has five (for VGG-16, the
very ones of LPIPS)."""
BATCH = 32
"""Images in one forward pass; changes no result beyond float32's rounding."""
LPIPS_JUDGE = "lpips-0.1.4-alexnet"


class Judge:
    """A fixed network with the protocol under which it judges."""

    def __init__(self, network: FixedNetwork | Inception) -> None:
        if network.name not in TAPS:
            raise ValueError(f"judge {network.name!r}: no protocol for it; expected one of {', '.join(TAPS)}")
        self.network = network
        self.name, self.sha256 = network.name, network.sha256

    @torch.inference_mode()
    def look(self, images: np.ndarray) -> tuple[np.ndarray, Tensor]:
        """uint8 N×H×W×3 → features N×D and perceptual embeddings N×P, both float32, from one forward pass."""
        maps, features = self.network.taps_and_features(self._prepare(images), TAPS[self.name])
        return features.cpu().numpy(), perceptual_embedding(maps.values())

    @torch.inference_mode()
    def features(self, images: np.ndarray) -> np.ndarray:
        """uint8 N×H×W×3 (a memory map will do) → float32 N×D, in batches."""
        checks.images(images, "images")
        batches = (np.array(images[start : start + BATCH]) for start in range(0, len(images), BATCH))
        return np.concatenate([self.network.features(self._prepare(batch)).cpu().numpy() for batch in batches])

    @torch.inference_mode()
    def embeddings(self, images: np.ndarray) -> Tensor:
        """uint8 N×H×W×3 → perceptual embeddings N×P, without the layers beyond the deepest map."""
        return perceptual_embedding(self.network.taps(self._prepare(images), TAPS[self.name]).values())

    def _prepare(self, images: np.ndarray) -> Tensor:
        checks.images(images, "images")
        if isinstance(self.network, Inception):
            return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
        x = to_float(images, self.network.scale.device)
        if x.shape[-2:] != (SIZE, SIZE):
            x = F.interpolate(x, (SIZE, SIZE), mode="bicubic", antialias=True, align_corners=False).clamp_(-1, 1)
        return x


def load_judge(name: str) -> Judge:
    """Raises :class:`cgm.errors.UserError` if the name is unknown, or the weights can't be had or are not the published ones."""
    return Judge(Inception() if name == INCEPTION else load_fixed(name))


def perceptual_embedding(maps: Iterable[Tensor]) -> Tensor:
    """Feature maps N×C×h×w → N×P, such that ‖a − b‖² is the perceptual distance.

    Zhang et al. 2018, eq. 1 with all weights 1: each map is unit-normalised over its channels; squared differences are averaged over
    positions and summed over maps.
    """
    parts = []
    for features in maps:
        positions = features.shape[2] * features.shape[3]
        unit = features / features.norm(dim=1, keepdim=True).clamp_min(1e-10)
        parts.append(unit.flatten(1) / positions**0.5)
    return torch.cat(parts, dim=1)


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

    @torch.inference_mode()
    def __call__(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """uint8 N×H×W×3 each → float64 N."""
        checks.pair(outputs, targets)
        values = [
            self.network(to_float(outputs[start : start + BATCH]), to_float(targets[start : start + BATCH])).flatten(1)[:, 0]
            for start in range(0, len(outputs), BATCH)
        ]
        return torch.cat(values).double().numpy()


def load_lpips(mode: str) -> LPIPS | None:
    """``off`` → None; ``auto`` → None unless AlexNet's weights are there; ``alexnet`` → they are downloaded if need be.

    Raises :class:`cgm.errors.UserError` where the file can't be had (``alexnet``) or isn't the published one (both).
    """
    if mode == "off" or (mode == "auto" and not weights.locate("alexnet").is_file()):
        return None
    return LPIPS(read_checkpoint("alexnet")[0])
