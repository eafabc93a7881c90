"""Verdicts on made-up results whose effects are known, and the claims file's mistakes."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_inputs import make_params, write_inputs, write_json

from benchmarks.study.verdicts import BOUNDARY, doubled, nulls, simulate
from cgm.claims.effect import exact, of_samples, of_shares, of_spreads
from cgm.claims.ledger import Ledger, load_ledger, parse_claims
from cgm.claims.verdict import ALPHA, Evidence, Looked, Verdict, judge, settle
from cgm.core.errors import UserError
from cgm.evaluation import filters
from cgm.evaluation.stats import holm
from cgm.evaluation.uncertainty import difference
from cgm.experiment.reading import load_params
from cgm.report.build import build
from cgm.report.figures import FIGURES
from cgm.report.quantities import QUANTITIES
from cgm.report.results import collect
from cgm.report.source_facts import all_lines
from cgm.report.verdicts import mistakes, verdicts

ROOT = Path(__file__).parents[2]
WORDS = {"sentence": "A claim.", "source": "a lecture", "control": "none", "caveat": "none"}
TEST = {
    "metric": "mae",
    "arm": "pix2pix",
    "against": {"arm": "mae"},
    "expect": "lower",
    "delta": 0.01,
    "because": "one grey level in a hundred",
}
GROUPS = 20
Values = Callable[[str, str, int], float | None]


def entry(*tests: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"id": "a-claim", **WORDS, "datasets": "paired", "tests": [{**TEST, **test} for test in tests or ({},)], **others}


def ledger(*entries: dict[str, Any]) -> Ledger:
    return Ledger(parse_claims({"claims": list(entries)}))


def written(root: Path, values: Values, *, seeds: int = 5, metric: str = "mae", datasets: int = 1, noise: float = 1e-4, **how: Any) -> Any:
    """Results in which ``metric`` of a dataset's method and seed is what ``values`` says, give or take ``noise``; None: there is no value.

    Left out of it, each group of test images moves it a little.
    """
    params = make_params(list(range(seeds)))
    if datasets == 2:
        both = {**params.datasets, "icons_b": params.datasets["icons_a"]}
        params = params.model_copy(update={"datasets": both})
    write_inputs(root, params, **how)
    generator = np.random.default_rng(0)
    for run in params.runs():
        path = root / "results" / run.dataset / run.method / str(run.seed) / "metrics.json"
        if not path.exists():
            continue
        scores = json.loads(path.read_text())
        value = values(run.dataset, run.method, run.seed)
        left_out = {} if value is None else {metric: [value + noise * float(x) for x in generator.standard_normal(GROUPS)]}
        scores["metrics"][metric] = value
        write_json(path, {**scores, "left_out": left_out, "group_sizes": [1] * GROUPS, "chance": {"retrieval": 0.1}})
    return collect(params, root)


def steady(step: float = 0.001, **by_method: float) -> Values:
    """Of five seeds, exactly so on average; they lie up to two steps off, each method's in an order of its own."""
    return lambda _, method, seed: by_method.get(method, 0.5) + step * ((2 * seed + len(method)) % 5 - 2)


def one(results: Any, *entries: dict[str, Any]) -> Verdict:
    return verdicts(results, ledger(*(entries or (entry(),))))[0]


@pytest.mark.parametrize(
    ("pix2pix", "expect", "kind"),
    [
        (0.40, "lower", "SUPPORTED"),
        (0.60, "lower", "CONTRADICTED"),
        (0.60, "higher", "SUPPORTED"),
        (0.502, "lower", "NO MATERIAL DIFFERENCE"),
        (0.502, "same", "SUPPORTED"),
        (0.60, "same", "CONTRADICTED"),
        (0.40, "same", "CONTRADICTED"),
        (0.51, "higher", "INCONCLUSIVE"),
        (0.49, "lower", "INCONCLUSIVE"),
        (0.51, "same", "INCONCLUSIVE"),
    ],
)
def test_a_known_effect_has_its_verdict(tmp_path, pix2pix, expect, kind):
    verdict = one(written(tmp_path, steady(mae=0.5, pix2pix=pix2pix)), entry({"expect": expect}))
    assert verdict.kind == kind
    finding = verdict.findings[0]
    assert finding.estimate.mean == pytest.approx(pix2pix - 0.5, abs=0.002)
    assert (finding.estimate.n_seeds, finding.estimate.over) == (5, "seeds and images")
    assert "MAE, Pix2Pix − MAE regression" in verdict.reason
    assert ("main results", "#main-icons_a") in finding.links


