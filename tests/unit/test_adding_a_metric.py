"""A new metric is one file and one line in the list: it comes out in ``metrics.json``, ``per_image.csv`` and the floors."""

import dataclasses
import sys

import numpy as np
import pytest
from metrics_inputs import TEST, TRAIN, prepare

from cgm.data.prepared import open_prepared
from cgm.evaluation import baselines
from cgm.evaluation.evaluate import evaluate_outputs
from cgm.evaluation.judges import load_judge
from cgm.evaluation.metrics import METRICS
from cgm.evaluation.reference import build_reference
from cgm.experiment.settings import Evaluation

CONFIG = Evaluation(neighbours=5, bins=8, floor_splits=1, lpips="off")
FILE = '''
"""Brightness, as a network of its own sees it."""

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import TARGETS, Need

looked = []


def network(images):
    looked.append(len(images))
    return images.mean(axis=(1, 2, 3))


def of_outputs(view):
    return network(view.outputs)


def of_reals(view):
    return network(view.real_images())


def shift(view):
    value = abs(view.once(of_outputs).mean() - view.once(of_reals).mean())
    return Value(value=float(value), n_real=len(view.reals.features), n_fake=view.count)


def spread(view):
    value = view.once(of_outputs).std() / view.once(of_reals).std()
    return Value(value=float(value), n_real=len(view.reals.features), n_fake=view.count)


def per_image(block):
    return np.abs(network(block.outputs) - network(block.targets))


def flash(view):
    return Value(value=float(view.columns["flash"].mean()), n_real=view.count, n_fake=view.count)


def eclipse(view):
    return "needs an eclipse, found none"


def never(view):
    raise AssertionError("computed, though its need isn't met")


EYE = {"group": "distribution", "direction": "lower", "network": "eye-1"}
SHIFT = Metric(name="shift", about=About(title="shift"), compute=shift, **EYE)
SPREAD = Metric(name="spread", about=About(title="spread"), compute=spread, **EYE)
FLASH = Metric(
    name="flash", about=About(title="flash"), group="paired", direction="lower", needs=(TARGETS,), per_image=per_image, compute=flash
)
TOTALITY = Metric(name="totality", about=About(title="totality"), needs=(Need("eclipse", eclipse),), compute=never, **EYE)
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The file, and its lines at the end of the list."""
    (tmp_path / "toy_metric.py").write_text(FILE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("shift", "spread", "flash", "totality"):
        monkeypatch.setitem(METRICS._entries, name, f"toy_metric:{name.upper()}")
    yield lambda: sys.modules["toy_metric"]
    sys.modules.pop("toy_metric", None)


@pytest.fixture(scope="module")
def judge():
    return load_judge(CONFIG.judge)


def test_it_comes_out_everywhere(toy, tmp_path, judge):
    prepared = open_prepared(prepare(tmp_path / "shapes"))
    reference = build_reference(prepared, CONFIG, judge)
    target, train = np.array(prepared.images("test", "B")), np.array(prepared.images("train", "B"))
    outputs = target // 2
    result, table = evaluate_outputs(outputs[None], prepared, reference, CONFIG, judge)
    assert result["metrics"]["shift"] == pytest.approx(abs(outputs.mean() - train.mean()))
    assert result["metrics"]["spread"] == pytest.approx(outputs.mean(axis=(1, 2, 3)).std() / train.mean(axis=(1, 2, 3)).std())
    assert (result["n_real"]["shift"], result["n_fake"]["shift"]) == (TRAIN, TEST)
    assert (result["judges"]["shift"], result["judges"]["flash"]) == ("eye-1", "")
    # one look at the outputs and one at the reals serve both metrics; the blocks of the third are of 32 images or a few fewer
    looked = toy().looked
    assert sorted(looked)[-2:] == [TEST, TRAIN]
    assert max(sorted(looked)[:-2]) <= 32
    assert sum(looked) == TEST + TRAIN + 2 * TEST
    np.testing.assert_allclose(table["flash"], np.abs(outputs.mean(axis=(1, 2, 3)) - target.mean(axis=(1, 2, 3))))
    assert [*table][-2:] == ["nearest_output", "flash"]
    assert result["metrics"]["flash"] == pytest.approx(table["flash"].mean())
    rows = {(row["method"], row["metric"]): row for row in baselines.reference_rows(prepared, reference, CONFIG, judge)}
    assert 0 < rows["floor:real", "shift"]["value"] < result["metrics"]["shift"]
    assert rows["floor:real", "spread"]["judge"] == "eye-1"
    assert rows["floor:real", "spread"]["n_real"] == TRAIN - TEST
    assert ("floor:real", "flash") not in rows  # compares with targets
    assert rows["floor:real", "totality"]["value"] is None
    assert rows["baseline:target", "flash"]["value"] == 0


def test_its_absence_has_its_own_reason(toy, tmp_path, judge):
    prepared = open_prepared(prepare(tmp_path / "shapes", paired=False, test_size=8))
    reference = build_reference(prepared, CONFIG, judge)
    result, table = evaluate_outputs(np.array(prepared.images("test", "A"))[None], prepared, reference, CONFIG, judge)
    assert result["metrics"]["totality"] is result["metrics"]["flash"] is None
    assert result["notes"]["totality"] == "needs an eclipse, found none"
    assert result["notes"]["flash"] == "the test set holds no aligned targets"
    assert result["metrics"]["shift"] is not None
    assert "flash" not in table


def test_a_metric_that_asks_for_what_it_does_not_say_it_needs(toy, tmp_path, judge, monkeypatch):
    prepared = open_prepared(prepare(tmp_path / "shapes", paired=False, test_size=8))
    reference = build_reference(prepared, CONFIG, judge)
    careless = dataclasses.replace(METRICS["flash"], needs=())
    monkeypatch.setattr(toy(), "FLASH", careless)
    with pytest.raises(ValueError, match="targets: there is none in this evaluation; expected a metric that asks for it to need TARGETS"):
        evaluate_outputs(np.array(prepared.images("test", "A"))[None], prepared, reference, CONFIG, judge)
