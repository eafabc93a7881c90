"""The Vendi score against the package ``vendi-score``."""

import numpy as np
import pytest
from vendi_score import vendi

from cgm.metrics import blocks, diversity


@pytest.mark.parametrize(("count", "width"), [(40, 100), (100, 40), (90, 90), (30, 1)])
@pytest.mark.parametrize("collapsed", [False, True])
def test_vendi(monkeypatch, count, width, collapsed):
    x = np.abs(np.random.default_rng(0).normal(size=(count, width)))
    if collapsed:
        x = x[np.arange(count) % 4]
    expected = vendi.score_dual(x) if count > width else vendi.score_X(x)
    assert diversity.vendi(x) == pytest.approx(expected, rel=1e-10)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 5000)
    assert diversity.vendi(x) == pytest.approx(expected, rel=1e-10)