def test_the_interval_is_the_tables(tmp_path):
    results = written(tmp_path, steady(mae=0.5, pix2pix=0.4))
    dataset = results.datasets[0]
    pairs = [{run.seed: run.measured("mae") for run in dataset.runs[method]} for method in ("pix2pix", "mae")]
    expected = difference(*pairs, dataset.group_sizes, "lower")
    found = one(results).findings[0].estimate
    assert (found.mean, found.half_width) == (expected.mean, expected.half_width)
    alone = one(results, entry({"against": {"value": 0.0}})).findings[0].estimate
    plain = dataset.estimate("pix2pix", "mae")
    assert (alone.mean, alone.half_width) == pytest.approx((plain.mean, plain.half_width))


def test_equal_values_make_no_difference(tmp_path):
    verdict = one(written(tmp_path, lambda *_: 0.5, noise=0.0))
    assert (verdict.kind, verdict.findings[0].estimate.half_width, verdict.p) == ("NO MATERIAL DIFFERENCE", 0.0, 0.0)


def test_an_interval_that_crosses_delta_is_inconclusive_even_where_the_mean_is_beyond(tmp_path):
    wide = written(tmp_path, lambda _, method, seed: 0.5 if method == "mae" else 0.45 + 0.04 * (seed - 2))
    verdict = one(wide)
    assert verdict.kind == "INCONCLUSIVE"
    assert verdict.findings[0].estimate.mean == pytest.approx(-0.05)
    assert "across δ = 0.01" in verdict.reason


def test_one_seed_is_no_test(tmp_path):
    verdict = one(written(tmp_path, steady(mae=0.5, pix2pix=0.1), seeds=1))
    assert (verdict.kind, verdict.p) == ("NOT TESTED", None)
    assert "1 seed with values, 3 needed" in verdict.reason


def test_a_diverged_run_is_said_and_counts_as_missing(tmp_path):
    values, gone = steady(mae=0.5, pix2pix=0.3), tuple(f"icons_a/pix2pix/{seed}" for seed in (1, 4))
    verdict = one(written(tmp_path / "a", values, diverged=gone))
    assert verdict.kind == "SUPPORTED"
    assert verdict.findings[0].estimate.n_seeds == 3
    assert "Pix2Pix: 2 seeds diverged, left out" in verdict.reason
    verdict = one(written(tmp_path / "b", values, diverged=(*gone, "icons_a/pix2pix/0"), missing=("icons_a/mae/3",)))
    assert verdict.kind == "NOT TESTED"
    assert "1 seed with values, 3 needed (Pix2Pix: 3 seeds diverged; MAE regression: 1 seed missing)" in verdict.reason


def test_datasets_that_contradict_one_another_are_inconclusive_and_each_is_told(tmp_path):
    apart = {"icons_a": 0.3, "icons_b": 0.7}
    verdict = one(written(tmp_path, lambda dataset, *run: steady(mae=0.5, pix2pix=apart[dataset])(dataset, *run), datasets=2))
    assert (verdict.kind, verdict.p) == ("INCONCLUSIVE", None)
    assert [finding.kind for finding in verdict.findings] == ["SUPPORTED", "CONTRADICTED"]
    assert verdict.reason.startswith("Supported on icons_a: ")
    assert "; contradicted on icons_b: " in verdict.reason


