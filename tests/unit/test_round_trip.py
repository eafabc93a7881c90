"""There and back: pairs of generators whose answer is known, and the stage on a trained pair."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import DATASET, make_data, make_params

from cgm.core.errors import UserError
from cgm.core.seeds import torch_generator
from cgm.evaluation.round_trip import LEVELS, RoundTrip, load, none, round_trip, shown_of
from cgm.experiment import paths
from cgm.experiment.params import Run
from cgm.methods import left_weights
from pipeline import round_trip as stage
from pipeline.train import train

GENERATOR = np.random.default_rng(0)
X = GENERATOR.integers(60, 200, (9, 8, 8, 3), dtype=np.uint8)
Y = GENERATOR.integers(60, 200, (5, 8, 8, 3), dtype=np.uint8)
IDS = [f"id{index}" for index in range(len(X))]
SCALE = 1e-3


def of(there: object, back: object, batch: int = 4) -> RoundTrip:
    return round_trip(there, back, X, Y, shown_of(IDS), torch_generator("", "", 0, ""), batch=batch)  # type: ignore[arg-type]


def test_an_invertible_pair_comes_back_and_noise_adds_as_much_as_it_is() -> None:
    found = of(lambda x: -x, lambda y: -y)
    assert found.error[0].max() == 0
    for level, error, moved in zip(LEVELS, found.error, found.moved, strict=True):
        assert error.mean() == pytest.approx(level, rel=0.05)
        np.testing.assert_allclose(error, moved, rtol=1e-5)
    assert found.error.shape == (len(LEVELS), len(X))
    assert found.moved_real.shape == (len(LEVELS), len(Y))


def test_a_copy_that_is_hidden_below_a_grey_level_is_lost_with_the_least_noise() -> None:
    """ŷ shows a flat picture that holds x a thousand times fainter; F reads it. Real pictures hold nothing that F could read."""

    def back(y: torch.Tensor) -> torch.Tensor:
        return (y / SCALE).clamp(-1, 1)

    found = of(lambda x: SCALE * x, back)
    assert found.error[0].max() < 0.01
    assert found.error[1].mean() > 50
    assert found.moved[1].mean() > 5 * found.moved_real[1].mean()


def test_a_picture_that_everybody_sees_outlives_the_noise() -> None:
    found = of(lambda x: torch.nn.functional.avg_pool2d(x, 2).repeat_interleave(2, 2).repeat_interleave(2, 3), lambda y: y)
    assert found.error[1].mean() < 1.1 * found.error[0].mean()


def test_pictures_are_those_of_the_items_shown() -> None:
    found = of(lambda x: -x, lambda y: -y)
    assert found.pictures.shape == (1 + len(LEVELS), 4, 8, 8, 3)
    np.testing.assert_array_equal(found.pictures[0], 255 - X[found.shown])
    np.testing.assert_array_equal(found.pictures[1], X[found.shown])


def test_the_size_of_a_batch_and_the_hour_change_nothing() -> None:
    one, other, again = of(lambda x: -x, lambda y: y, 9), of(lambda x: -x, lambda y: y, 4), of(lambda x: -x, lambda y: y, 4)
    np.testing.assert_array_equal(one.error[0], other.error[0])
    np.testing.assert_array_equal(other.moved, again.moved)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    for kept in (of(lambda x: -x, lambda y: -y), none("no way back")):
        kept.save(tmp_path / "kept.npz")
        found = load(tmp_path / "kept.npz")
        assert found is not None
        assert found.reason == kept.reason
        np.testing.assert_array_equal(found.moved_real, kept.moved_real)
    assert load(tmp_path / "none.npz") is None
    (tmp_path / "kept.npz").write_bytes(b"")
    with pytest.raises(UserError, match="run the stage 'round_trip' of this run again"):
        load(tmp_path / "kept.npz")


def test_the_stage_goes_both_ways_where_a_method_can(tmp_path: Path) -> None:
    mixture = {"implementation": "weighted", "terms": {"adversarial": {"weight": 1.0, "conditional": False}, "cycle": 10.0}}
    params = make_params(tmp_path, {"cyclegan": {}, "mae": {}, "mixture": {**mixture, "generator": "resnet"}}, [0])
    make_data(tmp_path, params)
    found = {}
    for method in params.methods:
        run = Run(dataset=DATASET, method=method, seed=0)
        with chdir(tmp_path):
            train(params, DATASET, method, 0)
            stage.run(params, DATASET, method, 0)
            found[method] = load(paths.round_trip(run))
            again = stage.made(params, run)
        assert found[method] is not None
        np.testing.assert_array_equal(found[method].pictures, again.pictures)
    assert found["mae"].reason == "no way back"
    for method in ("cyclegan", "mixture"):
        assert found[method].reason == ""
        assert found[method].error[0].min() > 0
        assert found[method].moved[0].max() == 0 < found[method].moved[1].min()
    run = Run(dataset=DATASET, method="cyclegan", seed=0)
    with chdir(tmp_path):
        left_weights.write(paths.run_folder(run) / "model.safetensors", "5" * 64)
        assert stage.made(params, run).reason == "the weights stayed where the run was trained"
