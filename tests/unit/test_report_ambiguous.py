"""The figures of inputs that have several targets, on a tree where what is plausible is known."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image
from report_inputs import COUNTS, SIZE, make_params, write_inputs

from cgm.report.figures.answers import answers_sheet
from cgm.report.figures.manifold import manifold
from cgm.report.plotting import render
from cgm.report.results import collect

NAME = "icons_a"
COLOURS = np.array([(220, 40, 40), (40, 220, 40), (40, 40, 220)], dtype=np.uint8)
OF = np.array([0, 1, 2, 0, 1, 2, 0])
"""The colour of each image of the one input that recurs; the other images' inputs are all different."""
PLAIN = {"mae": np.median, "perceptual": np.mean}


@pytest.fixture
def results(tmp_path):
    return lambda colours=COLOURS: made(tmp_path, colours)


def made(root, colours):
    params = make_params([0, 1])
    write_inputs(root, params)
    folder = root / "data/prepared" / NAME / "test"
    inputs, targets = np.load(folder / "A.npy"), np.load(folder / "B.npy")
    inputs[: len(OF)] = 255
    targets[: len(OF)] = 255
    targets[: len(OF), 8:24, 8:24] = colours[OF % len(colours)][:, None, None]
    np.save(folder / "A.npy", inputs)
    np.save(folder / "B.npy", targets)
    for run in params.runs():
        path = root / f"results/{NAME}/{run.method}/{run.seed}"
        outputs = np.load(path / "outputs.npy")
        if run.method in PLAIN:
            outputs[:, : len(OF)] = np.rint(PLAIN[run.method](targets[: len(OF)].astype(float), axis=0))
        else:
            outputs[:, : len(OF)] = targets[run.seed]
        np.save(path / "outputs.npy", outputs)
        scores = json.loads((path / "metrics.json").read_text())
        scores["metrics"] |= {"mean_distance": 0.01 if run.method == "perceptual" else 1, "mode_distance": float(run.method in PLAIN)}
        (path / "metrics.json").write_text(json.dumps(scores))
    return collect(params, root)


def test_where_outputs_land(results):
    found = results()
    picture = manifold(found, found.datasets[0])
    rows = list(csv.DictReader(io.StringIO(picture.csv.decode())))
    places = {}
    for row in rows:
        places.setdefault((row["kind"], row["name"], row["seed"]), []).append((float(row["first"]), float(row["second"])))
    modes = sorted(place for (kind, *_), here in places.items() if kind == "target" for place in here)
    assert len(modes) == 3
    assert sum(float(row["weight"]) for row in rows if row["kind"] == "target") == pytest.approx(1)
    assert places["centre", "mean", ""] == [(0, 0)]
    # on the mean and on the median up to rounding, and exactly on a mode
    for seed in ("0", "1"):
        assert np.abs(places["output", "perceptual", seed]).max() < 0.01
        np.testing.assert_allclose(places["output", "mae", seed], places["centre", "median", ""], atol=0.01)
        assert len(places["output", "pix2pix", seed]) == 3  # samples
        assert np.abs(np.array(modes)[:, None] - places["output", "pix2pix", seed]).max(-1).min(0).max() < 1e-9
    # mean, median and modes are told apart at a glance
    seen = np.array([*modes, (0, 0), *places["centre", "median", ""]])
    assert min(np.linalg.norm(seen[a] - seen[b]) for a in range(5) for b in range(a)) > 0.3
    assert "Perceptual" in picture.takeaway
    assert "(0.01)" in picture.takeaway
    files = render(picture)
    assert files == render(picture)
    assert files["svg"].startswith(b"<?xml")


def test_the_sheet(results):
    found = results()
    picture = answers_sheet(found, found.datasets[0])
    with Image.open(io.BytesIO(picture.image)) as image:
        assert image.width == picture.width
    assert "1 row of inputs" in picture.alt
    assert "Target 3, Their mean, Their median" in picture.alt
    assert "is lost under" in picture.takeaway


def test_two_targets_span_no_plane(results):
    found = results(COLOURS[:2])
    assert manifold(found, found.datasets[0]) is None
    assert answers_sheet(found, found.datasets[0]) is not None


def test_nothing_to_show_where_no_input_recurs(tmp_path):
    params = make_params([0])
    write_inputs(tmp_path, params)
    found = collect(params, tmp_path)
    assert manifold(found, found.datasets[0]) is None
    assert answers_sheet(found, found.datasets[0]) is None
    assert COUNTS["test"] > len(OF)
    assert SIZE >= 24