def test_datasets_that_agree_have_the_larger_p(tmp_path):
    apart = {"icons_a": 0.3, "icons_b": 0.47}
    verdict = one(written(tmp_path, lambda dataset, *run: steady(mae=0.5, pix2pix=apart[dataset])(dataset, *run), datasets=2))
    assert verdict.kind == "SUPPORTED"
    assert verdict.p == max(finding.p for finding in verdict.findings) > min(finding.p for finding in verdict.findings)


def test_all_tests_of_a_claim_have_to_hold(tmp_path):
    results = written(tmp_path, steady(mae=0.5, pix2pix=0.3))
    assert one(results, entry({}, {"arm": "mae", "against": {"value": 0.4}, "expect": "higher"})).kind == "SUPPORTED"
    failing = one(results, entry({}, {"arm": "mae", "against": {"value": 0.6}, "expect": "higher"}))
    assert failing.kind == "CONTRADICTED"
    assert [outcome.kind for outcome in failing.findings[0].outcomes] == ["SUPPORTED", "CONTRADICTED"]
    assert failing.findings[0].p == pytest.approx(2 * failing.findings[0].outcomes[1].p)  # one of two might have failed by chance
    assert one(results, entry({}, {"arm": "mae", "against": {"value": 0.5}})).kind == "NO MATERIAL DIFFERENCE"
    assert one(results, entry({}, {"metric": "lpips"})).kind == "NOT TESTED"


@pytest.mark.parametrize(
    ("test", "others", "reason"),
    [
        ({"arm": "cgan"}, {}, "no entry 'cgan' among the methods"),
        ({"against": {"arm": "cgan"}}, {}, "no entry 'cgan' among the methods"),
        ({"metric": "maee"}, {}, "nothing measures 'maee'; did you mean 'mae'?"),
        ({"metric": "lpips"}, {}, "0 seeds with values, 3 needed (the weights of alexnet_100% are not at hand)"),
        ({}, {"datasets": "manifold"}, "On manifold: experiment “default” has no such data"),
        ({}, {"datasets": "unpaired"}, "On unpaired: experiment “default” has no such data"),
        ({}, {"min_seeds": 6}, "5 seeds with values, 6 needed"),
        ({"against": {"row": "chance"}}, {}, "no chance level of mae is known"),
        ({"metric": "retrieval", "against": {"row": "floor:real"}}, {}, "real vs real (floor) has no retrieval"),
        ({"metric": "spread:mae", "against": {"value": 1.0}}, {}, "is compared as a ratio between two arms"),
    ],
)
def test_what_is_not_there_is_not_tested_and_the_reason_is_given(tmp_path, test, others, reason):
    verdict = one(written(tmp_path, steady()), entry(test, **others))
    assert (verdict.kind, verdict.p) == ("NOT TESTED", None)
    assert reason in verdict.reason


def test_rows_of_the_reference_and_other_metrics_stand_on_the_other_side(tmp_path):
    results = written(tmp_path, steady(mae=0.3), metric="retrieval")
    baseline = next(row["value"] for row in results.datasets[0].baselines[0].rows if row["metric"] == "retrieval")
    for against, number in (({"row": "chance"}, 0.1), ({"row": "baseline:copy_input"}, baseline), ({"metric": "ssim"}, 0.816)):
        effect = one(results, entry({"metric": "retrieval", "arm": "mae", "against": against})).findings[0].estimate
        assert effect.mean == pytest.approx(0.3 - number, abs=0.002)


def test_nearer_is_of_the_distance_to_the_target(tmp_path):
    results = written(tmp_path, steady(mae=0.5, pix2pix=1.2), metric="highfreq_ratio")
    verdict = one(results, entry({"metric": "highfreq_ratio", "expect": "nearer", "delta": 0.1}))
    assert verdict.kind == "SUPPORTED"
    assert verdict.findings[0].estimate.mean == pytest.approx(0.2 - 0.5, abs=0.002)


