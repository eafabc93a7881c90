"""Outputs of known faults against the metrics that must see them, through the evaluation as a run uses it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from metrics_inputs import TEST, TRAIN, blurred, noisy, prepare

import pipeline.evaluate
import pipeline.reference
from cgm.core.errors import UserError
from cgm.data.listing import write_listing
from cgm.data.prepared import open_prepared
from cgm.evaluation import baselines
from cgm.evaluation.evaluate import distribution_metrics, distribution_scores, evaluate_outputs
from cgm.evaluation.judges import load_judge
from cgm.evaluation.metrics import METRICS
from cgm.evaluation.metrics.ms_ssim import ms_ssim
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.metrics.several import SEVERAL
from cgm.evaluation.metrics.vendi_ratio import vendi
from cgm.evaluation.reference import Reference, build_reference, reals_of
from cgm.experiment.settings import Evaluation
from cgm.networks.fixed import FIXED
from cgm.training.curves import Validator
from pipeline import stage_command

CONFIG = Evaluation(neighbours=5, bins=8, floor_splits=2, lpips="off")
AMBIGUOUS = {name for name, spec in METRICS.items() if SEVERAL in spec.needs}
"""No input of the drawn shapes recurs."""
MISSING = {"intra_diversity", "ms_ssim"} | AMBIGUOUS
MEASURED = set(METRICS) - {"lpips"}
PAIRED = {name for name, spec in METRICS.items() if TARGETS in spec.needs} - {"lpips"}


MARGINAL = {metric.name for metric in distribution_metrics(paired=False)}


@pytest.fixture(scope="module")
def judge():
    return load_judge(CONFIG.judge)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return open_prepared(prepare(tmp_path_factory.mktemp("shapes") / "shapes"))


@pytest.fixture(scope="module")
def reference(prepared, judge):
    return build_reference(prepared, CONFIG, judge)


@pytest.fixture(scope="module")
def score(prepared, reference, judge):
    """outputs N×H×W×3 → metrics."""
    return lambda outputs: evaluate_outputs(outputs[None], prepared, reference, CONFIG, judge)[0]["metrics"]


@pytest.fixture(scope="module")
def perfect(prepared, score):
    return score(np.array(prepared.images("test", "B")))


@pytest.fixture(scope="module")
def target(prepared):
    return np.array(prepared.images("test", "B"))


def test_perfect_outputs(perfect):
    exact = {
        "mae": 0,
        "mse": 0,
        "psnr": 60,
        "ssim": 1,
        "pd": 0,
        "pairgain": 1,
        "retrieval": 1,
        "highfreq_ratio": 1,
        "gradient_ratio": 1,
        "colourfulness_ratio": 1,
        "spectrum_distance": 0,
        "distinct_share": 1,
    }
    assert {name: perfect[name] for name in exact} == pytest.approx(exact, abs=1e-6)
    assert abs(perfect["kid"]) < 0.03
    assert min(perfect["precision"], perfect["recall"], perfect["coverage"]) > 0.7
    assert 0.8 < perfect["vendi_ratio"] < 1.2
    assert perfect["jsd"] < 0.1
    assert perfect["ndb"] <= 0.25
    assert perfect["near_duplicate_share"] < 0.3


def test_every_value_lies_in_its_bounds(score, perfect, target):
    for metrics in (perfect, score(255 - target), score(np.zeros_like(target))):
        for name, value in metrics.items():
            lowest, highest = METRICS[name].bounds
            if value is not None:
                assert lowest is None or value >= lowest - 1e-9, name
                assert highest is None or value <= highest + 1e-9, name


@pytest.mark.parametrize("deviation", [0, 0.05])
def test_collapse_is_seen_with_and_without_noise(score, perfect, target, deviation):
    metrics = score(noisy(np.repeat(target[:1], len(target), axis=0), deviation))
    assert metrics["recall"] < 0.1
    assert metrics["coverage"] < 0.2
    assert metrics["vendi_ratio"] < 0.3
    assert metrics["jsd"] > 0.3
    assert metrics["ndb"] > 0.5
    assert metrics["near_duplicate_share"] > 0.9
    assert metrics["distinct_share"] == (1 if deviation else 1 / len(target))  # which noise defeats
    assert metrics["kid"] > perfect["kid"] + 0.1
    assert abs(metrics["pairgain"]) < 0.05
    assert metrics["retrieval"] < 0.05


def test_an_ignored_condition_is_seen_by_conditioning_alone(score, perfect, target):
    metrics = score(np.roll(target, 7, axis=0))
    for name in MARGINAL:
        assert metrics[name] == pytest.approx(perfect[name], abs=1e-6, rel=1e-6), name
    assert abs(metrics["pairgain"]) < 0.1
    assert metrics["retrieval"] == 0
    assert metrics["fjd"] > 1.2 * perfect["fjd"]
    assert metrics["pd"] > 1


def test_blur_and_noise_are_seen(score, perfect, target):
    blur, noise = score(blurred(target, 1.5)), score(noisy(target, 0.05))
    assert blur["highfreq_ratio"] < 0.1
    assert blur["gradient_ratio"] < 0.8 < perfect["gradient_ratio"] < noise["gradient_ratio"]
    assert blur["spectrum_distance"] > 1
    assert noise["spectrum_distance"] > 0.02
    assert noise["highfreq_ratio"] > 0.9
    for metrics in (blur, noise):
        assert metrics["kid"] > perfect["kid"] + 0.02
        assert metrics["fid"] > perfect["fid"]
        assert metrics["pd"] > 0.5
        assert 0.1 < metrics["pairgain"] < 0.95
        assert metrics["retrieval"] > 0.3
    grey = np.repeat(target.mean(axis=-1, keepdims=True).round().astype(np.uint8), 3, axis=-1)
    assert score(grey)["colourfulness_ratio"] < 0.1


def test_the_batch_does_not_matter(prepared, reference, judge, target, monkeypatch):
    outputs = noisy(target, 0.02)
    once, table = evaluate_outputs(outputs[None], prepared, reference, CONFIG, judge)
    again, same = evaluate_outputs(outputs[None], prepared, reference, CONFIG, judge)
    assert once == again
    assert table.equals(same)
    assert len(judge.features(outputs)) == TEST
    before = judge.features(outputs)
    monkeypatch.setattr("cgm.evaluation.judges.BATCH", 7)
    np.testing.assert_allclose(judge.features(outputs), before, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(judge.look(outputs[:5])[1], judge.embeddings(outputs[:9])[:5], atol=1e-5)


def test_samples(prepared, reference, judge, target, monkeypatch):
    samples = np.stack([noisy(target, 0.03, seed) for seed in range(3)])
    one, _ = evaluate_outputs(samples[:1], prepared, reference, CONFIG, judge)
    three, table = evaluate_outputs(samples, prepared, reference, CONFIG, judge)
    assert one["notes"]["intra_diversity"] == "one output per condition"
    assert three["metrics"]["intra_diversity"] > 0.1
    assert three["n_fake"]["intra_diversity"] == 3 * TEST
    assert {**three["metrics"], "intra_diversity": None} == one["metrics"]
    assert table["intra_diversity"].mean() == pytest.approx(three["metrics"]["intra_diversity"])
    monkeypatch.setattr("cgm.evaluation.metrics.intra_diversity.CONDITIONS", 40)  # neither none nor all, and cut within a block
    fewer, table = evaluate_outputs(samples, prepared, reference, CONFIG, judge)
    assert table["intra_diversity"].notna().sum() == 40
    assert fewer["n_fake"]["intra_diversity"] == 120
    same = np.repeat(target[None], 2, axis=0)
    assert evaluate_outputs(same, prepared, reference, CONFIG, judge)[0]["metrics"]["intra_diversity"] == pytest.approx(0, abs=1e-6)


def test_the_table_stands_in_test_order(prepared, reference, judge, target):
    outputs = target.copy()
    outputs[17] = 255 - outputs[17]
    result, table = evaluate_outputs(outputs[None], prepared, reference, CONFIG, judge)
    assert table["id"].tolist() == prepared.ids("test", "A")
    assert table["mae"].idxmax() == table["pd"].idxmax() == 17
    assert (table["mae"].drop(17) == 0).all()
    for name in ("mae", "mse", "psnr", "ssim", "pd", "retrieval", "precision"):
        assert table[name].mean() == pytest.approx(result["metrics"][name]), name


def test_facts_beside_the_values(prepared, reference, judge, target):
    result, _ = evaluate_outputs(target[None], prepared, reference, CONFIG, judge)
    assert [set(result[key]) for key in ("metrics", "judges", "n_real", "n_fake")] == [MEASURED] * 4
    assert {name for name, value in result["metrics"].items() if value is None} == set(result["notes"]) == MISSING
    assert result["notes"]["ms_ssim"] == "needs images of 161 px or more, found 64"
    assert result["judges"]["kid"] == "efficientnet-lite0"
    assert result["judges"]["mae"] == ""
    assert (result["n_real"]["kid"], result["n_real"]["recall"], result["n_fake"]["kid"]) == (TRAIN, TEST, TEST)
    low, high = result["intervals"]["kid"]
    assert low < result["metrics"]["kid"] < high
    assert result["chance"] == {"retrieval": 1 / TEST}
    assert [len(values) for values in result["spectrum"].values()] == [32, 32, 32]
    assert result["spectrum"]["outputs"] == result["spectrum"]["targets"]
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("hidden", [True, False])
def test_unpaired_data(tmp_path, judge, hidden):
    prepared = open_prepared(prepare(tmp_path / "shapes", paired=False, hidden=hidden))
    reference = build_reference(prepared, CONFIG, judge)
    result, table = evaluate_outputs(np.array(prepared.images("test", "A"))[None], prepared, reference, CONFIG, judge)
    missing = {name for name in PAIRED if result["metrics"][name] is None}
    assert missing == ({"ms_ssim"} | AMBIGUOUS if hidden else PAIRED)
    assert result["notes"]["fjd"] == "the train split holds no pairs"
    # without targets of their own, the outputs' spectrum is compared with the train targets'
    assert (result["spectrum"]["targets"] == reference.spectrum.tolist()) is not hidden
    assert result["n_real"]["spectrum_distance"] == (TEST if hidden else TRAIN)
    assert result["chance"] == ({"retrieval": 1 / TEST} if hidden else {})
    assert "fjd" not in baselines.floor_scores(prepared, reference, CONFIG, judge, 0)
    assert ("mae" in table) is hidden
    assert result["metrics"]["kid"] > 0.05
    if not hidden:
        assert result["notes"]["pairgain"] == "the test set holds no aligned targets"
    names = [name for name, _ in baselines.baselines(prepared)]
    assert names == ["copy_input", "mean_image", *(["target"] if hidden else [])]


def test_too_few_images_leave_reasons(tmp_path, judge):
    prepared = open_prepared(prepare(tmp_path / "shapes", test_size=4))
    config = CONFIG.model_copy(update={"bins": 500})
    reference = build_reference(prepared, config, judge)
    result, _ = evaluate_outputs(np.array(prepared.images("test", "B"))[None], prepared, reference, config, judge)
    assert result["notes"]["recall"] == "needs more than 5 images (evaluation.neighbours), found 4"
    assert result["notes"]["jsd"].startswith("needs 500 different train targets or more")
    assert result["metrics"]["kid"] is not None
    assert result["metrics"]["near_duplicate_share"] is not None
    rows = baselines.reference_rows(prepared, reference, config, judge)
    assert {row["metric"] for row in rows if row["value"] is None} >= {"recall", "ndb", "jsd"}


def test_fewer_train_targets_than_outputs(prepared, reference, judge, target):
    few = reals_of(reference.features[:20], CONFIG, np.random.default_rng(0))
    values = distribution_scores(
        target,
        judge.features(target),
        few,
        CONFIG,
        judge,
        lambda purpose: np.random.default_rng(0),
        real_images=lambda: prepared.images("train", "B")[:20],
    )
    assert values["near_duplicate_share"].note == "needs as many train targets as outputs, found 20 for 60"
    assert values["near_duplicate_share"].columns["nearest_output"].shape == (TEST,)
    assert values["recall"].n_real == 20


def test_one_test_image(tmp_path, judge):
    prepared = open_prepared(prepare(tmp_path / "shapes", test_size=1))
    reference = build_reference(prepared, CONFIG, judge)
    result, _ = evaluate_outputs(np.array(prepared.images("test", "B"))[None], prepared, reference, CONFIG, judge)
    assert result["notes"]["kid"] == "needs 2 outputs or more, found 1"
    assert result["notes"]["fjd"] == result["notes"]["near_duplicate_share"] == result["notes"]["kid"]
    assert result["intervals"] == {}
    assert result["notes"]["pairgain"] == "needs two different test targets or more"
    assert result["metrics"]["mae"] == 0


def test_ms_ssim_where_images_are_large_enough(tmp_path, judge):
    prepared = open_prepared(prepare(tmp_path / "shapes", test_size=6, size=162))
    reference = build_reference(prepared, CONFIG, judge)
    outputs = noisy(np.array(prepared.images("test", "B")), 0.05)
    result, table = evaluate_outputs(outputs[None], prepared, reference, CONFIG, judge)
    assert result["metrics"]["ms_ssim"] == pytest.approx(ms_ssim(outputs, prepared.images("test", "B")).mean())
    assert table["ms_ssim"].between(0.5, 0.999).all()


def test_outputs_in_bgr_are_an_error(prepared, reference, judge, target):
    with pytest.raises(UserError, match=r"outputs: found images that fit .* \(BGR\), expected RGB; .* run the stage 'translate' again"):
        evaluate_outputs(blurred(target, 1)[None, ..., ::-1], prepared, reference, CONFIG, judge)
    # unless they are a baseline's, as where the task is to exchange the channels and the baseline copies the input
    result, _ = evaluate_outputs(target[None, ..., ::-1], prepared, reference, CONFIG, judge, check_channel_order=False)
    assert result["metrics"]["mae"] > 0.01


def test_what_does_not_belong_together_is_an_error(prepared, reference, judge, target):
    for outputs in (target, target[None, :5], target[None].astype(np.float32), target[None, :, :32]):
        with pytest.raises(UserError, match=r"expected uint8 K×60×64×64×3 .*run the stage 'translate' again"):
            evaluate_outputs(outputs, prepared, reference, CONFIG, judge)
    with pytest.raises(UserError, match=r"each sample: found dtype float64 in \[0, 1\].*multiply by 255 and round; then run the stage"):
        evaluate_outputs(target[None] / 255, prepared, reference, CONFIG, judge)
    other = Evaluation(**{**CONFIG.model_dump(), "judges": ["efficientnet-lite1"]})
    with pytest.raises(UserError, match="its judge is efficientnet-lite0, expected efficientnet-lite1"):
        evaluate_outputs(target[None], prepared, reference, other, judge)
    stale = Reference(**{**vars(reference), "data_sha256": "1" * 64})
    with pytest.raises(UserError, match="its data_sha256 is 1111"):
        evaluate_outputs(target[None], prepared, stale, CONFIG, judge)


def test_reference_file(tmp_path, reference):
    paths = [tmp_path / f"{name}.npz" for name in ("one", "two")]
    for path in paths:
        reference.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    loaded = Reference.load(paths[0])
    for name, value in vars(reference).items():
        assert np.array_equal(getattr(loaded, name), value), name
    with pytest.raises(UserError, match=r"none\.npz: not found; run the stage 'reference'"):
        Reference.load(tmp_path / "none.npz")
    paths[1].write_bytes(paths[0].read_bytes()[:1000])
    with pytest.raises(UserError, match="not a reference file"):
        Reference.load(paths[1])


def test_known_targets_change_no_bit(prepared, reference, judge, target, monkeypatch):
    """Whether a dataset's reference keeps what the judge sees in the targets, or an evaluation looks at them anew."""
    outputs = np.roll(target, 1, axis=2)[None]
    found, table = evaluate_outputs(outputs, prepared, reference, CONFIG, judge)
    assert len(reference.target_embeddings) == len(table) > 32
    monkeypatch.setattr("cgm.evaluation.look.KEPT", reference.target_embeddings.nbytes - 1)
    without = build_reference(prepared, CONFIG, judge)
    assert without.known_targets is None
    assert {name for name, value in vars(without).items() if not np.array_equal(value, getattr(reference, name))} == {
        "target_features",
        "target_embeddings",
    }
    anew, same = evaluate_outputs(outputs, prepared, without, CONFIG, judge)
    assert anew == found
    assert same.equals(table)


