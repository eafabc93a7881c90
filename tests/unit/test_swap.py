"""The input-swap matrix of methods whose answer is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cgm.evaluation.swap import SHOWN, input_swap, own_less_other

IDS = [f"picture{index}" for index in range(30)]
TARGETS = np.random.default_rng(0).random((len(IDS), 64)).astype(np.float32)


def of(outputs: np.ndarray, targets: np.ndarray = TARGETS) -> dict[str, object]:
    view = SimpleNamespace(targets=targets, count=len(outputs), features=outputs, target_features=targets)
    return input_swap(view, IDS[: len(outputs)])  # type: ignore[arg-type]


def test_a_perfect_method_has_a_diagonal_of_ones() -> None:
    found = of(TARGETS.copy())
    matrix = np.array(found["outputs"])
    assert matrix.shape == (SHOWN, SHOWN)
    np.testing.assert_allclose(np.diag(matrix), 1)
    assert (matrix - np.eye(SHOWN)).max() < 1
    assert found["outputs"] == found["targets"]
    assert found["kept"] == pytest.approx(1)


def test_a_collapsed_method_has_columns() -> None:
    found = of(np.tile(TARGETS[4] * 3, (len(IDS), 1)))
    matrix = np.array(found["outputs"])
    np.testing.assert_array_equal(matrix, np.tile(matrix[:1], (SHOWN, 1)))
    assert found["kept"] == pytest.approx(0, abs=1e-5)


def test_half_of_what_is_said_of_the_input_is_kept_by_half() -> None:
    mean = TARGETS.mean(axis=0)
    kept = [float(of(mean + share * (TARGETS - mean))["kept"]) for share in (0.0, 0.3, 0.6, 1.0)]  # type: ignore[arg-type]
    assert kept == sorted(kept)
    assert kept[0] == pytest.approx(0, abs=1e-5)


def test_own_less_other_is_what_its_definition_says() -> None:
    rows = np.random.default_rng(1).standard_normal(TARGETS.shape).astype(np.float32)
    cosines = (rows / np.linalg.norm(rows, axis=1)[:, None]) @ (TARGETS / np.linalg.norm(TARGETS, axis=1)[:, None]).T
    others = cosines[~np.eye(len(rows), dtype=bool)]
    assert own_less_other(rows, TARGETS) == pytest.approx(np.diag(cosines).mean() - others.mean(), abs=1e-6)


def test_there_is_none_without_targets_or_of_one_picture() -> None:
    assert input_swap(SimpleNamespace(targets=None, count=30), IDS) == {}  # type: ignore[arg-type]
    assert of(TARGETS[:1], TARGETS[:1]) == {}


def test_what_is_shown_is_chosen_by_hash() -> None:
    found = of(TARGETS)
    assert len(found["index"]) == SHOWN  # type: ignore[arg-type]
    assert found["index"] != sorted(found["index"])  # type: ignore[call-overload]
    assert of(TARGETS[::-1].copy())["index"] == found["index"]
