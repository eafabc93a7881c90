"""What every metric demands of its input; a mistake in range, dtype or shape is an error, never a plausible number."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def images(value: np.ndarray, name: str) -> np.ndarray:
    """uint8 N×H×W×3, N ≥ 1; raises ``ValueError`` otherwise."""
    if value.ndim != 4 or value.shape[-1] != 3 or len(value) == 0:
        raise ValueError(f"{name}: found shape {value.shape}, expected N×H×W×3 (RGB, channels last) with N of 1 or more")
    if value.dtype != np.uint8:
        raise ValueError(f"{name}: found dtype {value.dtype}, expected uint8 in 0…255")
    return value


def pair(outputs: np.ndarray, targets: np.ndarray) -> None:
    """Two image batches of one shape; raises ``ValueError`` otherwise."""
    images(outputs, "outputs")
    images(targets, "targets")
    if outputs.shape != targets.shape:
        raise ValueError(f"targets: found shape {targets.shape}, expected the outputs' {outputs.shape}")


def features(value: np.ndarray, name: str, at_least: int = 1) -> Tensor:
    """N×D as float64; raises ``ValueError`` on another shape, NaN or infinity, or too few rows."""
    if value.ndim != 2 or len(value) < at_least:
        raise ValueError(f"{name}: found shape {value.shape}, expected N×D features with N of {at_least} or more")
    tensor = torch.from_numpy(np.array(value, dtype=np.float64))
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{name}: found NaN or infinity among the features")
    return tensor


def two_features(fake: np.ndarray, real: np.ndarray, at_least: int = 1) -> tuple[Tensor, Tensor]:
    """Outputs' and reals' features of one width, as float64; raises ``ValueError`` otherwise."""
    a, b = features(fake, "fake", at_least), features(real, "real", at_least)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"real: found {b.shape[1]} features, expected the fakes' {a.shape[1]}")
    return a, b