def test_ratios_are_of_logarithms(tmp_path):
    results = written(tmp_path, steady(mae=0.5, pix2pix=1.0))
    verdict = one(results, entry({"contrast": "ratio", "expect": "higher", "delta": 0.5}))
    assert verdict.kind == "SUPPORTED"
    assert verdict.findings[0].estimate.mean == pytest.approx(math.log(2), abs=0.005)
    assert verdict.findings[0].outcomes[0].delta == pytest.approx(math.log(1.5))
    assert "×2.0" in verdict.reason
    assert one(written(tmp_path / "b", steady(mae=-0.5)), entry({"contrast": "ratio"})).kind == "NOT TESTED"


def test_competence_is_said_or_asked_for(tmp_path):
    root, values = tmp_path, steady(mae=0.5, pix2pix=0.3)
    results = written(root, values)
    path = root / "data/reference/icons_a/scores.json"
    untrained = {"mean_image": {"kid": 1.0, "pd": 2.0}, "copy_input": {"kid": 0.5, "pd": 1.0}}
    write_json(path, {**json.loads(path.read_text()), "validation": untrained})
    for run in results.params.runs():
        scores = root / "results" / run.dataset / run.method / str(run.seed) / "metrics.json"
        kid = 0.9 if run.method == "pix2pix" else 0.1
        write_json(scores, {**json.loads(scores.read_text()), "validation": {"kid": kid, "pd": 0.5, "n": 2}})
    results = collect(results.params, root)
    said, refused = one(results), one(results, entry(competent=True))
    assert said.kind == "SUPPORTED"
    assert "(not trained to competence: Pix2Pix)" in said.reason
    assert refused.kind == "NOT TESTED"
    assert "Pix2Pix was not trained to competence (" in refused.reason


def test_quantities_of_runs(tmp_path):
    results = written(tmp_path, steady(), diverged=("icons_a/pix2pix/1",))
    dataset = results.datasets[0]
    found = {name: quantity.of(dataset, dataset.runs["pix2pix"][0]) for name, quantity in QUANTITIES.items()}
    assert found["seconds_per_kimg"] == 12.5
    assert found["peak_memory"] == pytest.approx(123456789 / 2**20)
    assert (found["networks"], found["pretrained"], found["diverged"]) == (2, 0, 0)
    assert found["trained_parameters"] == pytest.approx(0.00101)
    assert found["lines_of_code"] == all_lines("pix2pix") > all_lines("mae") > 5
    assert found["gradient_g_peak"] == pytest.approx(4)
    assert found["gradient_g_end"] == pytest.approx(1)
    assert found["accuracy_d_end"] == pytest.approx(0.75)
    assert found["kimg_to_final"] is not None
    by_construction = one(results, entry({"metric": "networks", "expect": "higher", "delta": 0.5}))
    assert (by_construction.kind, by_construction.p) == ("SUPPORTED", None)
    assert by_construction.reason.endswith("so by construction, without chance.")
    diverged = one(results, entry({"metric": "diverged", "expect": "higher", "delta": 0.1}))
    assert diverged.kind == "INCONCLUSIVE"
    assert diverged.findings[0].estimate.mean == pytest.approx(2 / 7 - 1 / 7)  # Agresti & Caffo


def test_spreads_are_compared_by_f(tmp_path):
    steps = (0.0, 0.02, -0.01, 0.03, -0.02)
    results = written(tmp_path, lambda _, method, seed: 0.5 * math.exp((4 if method == "pix2pix" else 1) * steps[seed]))
    verdict = one(results, entry({"metric": "spread:mae", "contrast": "ratio", "expect": "higher", "delta": 0.5}))
    assert verdict.findings[0].estimate.mean == pytest.approx(math.log(4))
    assert verdict.findings[0].p is None
    assert verdict.kind == "INCONCLUSIVE"  # four times as much, of five


