"""Conditions that are made of targets."""

import numpy as np
import pytest
from PIL import Image

from cgm.core.errors import UserError
from cgm.data.conditions import CONDITIONS, make
from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.sources.folder import FOLDER
from cgm.experiment.reading import parse_params

TARGET = np.asarray(
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (4, 4, 3), dtype=np.uint8)).resize((32, 32), Image.Resampling.BICUBIC)
)


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_repetition(kind, channels):
    target = TARGET[..., :channels]
    before = target.copy()
    found = make(kind, target, dataset="d", identity="one")
    assert (found.shape, found.dtype) == (target.shape, np.uint8)
    assert (found == make(kind, target, dataset="d", identity="one")).all()
    assert (target == before).all()
    if kind in ("mask", "noise"):
        assert (found != make(kind, target, dataset="d", identity="two")).any()
        assert (found != make(kind, target, dataset="e", identity="one")).any()


def test_what_each_is():
    grey = make("grey", TARGET, dataset="d", identity="x")
    assert (grey[..., 0] == np.asarray(Image.fromarray(TARGET).convert("L"))).all()
    assert (grey[..., 0] == grey[..., 2]).all()
    edges = make("edges", TARGET, dataset="d", identity="x")
    assert set(np.unique(edges)) == {0, 255}
    assert 0.5 < (edges == 255).mean() < 1
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 255
    small = make("downscale-4", stripes, dataset="d", identity="x")
    assert np.abs(small[8:-8, 8:-8].astype(int) - 127.5).max() < 16, "what four pixels hold is lost, not aliased"
    mask = make("mask", TARGET, dataset="d", identity="x")
    hole = (mask == 127).all(axis=2)
    assert 0.3**2 * 0.8 < hole.mean() < 0.5**2 * 1.2
    assert (mask[~hole] == TARGET[~hole]).all()
    noise = make("noise", np.full((64, 64, 3), 128, np.uint8), dataset="d", identity="x").astype(float)
    assert abs(noise.std() - 25) < 1


@pytest.fixture
def photographs(tmp_path):
    for n in range(20):
        path = tmp_path / "mine" / f"{n}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.roll(TARGET, n, axis=0) // (1 + n % 3)).save(path)
    return tmp_path


def opened(tmp_path, condition):
    settings = FOLDER.Settings(
        source="folder", path=str(tmp_path / "mine"), kimg=1.0, image_size=32, condition=condition, near_duplicates=False
    )
    FOLDER.fetch(settings, tmp_path / "raw" / "mine", paired=True)
    prepare(settings, tmp_path / "raw" / "mine", tmp_path / "prepared" / "mine", name="mine", paired=True)
    return open_prepared(tmp_path / "prepared" / "mine")


@pytest.mark.parametrize("kind", CONDITIONS)
def test_a_folder_of_pictures_becomes_pairs(photographs, kind):
    data = opened(photographs, kind)
    assert (data.paired, data.aligned, data.card["condition"]) == (True, True, kind)
    for split in ("train", "val", "test"):
        assert data.ids(split, "A") == data.ids(split, "B")
        for identity, x, y in zip(data.ids(split, "B"), data.images(split, "A"), data.images(split, "B"), strict=True):
            assert (x == make(kind, np.asarray(y), dataset="mine", identity=identity)).all()


def test_conditions_make_pairs_and_not_domains(photographs):
    settings = FOLDER.Settings(source="folder", path=str(photographs / "mine"), kimg=1.0, condition="grey")
    with pytest.raises(UserError, match=r"mine: condition: grey makes pairs; move the dataset from unpaired\.datasets to datasets"):
        FOLDER.fetch(settings, photographs / "raw" / "mine", paired=False)


def test_a_condition_that_is_unknown_is_one_line():
    raw = {
        "experiment": "x",
        "seeds": [0],
        "datasets": {"d": {"source": "openmoji", "kimg": 1.0, "condition": "gray"}},
        "methods": {"mae": {}},
    }
    with pytest.raises(UserError, match=r"params\.yaml: datasets\.d\.condition: found 'gray'"):
        parse_params(raw)