def test_reference_rows(prepared, reference, judge, perfect, capsys, monkeypatch):
    monkeypatch.setattr("cgm.core.progress.PATIENCE", 0.0)  # as if all took long
    rows = baselines.reference_rows(prepared, reference, CONFIG, judge, label="reference shapes")
    told = capsys.readouterr().err
    floors = re.findall(r"^reference shapes floors \(efficientnet-lite0\): (\d+) of (\d+) parts(, \d+ s left)?$", told, re.MULTILINE)
    assert len(floors) == 5
    assert {total for _, total, _ in floors} == {f"{2 * (1 + len(MARGINAL | {'fjd'}))}"}
    assert all(left for _, _, left in floors[:-1])
    assert floors[-1][0] == floors[-1][1]
    assert "reference shapes nearest_neighbour: 1 of 1 blocks\n" in told
    assert "reference shapes copy_input (efficientnet-lite0): " in told
    value = {(row["method"], row["seed"], row["metric"]): row["value"] for row in rows}
    assert len(value) == len(rows)
    assert {row["metric"] for row in rows if row["method"] == "floor:real"} == MARGINAL | {"fjd"}
    judged = {row["metric"]: row["judge"] for row in rows}
    assert (judged["distinct_share"], judged["fjd"]) == ("", "efficientnet-lite0")
    for split in range(2):
        assert abs(value["floor:real", split, "kid"]) < 0.02
        assert value["floor:real", split, "recall"] > 0.6
        assert value["floor:real", split, "jsd"] < 0.15
        assert value["floor:real", split, "distinct_share"] == 1
        assert value["floor:real", split, "fjd"] < value["baseline:mean_image", 0, "fjd"]
    assert value["floor:real", 0, "kid"] != value["floor:real", 1, "kid"]
    assert value["baseline:mean_image", 0, "vendi_ratio"] < 0.2
    assert value["baseline:copy_input", 0, "colourfulness_ratio"] < 0.1
    assert value["baseline:mean_image", 0, "pairgain"] == pytest.approx(0, abs=0.02)
    assert {name: value["baseline:target", 0, name] for name in MEASURED} == perfect
    # no constant output has a lower mean squared error, other than by the split
    assert value["baseline:mean_image", 0, "mse"] < value["baseline:nearest_neighbour", 0, "mse"]
    json.dumps(rows, allow_nan=False)


