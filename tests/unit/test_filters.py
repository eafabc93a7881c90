"""What a first layer looks for: filters whose answers are known, and chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgm.core.errors import UserError
from cgm.evaluation import filters
from cgm.evaluation.filters import chroma_share, first_layer, orientation_selectivity

GREY = np.ones(3)


def gabor(size: int, angle: float, phase: float, colour: np.ndarray = GREY) -> np.ndarray:
    """3×k×k: a grating of a quarter of a cycle a pixel under a Gaussian."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    along = x * np.cos(angle) + y * np.sin(angle)
    wave = np.exp(-(x**2 + y**2) / (2 * (size / 5) ** 2)) * np.cos(2 * np.pi * along / 4 + phase)
    return np.asarray(colour[:, None, None] * wave)


def bank(size: int, colour: np.ndarray = GREY) -> np.ndarray:
    return np.stack([gabor(size, angle, phase, colour) for angle in np.arange(8) * np.pi / 8 for phase in (0, np.pi / 2)])


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape)


def test_a_gabor_bank_is_oriented_and_noise_is_not() -> None:
    assert orientation_selectivity(bank(11)).min() > 0.8
    assert orientation_selectivity(noise(200, 3, 11, 11)).mean() < 0.1
    assert 0.1 < orientation_selectivity(noise(200, 3, 3, 3)).mean() < 0.25  # nine weights look oriented by chance


def test_a_blob_has_no_orientation_and_a_line_has_one() -> None:
    y, x = np.mgrid[:11, :11] - 5
    blob = np.tile(np.exp(-(x**2 + y**2) / 8.0), (3, 1, 1))
    line = np.zeros((3, 11, 11))
    line[:, 5] = 1
    assert orientation_selectivity(blob) == pytest.approx(0, abs=2e-2)
    assert orientation_selectivity(line) > 0.7
    assert orientation_selectivity(np.zeros((3, 3, 3))) == 0


def test_a_difference_of_neighbours_is_as_oriented_as_its_transform_says() -> None:
    """|W|² = 4 sin²(π r cos θ): the integrals of the definition, by another rule on a finer grid."""
    edge = np.zeros((3, 3, 3))
    edge[:, 1, 0], edge[:, 1, 1] = -1, 1
    radius, angle = np.meshgrid((np.arange(2000) + 0.5) / 4000, np.arange(720) * np.pi / 720, indexing="ij")
    power = np.sin(np.pi * radius * np.cos(angle)) ** 2 * radius
    assert orientation_selectivity(edge) == pytest.approx(abs((power * np.exp(2j * angle)).sum()) / power.sum(), abs=1e-3)


@pytest.mark.parametrize("turned", [lambda f: 7.5 * f, lambda f: -f, lambda f: np.rot90(f, axes=(-2, -1)), lambda f: f[..., ::-1]])
def test_neither_scale_nor_sign_nor_direction_matters(turned: object) -> None:
    assert callable(turned)
    found = noise(5, 3, 5, 5)
    np.testing.assert_allclose(orientation_selectivity(turned(found)), orientation_selectivity(found), rtol=1e-9)
    np.testing.assert_allclose(chroma_share(turned(found)), chroma_share(found), rtol=1e-9)


@pytest.mark.parametrize(
    ("colour", "share"), [((1, 1, 1), 0), ((1, 0, 0), 2 / 3), ((1, -1, 0), 1), ((-0.5, -0.5, 1), 1), ((2, 1, 0), 1 - 9 / 15)]
)
def test_what_grey_does_not_excite_is_colour(colour: tuple[float, ...], share: float) -> None:
    assert chroma_share(gabor(5, 0.3, 0.0, np.array(colour))) == pytest.approx(share)


def test_by_chance_two_thirds_are_colour() -> None:
    assert chroma_share(noise(3000, 3, 3, 3)).mean() == pytest.approx(2 / 3, abs=0.01)


def test_a_layer_of_gabors_differs_from_random_layers_and_a_random_one_does_not() -> None:
    colours = bank(7, np.array([1.0, -1.0, 0.0]))
    layer = first_layer(np.concatenate([bank(7), colours]).astype(np.float32), np.random.default_rng(0))
    assert layer.orientation.difference - layer.orientation.half_width > 0.5
    assert layer.orientation.selective.share == layer.either.share == 1
    assert layer.chroma.selective.share == layer.grey.share == 0.5
    assert layer.chroma.selective.low < 0.5 < layer.chroma.selective.high
    assert layer.orientation.random.shape == (filters.INITS, 32)

    chance = first_layer(noise(400, 3, 7, 7).astype(np.float32), np.random.default_rng(0))
    for each in (chance.orientation, chance.chroma):
        assert abs(each.difference) < each.half_width
        assert each.selective.low < 0.05 < each.selective.high
    assert chance.either.low < chance.either.chance < chance.either.high


def test_an_interval_of_a_share_is_clopper_and_pearson_s() -> None:
    found = filters._selective(np.arange(20) < 3, 0.05)
    assert (found.count, found.n, found.share) == (3, 20, 0.15)
    assert (found.low, found.high) == (pytest.approx(0.0321, abs=1e-4), pytest.approx(0.3789, abs=1e-4))  # Brown et al. 2001, their formula
    assert filters._selective(np.zeros(10, bool), 0.05).low == 0
    assert filters._selective(np.ones(10, bool), 0.05).high == 1


def test_filters_of_nothing_are_left_out() -> None:
    weights = bank(5).astype(np.float32)
    weights[3:6] *= 1e-6
    layer = first_layer(weights, np.random.default_rng(0))
    assert np.flatnonzero(~layer.alive).tolist() == [3, 4, 5]
    assert len(layer.orientation.trained) == layer.either.n == 13


@pytest.mark.parametrize("weights", [np.zeros((4, 3, 3, 3)), np.ones((4, 1, 3, 3)), np.ones((4, 3)), np.full((4, 3, 3, 3), np.nan)])
def test_what_is_no_first_layer_is_refused(weights: np.ndarray) -> None:
    with pytest.raises(ValueError, match="first layer: found"):
        first_layer(weights, np.random.default_rng(0))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    layers = {"a": bank(3).astype(np.float32), "b": bank(5).astype(np.float32)}
    filters.save(tmp_path / "filters.npz", layers)
    found = filters.load(tmp_path / "filters.npz")
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["b"], layers["b"])
    assert filters.load(tmp_path / "none.npz") == {}
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="run the stage 'filters' again"):
        filters.load(tmp_path / "broken.npz")
