"""The figures and the table on collapse, round trips, filters and effort, from made-up files."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_inputs import COUNTS, SIZE, make_params, write_inputs, write_json

from cgm.claims.ledger import parse_claims
from cgm.claims.verdict import Looked, judge
from cgm.evaluation import filters
from cgm.evaluation.round_trip import LEVELS, RoundTrip, none
from cgm.evaluation.swap import input_swap
from cgm.experiment import paths
from cgm.experiment.params import Params
from cgm.experiment.reading import parse_params
from cgm.methods import METHODS
from cgm.report import source_facts
from cgm.report.build import build
from cgm.report.figures.collapse import collapse
from cgm.report.figures.filters import filters as filters_figure
from cgm.report.figures.mosaic import mosaic, small
from cgm.report.figures.round_trip import round_trip
from cgm.report.figures.swap import swap
from cgm.report.figures.variance import variance
from cgm.report.footnotes import of_judges_family
from cgm.report.page import index_page
from cgm.report.plotting import render
from cgm.report.results import Results, collect
from cgm.report.stability import ahead_from
from cgm.report.tables.effort import effort_table, family, loss_networks, own_settings

IDS = [f"testA{index}" for index in range(COUNTS["test"])]
SEEDS = [0, 1, 2]


class FakeView:
    """Features alone."""

    def __init__(self, outputs: np.ndarray, targets: np.ndarray) -> None:
        self.targets, self.count, self.features, self.target_features = targets, len(outputs), outputs, targets


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    """Paired methods keep their input but for ``pix2pix``, which has collapsed; CycleGAN hides x in y."""
    root = tmp_path_factory.mktemp("diagnostics")
    params = make_params(SEEDS, unpaired=True)
    write_inputs(root, params)
    targets = np.random.default_rng(0).random((COUNTS["test"], 16)).astype(np.float32)
    for run in params.runs():
        outputs = np.tile(targets[:1], (len(targets), 1)) if run.method == "pix2pix" else targets
        path = root / paths.run_folder(run) / "metrics.json"
        scores = json.loads(path.read_text())
        scores["swap"] = input_swap(FakeView(outputs, targets), IDS)  # type: ignore[arg-type]
        scores["group_sizes"] = [5, 5]
        scores["left_out"] = {
            key: [value * 0.99, value * 1.01] for key, value in scores["metrics"].items() if value is not None
        }  # a percent between images, a percent between seeds
        scores["chance"] = {"retrieval": 0.1}
        write_json(path, scores)
        if run.method == "cyclegan":
            trip(run.seed, hidden=True).save(root / paths.round_trip(run))
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:7, :7] - 3
    waves = np.stack([np.cos(1.5 * (x * np.cos(a) + y * np.sin(a))) for a in np.arange(12) * np.pi / 12])
    weights = np.repeat(waves[:, None], 3, axis=1).astype(np.float32)
    filters.save(root / paths.FILTERS, {"efficientnet-lite1": weights, "alexnet": generator.standard_normal((20, 3, 3, 3), np.float32)})
    return root, params


def trip(seed: int, *, hidden: bool) -> RoundTrip:
    levels, count = np.array(LEVELS), COUNTS["test"]
    gain = (5.0 if hidden else 0.5) + 0.01 * seed
    moved = np.tile(gain * levels[:, None], (1, count)).astype(np.float32)
    return RoundTrip(
        levels=levels,
        error=20 + moved,
        moved=moved,
        moved_real=np.tile(0.6 * levels[:, None], (1, count)).astype(np.float32),
        shown=np.array([3, 1]),
        pictures=np.full((1 + len(LEVELS), 2, SIZE, SIZE, 3), 128, np.uint8),
    )


def results_of(tree: tuple[Path, Params]) -> Results:
    return collect(tree[1], tree[0])


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_a_collapsed_method_has_the_same_row_for_each_input(tree: tuple[Path, Params]) -> None:
    results = results_of(tree)
    picture = swap(results, results.datasets[0])
    assert picture is not None
    found = rows(picture.csv)
    assert {row["method"] for row in found} == {"targets", *results.datasets[0].methods}
    for method, same in (("pix2pix", True), ("mae", False)):
        by_output: dict[str, list[str]] = {}
        for row in found:
            if row["method"] == method:
                by_output.setdefault(row["output"], []).append(row["cosine"])
        assert (len({tuple(cells) for cells in by_output.values()}) == 1) == same
    assert "Pix2Pix (0.00 ±" in picture.takeaway
    assert "least" in picture.takeaway
    assert render(picture)["svg"] == render(picture)["svg"]


def test_collapse_shows_the_methods_that_play_a_game(tree: tuple[Path, Params]) -> None:
    results = results_of(tree)
    paired, unpaired = (collapse(results, dataset) for dataset in results.datasets)
    assert paired is not None
    assert unpaired is not None
    assert {row["method"] for row in rows(paired.csv)} == {"pix2pix", "pix2pix_l10"}
    assert paired.lecture == ""
    assert "whatever comes in" in unpaired.lecture
    assert "D is right for 75% at the end" in unpaired.takeaway  # 0.5 + 5 / 20
    assert "chance 0.100" in unpaired.takeaway
    assert {row["column"] for row in rows(unpaired.csv)} >= {"accuracy/D", "val/vendi_ratio", "val/pd", "recall", "retrieval"}
    diversity = [row for row in rows(paired.csv) if (row["method"], row["column"]) == ("pix2pix", "val/vendi_ratio")]
    assert [(float(row["kimg"]), float(row["middle"])) for row in diversity] == [(0, 0.1), (0.2, 0.2), (0.6, 0.4), (1, 0.6)]
    assert "as many validation targets" in paired.note
    assert "vendi" in paired.alt.lower()


def test_collapse_of_histories_without_diversity(tree: tuple[Path, Params], tmp_path: Path) -> None:
    """As trainings before it was measured left them."""
    shutil.copytree(tree[0], tmp_path / "old")
    for path in (tmp_path / "old/results").rglob("history.csv"):
        path.write_text(path.read_text().replace("val/vendi_ratio", "learning_rate_too"))
    results = results_of((tmp_path / "old", tree[1]))
    picture = collapse(results, results.datasets[0])
    assert picture is not None
    assert {row["column"] for row in rows(picture.csv)} >= {"accuracy/D", "val/pd"}
    assert "val/vendi_ratio" not in picture.csv.decode()
    assert "as many validation targets" not in picture.note
    assert render(picture)["svg"]


def test_without_a_discriminator_nothing_collapses(tmp_path: Path) -> None:
    raw = {"experiment": "default", "seeds": [0], "datasets": {"icons": {"source": "openmoji", "image_size": SIZE, "kimg": 1.0}}}
    params = parse_params({**raw, "methods": {"mae": {}}})
    write_inputs(tmp_path, params)
    results = collect(params, tmp_path)
    assert all(make(results, results.datasets[0]) is None for make in (collapse, swap, round_trip, filters_figure, variance))


def test_a_hidden_copy_is_told_from_none(tree: tuple[Path, Params], tmp_path: Path) -> None:
    results = results_of(tree)
    assert round_trip(results, results.datasets[0]) is None
    picture = round_trip(results, results.datasets[1])
    assert picture is not None
    assert "holds something of x that noise destroys" in picture.takeaway
    assert "noise of 1 on G(x) moves it by 5.01, and F's output for a real picture by 0.60" in picture.takeaway
    assert {row["noise"] for row in rows(picture.csv)} == {repr(level) for level in LEVELS}
    root, params = tmp_path / "honest", tree[1]
    write_inputs(root, params)
    for run in params.runs():
        if run.method == "cyclegan":
            trip(run.seed, hidden=False).save(root / paths.round_trip(run))
        elif not params.is_paired(run.dataset):
            none("no way back").save(root / paths.round_trip(run))
    results = collect(params, root)
    honest = round_trip(results, results.datasets[1])
    assert honest is not None
    assert honest.takeaway.endswith("no sign of a copy of x that is hidden in G(x).")


def test_filters_stand_once_and_lead_with_the_loss_network(tree: tuple[Path, Params]) -> None:
    results = results_of(tree)
    picture = filters_figure(results, results.datasets[0])
    assert picture is not None
    assert filters_figure(results, results.datasets[1]) is None
    assert picture.takeaway.startswith("EfficientNet-Lite1: of 12 filters, 100% [74, 100] are more oriented, 0% [0, 26] more colourful")
    assert "AlexNet: of 20 filters" in picture.note
    found = rows(picture.csv)
    assert sum(row["kind"] == "trained" for row in found) == 32
    assert all(0 <= float(row["chroma"]) <= 1 for row in found)


def test_what_would_narrow_an_interval(tree: tuple[Path, Params]) -> None:
    results = results_of(tree)
    picture = variance(results, results.datasets[0])
    assert picture is not None
    shares = {(row["method"], row["metric"]): float(row["seed_share"]) for row in rows(picture.csv)}
    dataset = results.datasets[0]
    assert all(share == dataset.estimate(method, metric).seed_share for (method, metric), share in shares.items())  # type: ignore[union-attr]
    assert "would narrow the intervals of" in picture.takeaway


def test_the_report_holds_them_and_links_only_verdicts_that_it_has(tree: tuple[Path, Params]) -> None:
    report = build(tree[1], tree[0])
    assert {"swap-icons_a.csv", "collapse-style.svg", "round_trip-style.pdf", "filters-icons_a.csv"} <= report.drawn.keys()
    assert "tables/effort-icons_a.tex" in report.cited
    text = report.cited["index.html"].decode()
    assert "The lecture: “Cycle consistency keeps the content without supervision.”" in text
    assert "#claim-" not in text
    results = results_of(tree)
    picture = replace(swap(results, results.datasets[1]), claims=("keeps-content", "unknown"))  # type: ignore[type-var]
    drawn = {picture.name: render(picture)["svg"]}
    test = {"metric": "mae", "arm": "cyclegan", "against": {"value": 0.0}, "expect": "lower", "delta": 1.0, "because": "made up"}
    words = dict.fromkeys(("sentence", "source", "control", "caveat"), "made up")
    claims = parse_claims({"claims": [{"id": "keeps-content", **words, "datasets": "style", "tests": [test]}]})
    judged = judge([(claims[0], [Looked(dataset="style", why_not="made up")])])
    tables = [effort_table(results, each) for each in results.datasets]
    page = index_page(results, tables, [picture], drawn, "", verdicts=judged)
    assert '<a href="#claim-keeps-content">keeps content</a>' in page
    assert "unknown" not in page


def test_effort_says_what_a_method_asks_for(tree: tuple[Path, Params]) -> None:
    results = results_of(tree)
    table = effort_table(results, results.datasets[0])
    places = {column.key: place for place, column in enumerate(table.columns)}
    cells = {row.key: {key: row.cells[place] for key, place in places.items()} for row in table.rows}
    assert [row.key for row in table.rows] == ["pix2pix", "pix2pix_l10", "perceptual", "mae"]
    assert cells["perceptual"]["pretrained"].text == "efficientnet-lite1"
    assert cells["pix2pix"]["pretrained"].text == "none"
    assert [cells[method]["networks"].interval.mean for method in ("pix2pix", "perceptual", "mae")] == [2, 1, 1]  # type: ignore[union-attr]
    assert cells["pix2pix"]["parameters"].interval.mean == 1010  # type: ignore[union-attr]
    assert cells["pix2pix"]["step_seconds"].interval.mean == pytest.approx(8 / 81.25)  # type: ignore[union-attr]
    assert cells["pix2pix"]["broken"].interval.mean == 0  # type: ignore[union-attr]
    assert cells["pix2pix"]["ahead_from"].text == "never"  # the curves are the same
    assert cells["mae"]["ahead_from"].interval is None
    assert table.footnotes


def test_families_follow_what_trained_the_generator(tree: tuple[Path, Params]) -> None:
    terms = {"adversarial": 1.0, "perceptual": {"weight": 1.0, "loss_network": "efficientnet-lite1"}, "lpips": 0.0}
    raw = {"pix2pix": {}, "perceptual": {}, "mse": {}, "both": {"implementation": "weighted", "terms": terms}}
    common = {"experiment": "default", "seeds": [0], "datasets": {"a": {"source": "openmoji", "image_size": 64, "kimg": 1.0}}}
    methods = parse_params({**common, "methods": raw}).methods
    icons = results_of(tree).datasets[0]
    runs = {"pix2pix": icons.runs["pix2pix"], "perceptual": icons.runs["perceptual"], "mse": [], "both": icons.runs["pix2pix"]}
    assert {name: family(methods[name], runs[name]) for name in methods} == {
        "pix2pix": "adversarial", "perceptual": "perceptual", "mse": "pixels", "both": "both",
    }  # fmt: skip
    assert loss_networks(methods["both"]) == ["efficientnet-lite1"]
    assert own_settings(methods["mse"]) == 0
    assert own_settings(methods["pix2pix"]) == 4  # λ, the form of the game, R1, DiffAugment


def test_a_mixture_with_lpips_has_a_loss_network_and_is_kin_of_lpips(tree: tuple[Path, Params]) -> None:
    terms = {"l1": 1.0, "lpips": {"weight": 1.0, "net": "alex"}}
    settings = METHODS["weighted"].Settings.model_validate({"implementation": "weighted", "terms": terms})
    assert loss_networks(settings) == ["alexnet"]
    icons = results_of(tree).datasets[0]
    assert "lpips" in icons.measures
    assert not of_judges_family(icons, "mae")
    recorded = (
        [{"name": "efficientnet-lite1", "sha256": "7" * 64}],
        [{"name": "vgg16", "sha256": "8" * 64}, {"name": "alexnet", "sha256": "9" * 64}],
    )
    for networks in recorded:
        runs = [replace(run, record={**run.record, "loss_network": networks}) for run in icons.runs["mae"]]
        assert of_judges_family(replace(icons, runs={**icons.runs, "mae": runs}), "mae")
    runs = [replace(run, record={**run.record, "loss_network": recorded[1][:1]}) for run in icons.runs["mae"]]
    assert not of_judges_family(replace(icons, runs={**icons.runs, "mae": runs}), "mae")


@pytest.mark.parametrize(
    ("curve", "other", "expected"),
    [
        ([(0, 9), (1, 5), (2, 1)], [(0, 9), (1, 4), (2, 2)], 1.5),  # behind, then ahead: half of the way between 1 and 2
        ([(0, 9), (1, 3), (2, 1)], [(0, 9), (1, 4), (2, 2)], 0),  # one start, ahead ever since
        ([(0, 9), (1, 5), (2, 3)], [(0, 9), (1, 4), (2, 2)], math.inf),
        ([(0, 9), (1, 4), (2, 2)], [(0, 9), (1, 4), (2, 2)], math.inf),
        ([(0, 8), (1, 3)], [(0, 9), (1, 4), (2, 0)], 0),  # the stretch that both have
        ([(0, 9), (2, 1)], [(0, 8), (1, 6), (2, 2)], 0.5),  # between points of the other: behind by 1, then ahead by 1
        ([], [(0, 9)], None),
    ],
)
def test_who_is_ahead_from_where(curve: list[tuple[float, float]], other: list[tuple[float, float]], expected: object) -> None:
    assert ahead_from(curve, other) == expected


def test_lines_of_code_are_those_that_hold_code() -> None:
    top = '"""Words."""\n\nimport os  # why\n\n# a comment\nx = (\n    1,\n)\n'
    source = top + '\n\ndef f():\n    """Words\n    more."""\n    return """text\nof two"""\n'
    assert source_facts.code_lines(source) == 1 + 3 + 1 + 2


def test_every_method_has_its_lines() -> None:
    for name in METHODS:
        assert 0 < source_facts.own_lines(name) <= source_facts.all_lines(name)
    assert source_facts.all_lines("pix2pix") == source_facts.own_lines("pix2pix") + source_facts.own_lines("cgan")
    assert {name: source_facts.networks(name) for name in ("mae", "pix2pix", "cyclegan", "cut", "pix2pixhd", "external")} == {
        "mae": 1, "pix2pix": 2, "cyclegan": 4, "cut": 3, "pix2pixhd": None, "external": None,
    }  # fmt: skip


def test_small_pictures_are_means() -> None:
    picture = np.zeros((4, 8, 3), np.uint8)
    picture[:, ::2] = 200
    assert small(picture, 4).shape == (2, 4, 3)
    assert (small(picture, 4) == 100).all()
    assert small(picture, 100).shape == picture.shape
    assert mosaic([[picture, picture], [picture, picture]], 8).shape == (8, 16, 3)
