"""Small datasets, prepared by the real code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cgm.config import Dataset
from cgm.data.prepare import prepare
from cgm.data.prepared import Prepared, open_prepared
from cgm.data.sources import fetch

ROOT = Path(__file__).parents[1]
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Twelve pairs of openmoji a split, 32 px."""
    folder = tmp_path_factory.mktemp("small")
    settings = Dataset(source="openmoji", image_size=32, kimg=1.0, limit=12)
    fetch(settings, folder / "raw", paired=True, archives=ROOT / "data" / "embedded")
    prepare(settings, folder / "raw", folder / "prepared", name="small", paired=True)
    return open_prepared(folder / "prepared")