def test_claims_about_networks_look_at_their_first_layers(tmp_path):
    generator = np.random.default_rng(0)
    wave = np.sin(np.arange(7) * np.pi / 2)  # a grating: as oriented as can be, and grey
    gratings = wave[None, None, None, :] * np.ones((40, 3, 7, 1)) + 0.01 * generator.standard_normal((40, 3, 7, 7))
    network = {"datasets": "networks", "id": "edges"}
    trained = {"metric": "orientation_selectivity", "arm": "first_layer", "against": {"arm": "random_first_layer"}, "delta": 0.1}
    params = make_params([0])
    write_inputs(tmp_path, params)
    before = verdicts(collect(params, tmp_path), ledger(entry(trained, **network)))[0]
    assert (before.kind, before.reason) == ("NOT TESTED", "On networks: experiment “default” has no such data.")
    filters.save(tmp_path / "data/filters.npz", {"vgg16": gratings.astype(np.float32)})
    results = collect(params, tmp_path)
    shares = {"metric": "selective", "arm": "first_layer", "against": {"value": 0.5}, "delta": 0.05}
    for test in (trained, shares, {**shares, "metric": "orientation_selective", "against": {"arm": "random_first_layer"}}):
        verdict = verdicts(results, ledger(entry({**test, "expect": "higher"}, **network)))[0]
        assert (verdict.kind, verdict.findings[0].dataset, verdict.findings[0].estimate.over) == ("SUPPORTED", "vgg16", "filters")
    grey = {"metric": "chroma_share", "arm": "first_layer", "against": {"value": 0.67}, "delta": 0.1}
    assert verdicts(results, ledger(entry({**grey, "expect": "higher"}, **network)))[0].kind == "CONTRADICTED"
    for wrong, reason in (({"metric": "mae"}, "nothing measures 'mae' of filters"), ({"arm": "mae"}, "first_layer is compared with")):
        assert reason in verdicts(results, ledger(entry({**shares, **wrong}, **network)))[0].reason


# effects


def test_welch_s_p_is_uniform():
    generator = np.random.default_rng(2)
    found = [of_samples(generator.standard_normal(8), 3 * generator.standard_normal(20), "filters") for _ in range(1000)]
    assert 30 <= sum(effect.p_of(0.0) < 0.05 for effect in found) <= 72
    assert all((abs(effect.mean) < effect.half_width) == (effect.p_of(0.0) > 0.05) for effect in found)
    with pytest.raises(ValueError, match="no variation"):
        of_samples(np.ones(3), np.ones(4), "filters")


def test_shares_never_are_sure_of_none_in_three():
    effect = of_shares([False] * 3, [False] * 3)
    assert effect.mean == 0
    assert effect.half_width > 0.4
    assert effect.region(0.1)[1] > ALPHA
    assert of_shares([True] * 300, [False] * 300).region(0.1)[1] < 1e-6
    assert of_shares([True] * 5, 0.5).mean == pytest.approx(7 / 9 - 0.5)


def test_spreads_have_the_f_test_s_p():
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        a, b = np.exp(generator.standard_normal((2, 4)))
        hits += of_spreads(list(a), list(b)).p_of(0.0) < 0.05
    assert 60 <= hits <= 145
    with pytest.raises(ValueError, match="positive"):
        of_spreads([0.0, 1.0], [1.0, 2.0])


def test_what_chance_has_no_part_in_has_no_p():
    assert exact(2.0, 3).region(0.5) == ("above", None)
    assert settle("higher", "above", None) == "SUPPORTED"


def test_a_verdict_is_adjusted_over_all_claims_by_holm(tmp_path):
    results = written(tmp_path, steady(0.005, mae=0.5, pix2pix=0.475))
    alone = one(results)
    assert alone.kind == "SUPPORTED"
    hopeless = [entry({"against": {"arm": "pix2pix_l10"}, "delta": 0.0249}, id=f"other-{place}") for place in range(40)]
    many = verdicts(results, ledger(entry(), *hopeless))
    assert (many[0].kind, many[0].unadjusted) == ("INCONCLUSIVE", "SUPPORTED")
    assert many[0].p == pytest.approx(holm([alone.p] + [1.0] * 40)[0])
    assert "supported by itself, but not after adjustment for 41 claims" in many[0].reason


