"""The source whose p(y | x) is known, and where losses land on it."""

import hashlib
from contextlib import chdir
from itertools import combinations

import numpy as np
import pytest
import yaml

from cgm.core.files import read_json
from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.sources import SOURCES
from cgm.data.sources.manifold import OUTLINES, WEIGHTS
from cgm.evaluation.inputs import recurring
from cgm.evaluation.look import look
from cgm.evaluation.metrics import METRICS
from cgm.evaluation.metrics.several import Answers, rms, rows_by_input
from cgm.evaluation.view import View
from cgm.experiment import paths
from cgm.experiment.reading import parse_params, read_yaml
from cgm.experiment.settings import Evaluation

NAME = "manifold"
SETTINGS = SOURCES[NAME].Settings(source=NAME, image_size=32, kimg=1.0)
NEAR = 0.45
"""Tolerance, in units of the targets' spread, for an output that lies on the mean or on the median: about half of what is between those."""
METHODS = ("mae", "mse", "cgan", "pix2pix_l10")


def made(folder):
    SOURCES[NAME].fetch(SETTINGS, folder / paths.raw(NAME), paired=True)
    prepare(SETTINGS, folder / paths.raw(NAME), folder / paths.prepared(NAME), name=NAME, paired=True)
    return open_prepared(folder / paths.prepared(NAME))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return made(tmp_path_factory.mktemp(NAME))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_each_outline_stands_in_each_colour_as_often_as_it_weighs(prepared, split):
    inputs, targets = recurring(prepared.images(split, "A")), prepared.images(split, "B")
    assert inputs.max() + 1 == OUTLINES[split]
    found = rows_by_input(inputs, targets)
    assert len(found) == OUTLINES[split]
    for rows in found.values():
        answers = Answers.of(targets[rows])
        assert sorted(np.bincount(answers.mode_of)) == sorted(WEIGHTS.values())


def test_mean_median_and_modes_are_different_pictures(prepared):
    """In units of the targets' spread, each of them is farther from each other than outputs at two of them may be."""
    targets = prepared.images("test", "B")
    for rows in rows_by_input(recurring(prepared.images("test", "A")), targets).values():
        answers = Answers.of(targets[rows])
        pictures = [answers.mean, answers.median, *answers.modes]
        apart = [float(rms(a - b)) / answers.spread for a, b in combinations(pictures, 2)]
        assert min(apart) == pytest.approx(float(rms(answers.mean - answers.median)) / answers.spread)
        assert min(apart) > 0.65


def test_no_outline_stands_in_two_splits(prepared):
    assert prepared.card["leakage"]["passed"]
    assert prepared.card["leakage"]["train/test"]["identical_lines"] == 0
    digests = [{hashlib.sha256(image).digest() for image in prepared.images(split, "A")} for split in ("train", "val", "test")]
    assert not any(a & b for a, b in combinations(digests, 2))


def test_it_is_the_same_everywhere(prepared, tmp_path):
    again = made(tmp_path)
    assert again.data_sha256 == prepared.data_sha256
    listing = [(folder / "listing.csv").read_bytes() for folder in (tmp_path / paths.raw(NAME), prepared.folder.parents[1] / f"raw/{NAME}")]
    assert listing[0] == listing[1]
    assert read_json(tmp_path / paths.raw(NAME) / "source.json")["licence"] == "CC0-1.0"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_losses_land(tmp_path, seed):
    """Trained as in the default experiment. MSE ends on the mean and MAE on the median: nearer than :data:`NEAR`, and to nothing else so
    near. With cGAN beside an L1 term of little weight, G decides for a mode, and is nearer to it than to mean and median. cGAN alone
    averages nothing, and is far from both, but may end between two modes."""
    from tiny_runs import ROOT

    from pipeline.train import train
    from pipeline.translate import translate

    for name in ("cgm", "pipeline"):
        (tmp_path / name).symlink_to(ROOT / name)
    raw = read_yaml(ROOT / "experiments/default.yaml", remedy="")
    raw |= {"seeds": [seed], "datasets": {NAME: raw["datasets"][NAME]}, "methods": {name: raw["methods"][name] for name in METHODS}}
    del raw["unpaired"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    params, data = parse_params(raw), made(tmp_path)
    found = {}
    with chdir(tmp_path):
        for method in METHODS:
            train(params, NAME, method, seed)
            translate(params, NAME, method, seed)
            found[method] = scored(data, np.load(paths.run_folder(next(r for r in params.runs() if r.method == method)) / "outputs.npy"))
    mean, median, mode = "mean_distance", "median_distance", "mode_distance"
    assert found["mse"][mean] < NEAR < min(found["mse"][median], found["mse"][mode])
    assert found["mae"][median] < NEAR < min(found["mae"][mean], found["mae"][mode])
    assert found["mse"]["modes_found"] == found["mae"]["modes_found"] == 0
    decided = found["pix2pix_l10"]
    assert decided[mode] < min(decided[mean], decided[median])
    assert decided["modes_found"] >= min(WEIGHTS.values()) / sum(WEIGHTS.values())
    assert min(found["cgan"][mean], found["cgan"][median]) > 1


def scored(data, outputs):
    names = ("mean_distance", "median_distance", "mode_distance", "modes_found")
    view = View(
        samples=outputs,
        targets=data.rgb("test", "B"),
        inputs=recurring(data.rgb("test", "A")),
        reals=None,
        real_images=None,
        judge=None,
        config=Evaluation(),
        metrics={name: METRICS[name] for name in names},
        generator=lambda purpose: np.random.default_rng(0),
        look=look,
    )
    return {name: METRICS[name].value(view).value for name in names}
