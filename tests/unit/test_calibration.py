"""The simulation behind the calibration of intervals: its metrics are the library's, its variance is what it says."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.study import calibration
from benchmarks.study.simulated import DATA, NEIGHBOURS, SETS, SHARES, Images, outputs, per_image
from cgm.evaluation.metrics.fid import fid
from cgm.evaluation.metrics.kid import kernel_mean, kid
from cgm.evaluation.metrics.neighbourhood import neighbourhood

LIBRARY = {
    "KID": lambda fake, real: kid(fake, real) - kernel_mean(real),
    "FD": fid,
    "recall": lambda fake, real: neighbourhood(fake, real, NEIGHBOURS).recall,
}


@pytest.mark.parametrize("name", SETS)
def test_set_metrics_are_the_library_s_with_and_without_a_group(name):
    generator = np.random.default_rng(0)
    fake, real = outputs(0.1, 2, 60, generator), generator.standard_normal((50, 4))
    images = Images.of(60, False, generator)
    weights = np.concatenate([np.ones((1, 60)), images.left_out()])
    found = SETS[name](fake, real, weights)
    assert found.shape == (2, 21)
    for seed in range(2):
        assert found[seed, 0] == pytest.approx(LIBRARY[name](fake[seed], real))
        assert found[seed, 8] == pytest.approx(LIBRARY[name](fake[seed, images.groups != 7], real))


@pytest.mark.parametrize("name", ["KID", "FD"])
def test_an_image_drawn_twice_counts_twice(name):
    generator = np.random.default_rng(0)
    fake, real = outputs(0.1, 1, 30, generator), generator.standard_normal((50, 4))
    weights = np.array([[2.0] + [1.0] * 29])
    twice = np.concatenate([fake[0], fake[0, :1]])
    found, plain = float(SETS[name](fake, real, weights)[0, 0]), LIBRARY[name](twice, real)
    if name == "KID":  # there a pair of the same image doesn't count
        pairs = 31 * 30
        own = (float(fake[0, 0] @ fake[0, 0]) / 4 + 1) ** 3
        between = float((((fake[0] @ real.T) / 4 + 1) ** 3).mean(1) @ weights[0]) / 31
        plain = ((plain + 2 * between) * pairs - 2 * own) / (pairs - 2) - 2 * between
    assert found == pytest.approx(plain)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("dominates", SHARES)
def test_means_have_variance_1_around_0(data, dominates):
    generator = np.random.default_rng(0)
    images = Images.of(50, data == "crops", generator)
    means = per_image(data, SHARES[dominates], images, (5000, 3), generator).mean((1, 2))
    assert means.var() == pytest.approx(1, rel=0.12)
    assert means.mean() == pytest.approx(0, abs=0.06)


@pytest.mark.slow
def test_the_command(monkeypatch, tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(calibration, "ROOT", tmp_path)
    few = ["--replicates", "20", "--set-replicates", "4", "--families", "3"]
    monkeypatch.setattr(sys, "argv", ["calibration", *few, "--write"])
    calibration.main()
    page, figure = (tmp_path / calibration.PAGE).read_text(), (tmp_path / calibration.FIGURE).read_bytes()
    assert f"![{calibration.CAPTION}](pictures/calibration.png)" in page
    assert all(f"| {data} | {dominates} |" in page for data in DATA for dominates in SHARES)
    assert len(figure) < 60_000