def test_claims_that_nothing_tests_make_no_other_harder(tmp_path):
    results = written(tmp_path, steady(mae=0.5, pix2pix=0.3))
    others = [entry({"metric": "lpips"}, id="untested"), entry({"metric": "networks"}, id="built")]
    assert verdicts(results, ledger(entry(), *others))[0].p == one(results).p


# simulated benchmarks


@pytest.mark.parametrize("dominates", ["seeds", "images"])
def test_false_verdicts_are_as_rare_as_promised(dominates):
    count, truth = 200, nulls()
    wrong = sum(truth.wrong(found) for found in simulate(truth, dominates, 3, BOUNDARY, count))
    assert wrong <= 18, "more than 5% of 200, and than 99% of what 5% would give"


@pytest.mark.parametrize(("seeds", "low", "high"), [(3, 0.2, 1.0), (5, 0.9, 1.0)])
def test_effects_of_twice_delta_are_found_by_enough_seeds(seeds, low, high):
    truth = doubled()
    found = [verdict for those in simulate(truth, "images", seeds, 10.0, 20) for verdict in those]
    assert not any(verdict.kind == "CONTRADICTED" for verdict in found)
    assert low <= np.mean([verdict.kind == "SUPPORTED" for verdict in found]) <= high


def test_the_simulation_knows_wrong_from_right():
    truth = doubled()
    right = next(simulate(truth, "images", 10, 20.0, 1))
    assert not truth.wrong(right)
    assert nulls().wrong(right)


def test_an_effect_on_delta_itself_is_of_no_region():
    claim, on_it = parse_claims({"claims": [entry()]})[0], Evidence(effect=exact(-0.01, 3), delta=0.01)
    assert judge([(claim, [Looked(dataset="a", evidence=(on_it,))])])[0].kind == "NO MATERIAL DIFFERENCE"


