"""Judges for benchmarks: also FID's Inception where its weights are not at hand, and as its publisher made it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from cgm.evaluation.judges import Judge, load_judge
from cgm.networks.fixed import FIXED, weights
from cgm.networks.fixed.inception import FEATURES, Inception
from cgm.networks.fixed.inception import hastened as faster

INCEPTION = "inception-2015"


def at_hand(name: str) -> bool:
    """Whether the judge's weights are here: the package's are."""
    return FIXED[name].package is not None or weights.verified(name) is not None


def judge_of(name: str, *, hastened: bool = True) -> Judge:
    """A judge; Inception-2015 with random weights where the real ones are not at hand, which takes the same time and memory. ``hastened``:
    whether Inception is as the project uses it, or torch-fidelity's own."""
    if name != INCEPTION or (hastened and at_hand(name)):
        return load_judge(name)
    return Judge(_Made(weights.fetch(name)[0] if at_hand(name) else None, hastened))


class _Made(Inception):
    def __init__(self, path: Path | None, hastened: bool) -> None:
        """``path``: of the weights; None: random ones, the same each time."""
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        class Empty(FeatureExtractorInceptionV3):  # type: ignore[misc]
            def load_state_dict(self, *_: object) -> None: ...

        self.name, self.sha256, self.device = INCEPTION, "", torch.device("cpu")
        if path is not None:
            extractor = FeatureExtractorInceptionV3(INCEPTION, [FEATURES], feature_extractor_weights_path=str(path))
        else:
            with tempfile.NamedTemporaryFile(suffix=".pth") as file, torch.random.fork_rng([]):
                torch.save({}, file.name)
                torch.manual_seed(0)
                extractor = Empty(INCEPTION, [FEATURES], feature_extractor_weights_path=file.name)
        self.extractor = faster(extractor) if hastened else extractor
