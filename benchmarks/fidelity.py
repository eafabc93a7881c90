"""A judge as a feature extractor of torch-fidelity: its numbers and this benchmark's, from the same features.

torch-fidelity keeps features and statistics in a cache whose only key is the name that it is given. Use :func:`cache_name`, never a name
of your own: under another's it would answer with another's features.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar

import numpy as np
import torch
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from cgm.evaluation.judges import BATCH, Judge
from cgm.evaluation.metrics import checks

FEATURES = "features"
"""The one layer that an extractor offers."""


class JudgeExtractor(FeatureExtractorBase):
    """uint8 N×3×H×W in, the judge's features N×D out. Made by :func:`register`, once for each judge."""

    judge: ClassVar[Judge]

    def __init__(self, name: str, features_list: list[str], **settings: object) -> None:
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return (FEATURES,)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return FEATURES

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros(1, 3, 64, 64, dtype=torch.uint8)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (torch.from_numpy(self.judge.features(images.permute(0, 2, 3, 1).cpu().numpy())),)


def register(judge: Judge) -> str:
    """Make ``judge`` known to torch-fidelity; the name for its ``feature_extractor``, which holds the weights' hash.

    ``calculate_metrics(Images(a), Images(b), feature_extractor=register(judge), cuda=False, input1_cache_name=cache_name(a, judge), …)``
    """
    name = f"cgm-{judge.name}-{judge.sha256[:16]}"
    if name not in FEATURE_EXTRACTORS_REGISTRY:
        torch_fidelity.register_feature_extractor(name, type("Extractor", (JudgeExtractor,), {"judge": judge}))
    return name


def cache_name(images: np.ndarray, judge: Judge) -> str:
    """A name for ``input1_cache_name`` or ``input2_cache_name`` that no other images (uint8 N×H×W×3) nor weights nor protocol share."""
    checks.images(images, "images")
    digest = hashlib.sha256(f"{judge.name} {judge.sha256} {judge.record.about.protocol} {images.shape}\n".encode())
    for start in range(0, len(images), BATCH):
        digest.update(images[start : start + BATCH].tobytes())
    return f"cgm-{digest.hexdigest()}"


class Images(Dataset[Tensor]):
    """uint8 N×H×W×3 (a memory map will do) as torch-fidelity wants its input: bare tensors uint8 3×H×W."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = checks.images(images, "images")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(np.array(self.images[index])).permute(2, 0, 1)
