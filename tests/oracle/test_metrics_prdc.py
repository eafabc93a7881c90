"""Precision, recall, density and coverage against the package ``prdc``."""

import numpy as np
import pytest
from prdc import compute_prdc

from cgm.evaluation.metrics import blocks
from cgm.evaluation.metrics.neighbourhood import neighbourhood


def features(count: int, shift: float, seed: int, width: int, dtype: type) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(count, width)) @ np.diag(np.linspace(0.2, 2, width)) + shift).astype(dtype)


@pytest.mark.parametrize("neighbours", [1, 3, 5])
@pytest.mark.parametrize(
    ("width", "dtype", "shift"), [(8, np.float64, 0.3), (8, np.float64, 0.0), (64, np.float32, 0.1), (8, np.float64, 100.0)]
)
def test_prdc(monkeypatch, neighbours, width, dtype, shift):
    fake, real = features(150, 1.1 * shift, 0, width, dtype), features(210, shift, 1, width, dtype)
    # in float64: the package's own float32 distances round
    expected = compute_prdc(real.astype(np.float64), fake.astype(np.float64), neighbours)
    for bytes_a_block in (blocks.BLOCK_BYTES, 20000):
        monkeypatch.setattr(blocks, "BLOCK_BYTES", bytes_a_block)
        found = neighbourhood(fake, real, neighbours)
        for name, value in expected.items():
            assert getattr(found, name) == pytest.approx(value, abs=1e-10), name
