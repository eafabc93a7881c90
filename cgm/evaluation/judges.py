"""The network that metrics look through: features and perceptual distance.

It works in float32. For an evaluation it is loaded onto the CPU, unless ``evaluation.device`` says otherwise, so that a final number
doesn't depend on the machine's accelerator; for a training's curves it stands on the training's device.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cgm.core.files import read_json
from cgm.data.images import to_float
from cgm.evaluation.metrics import checks
from cgm.experiment import paths
from cgm.experiment.settings import Evaluation
from cgm.networks.fixed import FIXED
from cgm.networks.fixed.network import FixedNetwork

SIZE = 128
"""Pixels at which a judge sees every image, unless its network has a size of its own (Inception-2015: 299)."""
BATCH = 32
"""Images in one forward pass; changes no result beyond float32's rounding."""


class Network(Protocol):
    """What a judge asks of its network.

    A :class:`cgm.networks.fixed.network.FixedNetwork` is given float32 N×3×128×128 in [-1, 1]; any other has its own way to its own size
    and is given uint8 N×3×H×W.
    """

    name: str
    sha256: str

    def features(self, images: Tensor) -> Tensor: ...

    def taps(self, images: Tensor, names: Iterable[str]) -> dict[str, Tensor]: ...

    def taps_and_features(self, images: Tensor, names: Iterable[str]) -> tuple[dict[str, Tensor], Tensor]: ...


class Judge:
    """A frozen network with the protocol under which it judges."""

    def __init__(self, network: Network) -> None:
        self.network, self.record = network, FIXED[network.name]
        self.name, self.sha256 = network.name, network.sha256

    @torch.inference_mode()
    def look(self, images: np.ndarray) -> tuple[np.ndarray, Tensor]:
        """uint8 N×H×W×3 → features N×D and perceptual embeddings N×P, both float32, from one forward pass.

        The embeddings are on the network's device, the features on the CPU. Raises ``ValueError`` on another dtype or shape.
        """
        maps, features = self.network.taps_and_features(self._prepare(images), self.record.taps)
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
        return perceptual_embedding(self.network.taps(self._prepare(images), self.record.taps).values())

    def _prepare(self, images: np.ndarray) -> Tensor:
        checks.images(images, "images")
        if not isinstance(self.network, FixedNetwork):
            return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
        x = to_float(images, self.network.scale.device)
        if x.shape[-2:] != (SIZE, SIZE):
            x = F.interpolate(x, (SIZE, SIZE), mode="bicubic", antialias=True, align_corners=False).clamp_(-1, 1)
        return x


def load_judge(name: str, device: str | torch.device = "cpu") -> Judge:
    """Raises :class:`cgm.core.errors.UserError` if the name is unknown, or the weights can't be had or are not the published ones."""
    return Judge(FIXED[name].network().to(device))


def device_of(config: Evaluation) -> torch.device:
    """Where an evaluation's networks look."""
    return torch.device("cuda" if config.device == "auto" and torch.cuda.is_available() else "cpu")


def device_name(config: Evaluation) -> str:
    """Of :func:`device_of`, for the record: ``cpu``, or the GPU's own name."""
    device = device_of(config)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def missing(root: Path = Path()) -> dict[str, str]:
    """The networks that could not be had, with the reason, as the stage ``weights`` left it; none where it hasn't run."""
    path = root / paths.WEIGHTS
    found = read_json(path) if path.is_file() else {}
    return {name: each["reason"] for name, each in found.items() if "reason" in each}


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
