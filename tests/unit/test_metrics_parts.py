"""A metric's values of many parts of the images at once, against each part computed by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cgm.evaluation.metrics import METRICS
from cgm.evaluation.metrics.metric import Value
from cgm.evaluation.metrics.spectrum import radial_spectrum
from cgm.evaluation.reference import reals_of
from cgm.evaluation.view import Parts, Seen, View
from cgm.experiment.settings import Evaluation

CONFIG = Evaluation(neighbours=3, bins=4, lpips="off")
AT_ONCE = {name: metric for name, metric in METRICS.items() if metric.of_parts is not None}


def scene(count: int, width: int, reals: int, *, repeated: bool = False, seed: int = 0) -> View:
    """``count`` outputs beside ``reals`` reals. ``repeated``: many outputs are alike, some as a real, and so are targets."""
    generator = np.random.default_rng(seed)

    def features(rows: int) -> np.ndarray:
        return np.maximum(generator.normal(0.4, 1, (rows, width)), 0).astype(np.float32) * np.linspace(0.2, 2, width, dtype=np.float32)

    real, targets, images = features(reals), features(count), generator.integers(0, 256, (1, count, 8, 8, 3), dtype=np.uint8)
    outputs = targets + 0.5 * features(count)
    if repeated:
        outputs[: count // 4] = outputs[0]
        outputs[count // 4 : count // 3] = real[0]
        targets[1::3] = targets[0]
        images[0, ::2] = images[0, 0]
    return View(
        samples=images,
        targets=images[0],
        reals=reals_of(real, CONFIG, generator),
        real_images=lambda: images[0],
        conditions=features(count),
        real_conditions=features(reals),
        judge=None,
        config=CONFIG,
        generator=lambda purpose: np.random.default_rng(1),
        look=lambda view: Seen(features=outputs, target_features=targets),
    )


def without(groups: np.ndarray) -> np.ndarray:
    return groups != np.arange(groups.max() + 1)[:, None]


def dealt(count: int, groups: int = 6) -> np.ndarray:
    return without(np.random.default_rng(2).permutation(np.arange(count) % groups))


def most_in_one(count: int, left: int) -> np.ndarray:
    """All but a few images in one group, as where they are crops of one photograph."""
    return without(np.random.default_rng(3).permutation(np.where(np.arange(count) < left, 1, 0)))


CASES = {
    "fewer images than features": (scene(60, 90, 80), dealt(60)),
    "more images than features": (scene(90, 20, 120), dealt(90)),
    "as many images as features": (scene(40, 40, 60), dealt(40)),
    "fewer reals than images": (scene(60, 90, 30), dealt(60)),
    "fewer reals than images, few features": (scene(90, 20, 60), dealt(90)),
    "alike, fewer images than features": (scene(60, 90, 80, repeated=True), dealt(60)),
    "alike, more images than features": (scene(90, 20, 120, repeated=True), dealt(90)),
    "most in one group, fewer images than features": (scene(60, 90, 80), most_in_one(60, 5)),
    "most in one group, more images than features": (scene(90, 20, 120), most_in_one(90, 30)),
    "most in one group, more images than features, few left": (scene(90, 20, 120), most_in_one(90, 5)),
    "groups of one": (scene(12, 20, 30), without(np.arange(12))),
    "two images without the larger group": (scene(60, 90, 80), most_in_one(60, 2)),
    "two alike without the larger group": (scene(60, 90, 80, repeated=True), without((np.arange(60) < 2).astype(int))),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", AT_ONCE)
def test_at_once_as_each_by_itself(name, case):
    parts = Parts(*CASES[case])
    if METRICS[name].value(parts.view).value is None:
        return  # nothing is left out of what has no value
    expected = np.array([METRICS[name].value(part).value for part in parts.each()], dtype=np.float64)  # NaN for None
    found = np.array(METRICS[name].values_of_parts(parts), dtype=np.float64)
    # beyond the centring, what a singular value of 0 comes out as differs with the way there: the root of an eigenvalue's rounding
    tolerance = 1e-8 if METRICS[name].canonical in ("FID", "FJD") and "alike" in case else 1e-9
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=1e-12)


def test_a_metric_that_looks_at_one_part_at_a_time():
    """And one of the parts doesn't meet the needs of another, which then does so too."""
    parts = Parts(scene(60, 90, 80), most_in_one(60, 2))
    mean = replace(METRICS["mae"], needs=(), compute=lambda view: Value(value=float(view.features.mean())))
    expected = [parts.view.features[rows].mean(dtype=np.float64) for rows in parts.kept]
    assert mean.values_of_parts(parts) == pytest.approx(expected, rel=1e-6)
    few, many = METRICS["recall"].values_of_parts(parts)
    assert few is None
    assert many == METRICS["recall"].value(parts.view.only(np.flatnonzero(parts.kept[1]))).value


def test_a_part_sees_its_own_images():
    view = scene(60, 90, 80)
    rows = np.array([3, 1, 50])
    part = view.only(rows)
    assert part.count == 3
    assert np.array_equal(part.outputs, view.outputs[rows])
    assert np.array_equal(part.features, view.features[rows])
    assert np.array_equal(part.target_features, view.target_features[rows])
    assert np.array_equal(part.both_conditions()[0], view.both_conditions()[0][rows])
    assert np.array_equal(part.both_conditions()[1], view.both_conditions()[1])
    assert np.allclose(part.spectrum, radial_spectrum(view.outputs[rows])[1].mean(axis=0))
    assert np.allclose(part.real_spectrum, radial_spectrum(view.targets[rows])[1].mean(axis=0))
