"""Metrics of inputs with several targets, where mean, median and modes are known."""

import csv
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from cgm.data.prepared import open_prepared
from cgm.evaluation import baselines
from cgm.evaluation.evaluate import evaluate_outputs
from cgm.evaluation.inputs import kept_together, recurring
from cgm.evaluation.judges import load_judge
from cgm.evaluation.look import look
from cgm.evaluation.metrics import METRICS, several
from cgm.evaluation.metrics.modes_found import modes_found
from cgm.evaluation.metrics.several import Answers, chroma
from cgm.evaluation.reference import build_reference
from cgm.evaluation.view import View
from cgm.experiment.settings import Evaluation

CONFIG = Evaluation(neighbours=3, bins=4, floor_splits=1, lpips="off")
COLUMNS = {
    "mean_distance": "mean_rmse",
    "median_distance": "median_rmse",
    "mode_distance": "mode_rmse",
    "modes_found": "mode_found",
    "saturation_lost": "chroma_lost",
}
HERE = {name: METRICS[name] for name in COLUMNS}
COLOURS = np.array([(200, 0, 0), (0, 200, 0), (0, 0, 200)], dtype=np.uint8)
COPIES = (2, 1, 1)
SINGLE = 5
"""Inputs with one target."""
INPUTS = 6
"""Inputs with several, each in all of :data:`COLOURS`, as often as :data:`COPIES` says."""


def dataset(folder, colours=COLOURS, single=SINGLE, inputs=INPUTS, size=32):
    """Discs; those of an input are in one place, filled in one of ``colours``. The rows of an input don't stand together."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    a, b, of = [], [], []
    for number in range(inputs + single):
        centre, radius = generator.uniform(10, 22, 2), generator.uniform(4, 9)
        inside = (np.hypot(x - centre[0], y - centre[1]) < radius)[..., None]
        for colour in [colours[0]] if number >= inputs else [c for c, n in zip(colours, COPIES, strict=True) for _ in range(n)]:
            a.append(np.where(inside, np.uint8(90), np.uint8(255)).repeat(3, -1))
            b.append(np.where(inside, colour, np.uint8(255)))
            of.append(number)
    order = generator.permutation(len(a))
    a, b, of = np.array(a)[order], np.array(b)[order], np.array(of)[order]
    rows = []
    for split in ("train", "val", "test"):
        (folder / split).mkdir(parents=True)
        np.save(folder / split / "A.npy", a)
        np.save(folder / split / "B.npy", b)
        rows += [(split, "AB", index, f"{index:03d}", "") for index in range(len(a))]
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("split", "side", "index", "id", "label"), *rows])
    card = {"dataset": "discs", "source": "folder", "variant": "base", "image_size": size, "paired": True, "hidden_pairs": False,
            "channels": 3, "aligned": ["train", "val", "test"],
            "counts": {split: {"A": len(a), "B": len(a)} for split in ("train", "val", "test")}, "data_sha256": "0" * 64}  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return open_prepared(folder), of


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("several") / "discs")


def central(prepared, of, kind):
    """For each test image the mean or the median of its input's targets, rounded."""
    targets = prepared.rgb("test", "B").astype(np.float64)
    return np.rint([kind(targets[of == number], axis=0) for number in of]).astype(np.uint8)


def viewed(prepared, outputs, inputs=None):
    """Outputs N×H×W×3, or samples of them, as these metrics see them, without any network."""
    return View(
        samples=outputs if outputs.ndim == 5 else outputs[None],
        targets=prepared.rgb("test", "B"),
        inputs=recurring(prepared.rgb("test", "A")) if inputs is None else inputs,
        reals=None,
        real_images=None,
        judge=None,
        config=CONFIG,
        metrics=HERE,
        generator=lambda purpose: np.random.default_rng(0),
        look=look,
    )


def scored(prepared, outputs, inputs=None):
    view = viewed(prepared, outputs, inputs)
    return {name: metric.value(view).value for name, metric in HERE.items()}