# the file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.update(sentense="x"), "c.yaml: a-claim: sentense: unknown key; did you mean 'sentence'?"),
        (lambda raw: raw["tests"][0].update(metrc="x"), "c.yaml: a-claim: tests.0.metrc: unknown key; did you mean 'metric'?"),
        (
            lambda raw: raw["tests"][0]["against"].update(vale=1.0),
            "c.yaml: a-claim: tests.0.against.vale: unknown key; did you mean 'value'?",
        ),
        (lambda raw: raw["tests"][0].pop("delta"), "c.yaml: a-claim: tests.0.delta: missing; expected a value"),
        (lambda raw: raw["tests"][0].update(delta=0.0), "c.yaml: a-claim: tests.0.delta: found 0.0; input should be greater than 0"),
        (lambda raw: raw["tests"][0].update(against={}), "c.yaml: a-claim: tests.0.against: found nothing, expected one of arm, metric"),
        (lambda raw: raw["tests"][0].update(against={"arm": "a", "value": 1.0}), "found arm and value, expected one of"),
        (lambda raw: raw["tests"][0].update(against={"row": "copy_input"}), "c.yaml: a-claim: tests.0.against.row: found 'copy_input'"),
        (lambda raw: raw["tests"][0].update(expect="more"), "c.yaml: a-claim: tests.0.expect: found 'more'"),
        (lambda raw: raw.update(min_seeds=1), "c.yaml: a-claim: min_seeds: found 1; input should be greater than or equal to 2"),
        (lambda raw: raw.update(tests=[]), "c.yaml: a-claim: tests: found []"),
        (lambda raw: raw["tests"][0].update(delta=1e200), "c.yaml: a-claim: tests.0.delta: found 1e+200; input should be less than"),
        (lambda raw: raw["tests"][0].update(against={"value": -1e200}), "c.yaml: a-claim: tests.0.against.value: found -1e+200"),
        (lambda raw: raw["tests"][0].update(against={"arm": "pix2pix"}), "against: found pix2pix, the very thing that stands against it"),
        (lambda raw: raw["tests"][0].update(against={"metric": "mae"}), "against: found mae, the very thing that stands against it"),
        (lambda raw: raw["tests"][0].update(metric=""), "c.yaml: a-claim: tests.0.metric: found ''"),
        (lambda raw: raw.update(datasets=[]), "c.yaml: a-claim: datasets: found []"),
        (lambda raw: raw.update(datasets=""), "c.yaml: a-claim: datasets.0: found ''"),
        (lambda raw: raw.update(sentence=" \n "), "c.yaml: a-claim: sentence: found"),
        (lambda raw: raw.update(sentence="\x1b[31mred"), r"c.yaml: a-claim: sentence: found the character '\x1b', expected a text"),
        (lambda raw: raw.update(id="A claim"), "c.yaml: claim 1: id: found 'A claim', expected lower-case letters"),
        (lambda raw: raw.pop("caveat"), "c.yaml: a-claim: caveat: missing"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_claim_and_key(change, message):
    raw = copy.deepcopy(entry())
    change(raw)
    with pytest.raises(UserError) as error:
        parse_claims({"claims": [raw]}, name="c.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "expected claims: [...]"),
        ({"claims": [], "more": 1}, "more: unknown key"),
        ({"claims": ["x"]}, "claim 1: found 'x', expected a mapping"),
        ({"claims": [entry(), entry()]}, "a-claim: id: stands there twice"),
    ],
)
def test_a_file_of_another_shape(raw, message):
    with pytest.raises(UserError, match=r"claims\.yaml") as error:
        parse_claims(raw)
    assert message in str(error.value)


def test_without_a_file_there_is_a_report_and_no_verdict(tmp_path, monkeypatch):
    monkeypatch.setattr(FIGURES, "_entries", {})
    params = make_params([0, 1])
    write_inputs(tmp_path, params)
    assert load_ledger(tmp_path / "claims.yaml") == Ledger(())
    page = build(params, tmp_path).cited["index.html"].decode()
    assert "No claims are stated" in page


def test_the_report_shows_verdicts_and_the_file_s_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(FIGURES, "_entries", {})
    params = make_params([0, 1, 2])
    write_inputs(tmp_path, params)
    write_json(tmp_path / "claims.yaml", {"claims": [entry({"against": {"arm": "perceptual"}})]})  # JSON is YAML
    made = build(params, tmp_path)
    assert made == build(params, tmp_path)
    page = made.cited["index.html"].decode()
    assert load_ledger(tmp_path / "claims.yaml").sha256 in page
    assert 'id="claim-a-claim"' in page
    assert 'href="#main-icons_a"' in page
    assert 'id="main-icons_a"' in page
    assert "#plane-icons_a" not in page, "this report has no such figure"
    csv = made.cited["tables/verdicts.csv"].decode().splitlines()
    assert csv[1].startswith("a-claim,A claim.,")
    assert made.cited["tables/tests.csv"].decode().splitlines()[1].startswith("a-claim/icons_a/1,a-claim,icons_a,")
    assert b"p{20cm}" in made.cited["tables/verdicts.tex"]
    assert made.drawn["forest.csv"].decode().splitlines()[1].startswith("a-claim,icons_a,1,")


def test_our_own_claims_can_be_read_and_say_why(tmp_path):
    found = load_ledger(ROOT / "claims.yaml")
    assert len(found.claims) >= 40
    experiments = [load_params(path) for path in sorted((ROOT / "experiments").glob("*.yaml"))]
    arms = {method for params in experiments for dataset in params.all_datasets for method in params.methods_of(dataset)}
    for claim in found.claims:
        assert set(claim.arms) - {"first_layer", "random_first_layer"} <= arms, claim.id
        assert claim.min_seeds >= 3
        assert all(len(test.because.split()) >= 3 for test in claim.tests)