def test_baseline_images():
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    assert baselines.nearest_neighbours(images[[4, 2, 9]], images).tolist() == [4, 2, 9]
    assert baselines.nearest_neighbours(images[:1], np.concatenate([images[1:2], images[:1], images[:1]])).tolist() == [1]
    assert np.array_equal(baselines.mean_image(np.stack([images[0], images[0]])), images[0])
    assert baselines.mean_image(np.array([[[[0, 10, 255]]], [[[3, 20, 255]]]], np.uint8)).tolist() == [[[2, 15, 255]]]


def test_validation_metrics(target):
    def validator(targets):
        return Validator(targets, FIXED[CONFIG.judge], torch.device("cpu"))

    metrics = validator(target)(target)
    assert metrics == pytest.approx({"mae": 0, "ssim": 1, "pd": 0, "highfreq_ratio": 1, "vendi_ratio": 1}, abs=1e-9)
    outputs = blurred(target, 1)
    one_by_one = [validator(target[i : i + 1])(outputs[i : i + 1]) for i in range(40)]
    metrics = validator(target[:40])(outputs[:40])
    for name in ("mae", "ssim", "pd"):
        assert metrics[name] == pytest.approx(np.mean([row[name] for row in one_by_one]), rel=1e-4)
    assert metrics["highfreq_ratio"] < 0.1