class TestKnownAnswers:
    def test_the_mean(self, discs):
        found = scored(discs[0], central(*discs, np.mean))
        assert found["mean_distance"] == pytest.approx(0, abs=0.005)  # rounding to 8 bits
        # the mean is (100, 50, 50), nearest to the first colour; half of the targets have that one
        to_first, to_others = np.sqrt(100**2 + 2 * 50**2), np.sqrt(100**2 + 150**2 + 50**2)
        spread = (to_first + to_others) / 2
        assert found["mode_distance"] == pytest.approx(to_first / spread, abs=0.005)
        # the median is (100, 0, 0): two of four are bright in red
        assert found["median_distance"] == pytest.approx(np.sqrt(2 * 50**2) / spread, abs=0.005)
        assert found["modes_found"] == 0
        assert found["saturation_lost"] == pytest.approx(1 - 50 / 200, abs=0.005)

    def test_the_median(self, discs):
        found = scored(discs[0], central(*discs, np.median))
        assert found["median_distance"] == 0
        assert found["mean_distance"] > 0.4
        assert found["mode_distance"] > 0.4

    def test_the_targets_themselves(self, discs):
        found = scored(discs[0], np.asarray(discs[0].rgb("test", "B")))
        assert [found[name] for name in HERE] == pytest.approx([1, found["median_distance"], 0, 1, 0])

    @pytest.mark.parametrize("which", range(3))
    def test_one_mode(self, discs, which):
        prepared, of = discs
        targets = prepared.rgb("test", "B")
        outputs = np.where(prepared.rgb("test", "A") == 90, COLOURS[which], np.uint8(255))
        view = viewed(prepared, outputs)
        assert HERE["mode_distance"].value(view).value == 0
        value = HERE["modes_found"].value(view)
        assert value.value == COPIES[which] / sum(COPIES)  # by weight
        ambiguous = np.bincount(of)[of] > 1
        own = (targets[ambiguous] == outputs[ambiguous]).all((1, 2, 3))
        assert value.columns["mode_found"][ambiguous].tolist() == own.tolist()

    def test_samples_find_together(self, discs):
        inside = discs[0].rgb("test", "A") == 90
        samples = np.stack([np.where(inside, colour, np.uint8(255)) for colour in COLOURS[:2]])
        assert scored(discs[0], samples)["modes_found"] == 0.75
        assert scored(discs[0], samples[::-1])["modes_found"] == 0.75

    def test_copies_of_an_input_find_together(self, discs):
        prepared, of = discs
        place = np.array([int((of[:row] == number).sum()) for row, number in enumerate(of)]) % 3
        outputs = np.where(prepared.rgb("test", "A") == 90, COLOURS[place][:, None, None], np.uint8(255))
        assert scored(prepared, outputs)["modes_found"] == 1

    def test_the_order_of_the_images_does_not_matter(self, discs):
        prepared, _ = discs
        outputs = np.random.default_rng(1).integers(0, 256, prepared.rgb("test", "B").shape).astype(np.uint8)
        view = viewed(prepared, outputs)
        turned = replace(viewed(prepared, outputs[::-1], view.inputs[::-1]), targets=view.targets[::-1])
        for metric in HERE.values():
            assert metric.value(view).value == pytest.approx(metric.value(turned).value)

    def test_of_one_input_a_bounded_number_is_looked_at(self, discs, monkeypatch):
        monkeypatch.setattr(several, "MOST", 3)
        view = viewed(discs[0], np.asarray(discs[0].rgb("test", "B")))
        assert HERE["mode_distance"].value(view).n_real == 3 * INPUTS
        assert np.isfinite(HERE["modes_found"].value(view).columns["mode_found"]).sum() == 3 * INPUTS


class TestAbsence:
    @pytest.mark.parametrize("settings", [{"inputs": 0, "single": 12}, {"colours": COLOURS[[0, 0, 0]]}])
    def test_no_other_target(self, tmp_path, settings):
        prepared, _ = dataset(tmp_path / "discs", **settings)
        view = viewed(prepared, np.asarray(prepared.rgb("test", "B")))
        for metric in HERE.values():
            assert metric.value(view).note == "no input of the test set has several targets"
        assert view.columns == {}

    def test_grey_targets_have_no_saturation_to_lose(self, tmp_path):
        greys = np.array([(200, 200, 200), (20, 20, 20), (120, 120, 120)], dtype=np.uint8)
        prepared, of = dataset(tmp_path / "discs", colours=greys)
        view = viewed(prepared, central(prepared, of, np.mean))
        assert HERE["saturation_lost"].value(view).note == "the targets are grey"
        assert HERE["mean_distance"].value(view).value == pytest.approx(0, abs=0.01)