def test_metrics_that_nothing_has_are_named():
    known = {"metric": "spread:kid", "contrast": "ratio"}, {"metric": "lpips:vgg"}, {"metric": "kid:inception-2015"}
    found = mistakes(ledger(entry({}, {"metric": "retrievel"}), *(entry(test, id=f"b-{place}") for place, test in enumerate(known))))
    assert found == ["a-claim: test 2: 'retrievel': unknown; did you mean 'retrieval'?"]
    for unknown in ("kid:inception", "mae:efficientnet-lite0", "spread:", "spread:spread:kid"):
        assert mistakes(ledger(entry({"metric": unknown})))[0].startswith(f"a-claim: test 1: '{unknown}': unknown")


def test_our_own_claims_are_free_of_mistakes_whatever_the_experiment_looks_through():
    assert mistakes(load_ledger(ROOT / "claims.yaml")) == []


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ({"metric": "diverged", "against": {"metric": "mae"}}, "diverged is compared by a difference, with another arm or a number"),
        ({"metric": "diverged", "against": {"arm": "mae", "metric": "kid"}}, "diverged is compared by a difference"),
        ({"metric": "diverged", "against": {"row": "chance"}}, "diverged is compared by a difference"),
        ({"metric": "diverged", "contrast": "ratio"}, "diverged is compared by a difference"),
        ({"metric": "mae", "against": {"metric": "diverged"}}, "diverged is compared by a difference"),
        ({"metric": "networks", "expect": "nearer"}, "networks has no target that anything could be nearer to"),
        ({"metric": "spread:mae"}, "spread:mae is compared as a ratio between two arms"),
        ({"metric": "spread:mae", "contrast": "ratio", "expect": "nearer"}, "spread:mae is compared as a ratio between two arms"),
        ({"metric": "spread:networks", "contrast": "ratio"}, "spread:networks: only a metric has a spread"),
    ],
)
def test_what_cannot_be_compared_is_a_mistake_and_fails_no_report(tmp_path, test, reason):
    assert mistakes(ledger(entry(test)))[0].startswith(f"a-claim: test 1: {reason}")
    found = one(written(tmp_path, steady()), entry(test))
    assert (found.kind, reason in found.reason) == ("NOT TESTED", True)


def test_what_is_exact_beside_what_is_measured_is_as_sure_as_that(tmp_path):
    found = one(written(tmp_path, steady()), entry({"metric": "networks", "against": {"metric": "mae"}}))
    assert found.findings[0].estimate.half_width > 0


def test_the_network_that_leads_may_be_named(tmp_path):
    results = written(tmp_path, steady(mae=0.5, pix2pix=0.4), metric="kid")
    plain, named = (one(results, entry({"metric": metric})) for metric in ("kid", "kid:efficientnet-lite0"))
    assert plain.kind == "SUPPORTED"
    assert (named.kind, named.reason, named.findings[0].links) == (plain.kind, plain.reason, plain.findings[0].links)
    assert one(results, entry({"metric": "kid:inception-2015"})).kind == "NOT TESTED"


def test_a_claim_about_nothing_says_so(tmp_path):
    assert one(written(tmp_path, steady()), entry(not_on=["icons_a"])).reason == "It speaks of no data of this experiment."


def test_a_text_in_several_lines_is_one_line_in_tables():
    assert ledger(entry(sentence="Two\n  lines.\n")).claims[0].sentence == "Two lines."


def test_a_link_to_nothing_is_no_missing_file(tmp_path):
    (tmp_path / "claims.yaml").symlink_to("nowhere.yaml")
    with pytest.raises(UserError, match=r"claims\.yaml: not found; write it, or leave it out"):
        load_ledger(tmp_path / "claims.yaml")
    assert load_ledger(tmp_path / "other.yaml").claims == ()