def count_passes(validator: Validator, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The images of each pass through the judge's network from now on."""
    passes: list[int] = []
    network = validator._judge.network
    forward = network.taps_and_features

    def counted(images, names):
        passes.append(len(images))
        return forward(images, names)

    monkeypatch.setattr(network, "taps_and_features", counted)
    return passes


def test_validation_diversity(target, monkeypatch):
    """The final metric's formula on the judge's features; one pass of the judge, whether or not distances are measured on the way."""
    judge = load_judge(CONFIG.judge)
    outputs = np.concatenate([target[:2]] * 20)
    expected = vendi(judge.features(outputs)) / vendi(judge.features(target[:40]))
    for aligned in (True, False):
        validator = Validator(target[:40], FIXED[CONFIG.judge], torch.device("cpu"), aligned)
        validator(outputs)
        passes = count_passes(validator, monkeypatch)
        metrics = validator(outputs)
        assert passes == [32, 8]
        assert metrics["vendi_ratio"] == pytest.approx(expected, rel=1e-5)
        assert set(metrics) - {"vendi_ratio"} == ({"mae", "ssim", "pd", "highfreq_ratio"} if aligned else set())
    assert expected < 0.7
    # as many targets as outputs, where there are more; and the other way round
    few = Validator(target, FIXED[CONFIG.judge], torch.device("cpu"), aligned=False)(target[:30])
    many = Validator(target[:30], FIXED[CONFIG.judge], torch.device("cpu"), aligned=False)(target)
    assert (few["vendi_ratio"], many["vendi_ratio"]) == pytest.approx((1, 1), rel=1e-4)


def test_stages(tmp_path, monkeypatch, capsys):
    """The two stages through their entry point, twice: the same bytes, and one line where something is missing."""
    monkeypatch.chdir(tmp_path)
    prepare(Path("data/prepared/shapes"), test_size=12)
    Path("data/raw/shapes").mkdir(parents=True)
    write_listing(Path("data/raw/shapes"), [])
    Path("params.yaml").write_text(
        "experiment: test\nseeds: [0]\ncompute: {threads: 1}\nevaluation: {bins: 4, floor_splits: 1, neighbours: 3, lpips: 'off'}\n"
        "datasets:\n  shapes: {source: folder, path: x, kimg: 1.0}\nmethods: {mae: {}}\n",
        encoding="utf-8",
    )

    def reference():
        stage_command.main(pipeline.reference.run, ("dataset",), ["dataset=shapes"])

    def evaluate():
        stage_command.main(pipeline.evaluate.run, ("dataset", "method", "seed"), ["dataset=shapes", "method=mae", "seed=0"])

    with pytest.raises(SystemExit, match="2"):
        evaluate()
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "outputs.npy: not found; run the stages 'train' and 'translate' of shapes/mae/0 first" in message
    reference()
    folder = Path("results/shapes/mae/0")
    folder.mkdir(parents=True)
    np.save(folder / "outputs.npy", np.load("data/prepared/shapes/test/B.npy")[None])
    shown = np.load("data/prepared/shapes/val/B.npy")[:64]
    np.save(folder / "validation.npy", shown)
    (folder / "run.json").write_text('{"status": "diverged"}', encoding="utf-8")
    evaluate()
    result = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (result["dataset"], result["method"], result["seed"], result["status"]) == ("shapes", "mae", 0, "diverged")
    assert result["metrics"]["retrieval"] == 1
    # the validation targets themselves: nearer to them, and more like train targets, than what needs no training
    validation, untrained = result["validation"], json.loads(Path("data/reference/shapes/scores.json").read_text())["validation"]
    assert (validation["n"], validation["pd"]) == (len(shown), 0)
    assert untrained["mean_image"]["pd"] > 0
    assert untrained["copy_input"]["pd"] > 0
    assert validation["kid"] < min(each["kid"] for each in untrained.values())
    assert len((folder / "per_image.csv").read_text(encoding="utf-8").splitlines()) == 13
    written = [
        Path("data/reference/shapes/efficientnet-lite0.npz"),
        Path("data/reference/shapes/efficientnet-lite0.targets.npy"),
        Path("data/reference/shapes/scores.json"),
        *folder.glob("*.json"),
        *folder.glob("*.csv"),
    ]
    before = [path.read_bytes() for path in written]
    reference()
    evaluate()
    assert [path.read_bytes() for path in written] == before