def test_in_an_evaluation(discs):
    """Columns, baselines, and each value without a group of images: what the images that are left score alone."""
    prepared, of = discs
    judge = load_judge(CONFIG.judge)
    reference = build_reference(prepared, CONFIG, judge)
    outputs = np.random.default_rng(2).permutation(central(prepared, of, np.median))
    result, table = evaluate_outputs(outputs[None], prepared, reference, CONFIG, judge)
    alone = np.bincount(of)[of] == 1
    for name in HERE:
        assert table[COLUMNS[name]].isna().tolist() == alone.tolist()
        assert result["n_real"][name] == len(of) - SINGLE
    for number in range(int(reference.groups.max()) + 1):
        kept = reference.groups != number
        assert not set(of[kept]) & set(of[~kept])  # no input has images in two groups
        view = replace(viewed(prepared, outputs[kept], recurring(prepared.rgb("test", "A")[kept])), targets=prepared.rgb("test", "B")[kept])
        for name, metric in HERE.items():
            assert result["left_out"][name][number] == pytest.approx(metric.value(view).value)
    rows = {(row["method"], row["metric"]): row["value"] for row in baselines.reference_rows(prepared, reference, CONFIG, judge)}
    assert rows["baseline:target", "modes_found"] == 1
    assert rows["baseline:target", "mode_distance"] == 0
    assert rows["baseline:copy_input", "modes_found"] == 0
    assert ("floor:real", "mode_distance") not in rows
    unknown = build_reference(prepared, CONFIG, judge, inputs_known=False)
    assert unknown.inputs.tolist() == list(range(len(of)))


def test_what_is_plausible_is_found_once_an_input(discs, monkeypatch):
    """For all metrics and blocks; and beyond the memory that may be kept, anew, with the same values."""
    prepared, of = discs
    outputs, calls = central(prepared, of, np.median), []
    usual = Answers.of.__func__
    monkeypatch.setattr(Answers, "of", classmethod(lambda cls, targets: calls.append(len(targets)) or usual(cls, targets)))
    found = []
    for kept in (several.KEPT, 0):
        monkeypatch.setattr(several, "KEPT", kept)
        calls.clear()
        view = viewed(prepared, outputs)
        found.append({name: metric.value(view).value for name, metric in HERE.items()})
        assert (len(calls) == INPUTS) == (kept > 0)
    assert found[0] == found[1]


class TestAnswers:
    def test_modes_are_the_different_targets_in_order(self):
        targets = np.random.default_rng(1).integers(0, 2, (40, 2, 2, 1), dtype=np.uint8)
        answers = Answers.of(targets)
        expected, places = np.unique(targets.reshape(40, -1), axis=0, return_inverse=True)
        assert np.array_equal(answers.modes * 255, expected)
        assert np.array_equal(answers.mode_of, places.reshape(-1))

    def test_an_even_number_of_targets(self):
        targets = np.array([10, 20, 40, 90], dtype=np.uint8)[:, None, None, None]
        answers = Answers.of(targets)
        assert answers.median * 255 == pytest.approx(30)
        assert answers.mean * 255 == pytest.approx(40)
        assert answers.spread * 255 == pytest.approx((30 + 20 + 0 + 50) / 4)

    def test_an_error_beside_the_choice_changes_no_mode_found(self):
        targets = np.zeros((3, 1, 30, 1), dtype=np.uint8)
        targets[:, 0, :3, 0] = 255 * np.eye(3, dtype=np.uint8)
        answers = Answers.of(targets)
        for mode, wrong in itertools.product(answers.modes, (0.0, 1.0)):
            output = mode.copy()
            output[3:] = wrong
            assert modes_found(output[None], answers).tolist() == (answers.modes == mode).all(1).tolist()

    @pytest.mark.parametrize("share", [0.4, 0.6])
    def test_past_the_middle_between_mean_and_mode(self, share):
        answers = Answers.of(np.array([[0, 0], [200, 0], [0, 200]], dtype=np.uint8).reshape(3, 1, 2, 1))
        output = (1 - share) * answers.mean + share * answers.modes[1]
        assert modes_found(output[None], answers).any() == (share > 0.5)

    def test_chroma_is_convex(self):
        pictures = np.random.default_rng(0).uniform(size=(5, 60))
        assert chroma(pictures.mean(0)) <= chroma(pictures).mean()
        assert chroma(np.full((1, 60), 0.3)) == 0


class TestInputs:
    def test_recurring(self):
        images = np.array([3, 1, 3, 2, 1], dtype=np.uint8)[:, None, None, None]
        assert recurring(images).tolist() == [0, 1, 0, 2, 1]

    def test_kept_together(self):
        assert kept_together(["b", "a", "c", "d"], np.array([0, 1, 0, 2])) == ["b", "a", "b", "d"]
        assert kept_together(["b", "a", "b", "d"], np.array([0, 1, 1, 2])) == ["a", "a", "a", "d"]
        assert len(set(kept_together(None, np.array([0, 1, 0])))) == 2

    def test_labels_of_inputs_that_do_not_recur_stay_as_they_are(self):
        labels = ["x", "a", "x", "q"]
        assert kept_together(labels, np.arange(4)) == labels
