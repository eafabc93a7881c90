"""The Vendi score against the package ``vendi-score``."""

import numpy as np
import pytest
from vendi_score import vendi as peer

from cgm.evaluation.metrics import blocks
from cgm.evaluation.metrics.vendi_ratio import vendi


@pytest.mark.parametrize(("count", "width"), [(40, 100), (100, 40), (90, 90), (30, 1)])
@pytest.mark.parametrize("collapsed", [False, True])
def test_vendi(monkeypatch, count, width, collapsed):
    x = np.abs(np.random.default_rng(0).normal(size=(count, width)))
    if collapsed:
        x = x[np.arange(count) % 4]
    expected = peer.score_dual(x) if count > width else peer.score_X(x)
    assert vendi(x) == pytest.approx(expected, rel=1e-10)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 5000)
    assert vendi(x) == pytest.approx(expected, rel=1e-10)
