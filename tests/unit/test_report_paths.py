"""Entries that differ in one setting: which paths there are, how the plane joins them, and the figure over the budget."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from report_inputs import make_params, metrics, write_inputs, write_json

from cgm.core.errors import UserError
from cgm.experiment.params import Params
from cgm.experiment.reading import parse_params
from cgm.report.build import Report, build
from cgm.report.figures.budget import budget
from cgm.report.figures.plane import plane
from cgm.report.parameter_paths import paths_of, settings_of
from cgm.report.plotting import LIGHT, render
from cgm.report.results import collect


def made(**entries: dict[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
    """Paths among entries of one method with two weights and a layer."""
    usual = {"implementation": "mine", "one": 1.0, "two": 1.0, "tap": None}
    return [(path.setting, path.points) for path in paths_of({entry: usual | own for entry, own in entries.items()})]


def test_two_entries_are_a_path_in_the_order_of_its_values() -> None:
    assert made(zebra={"one": 10.0}, aardvark={"one": 2.0}) == [("one", ((2.0, "aardvark"), (10.0, "zebra")))]


def test_words_with_an_order_are_a_path() -> None:
    found = made(a={"tap": "late"}, b={"tap": "early"}, c={"tap": "middle"}, d={})
    assert found == [("tap", (("early", "b"), ("middle", "c"), ("late", "a")))]


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"one": 2.0, "two": 2.0},
        {"implementation": "yours", "one": 2.0},
        {"tap": "early"},
        {"form": "hinge"},
        {"one": True},
        {"one": None},
    ],
    ids=["nothing", "two settings", "the method", "against the default", "a setting that the first lacks", "a switch", "none"],
)
def test_what_is_no_path(other: dict[str, Any]) -> None:
    assert made(a={}, b=other) == []


def test_an_entry_may_be_on_two_paths() -> None:
    found = made(base={}, more={"one": 3.0}, other={"two": 0.0}, both={"one": 5.0, "two": 5.0})
    assert found == [("one", ((1.0, "base"), (3.0, "more"))), ("two", ((0.0, "other"), (1.0, "base")))]


def test_paths_are_kept_apart_by_what_is_the_same_on_them() -> None:
    found = made(a={"one": 1.0}, b={"one": 2.0}, c={"one": 1.0, "tap": "early"}, d={"one": 2.0, "tap": "early"})
    assert found == [("one", ((1.0, "a"), (2.0, "b"))), ("one", ((1.0, "c"), (2.0, "d")))]


# From params.yaml


def raw_params(methods: dict[str, dict[str, Any]], seeds: list[int] | None = None) -> dict[str, Any]:
    base = make_params(seeds or [0])
    raw = {"experiment": "x", "seeds": seeds or [0], "networks": base.networks.model_dump(), "training": base.training.model_dump()}
    return {**raw, "datasets": {"icons_a": {"source": "openmoji", "image_size": 32, "kimg": 1.0}}, "methods": methods}


def params_of(methods: dict[str, dict[str, Any]], seeds: list[int] | None = None) -> Params:
    return parse_params(raw_params(methods, seeds))


def found_in(methods: dict[str, dict[str, Any]]) -> list[tuple[str, list[tuple[Any, str]]]]:
    return [(path.setting, list(path.points)) for path in paths_of(settings_of(params_of(methods), "icons_a"))]


def test_sizes_and_budgets_are_compared_as_they_are_trained_with() -> None:
    """An entry without a size or budget of its own has the experiment's."""
    found = found_in(
        {
            "pix2pix": {},
            "patch1": {"implementation": "pix2pix", "networks": {"patchgan": {"layers": 0}}},
            "same": {"implementation": "mae", "networks": {"unet": {"width": 32}}},
            "long": {"implementation": "mae", "kimg": 16.0, "learning_rate": 2e-4},
        }
    )
    assert found == [("kimg", [(1.0, "same"), (16.0, "long")]), ("patchgan.layers", [(0, "patch1"), (2, "pix2pix")])]


def test_a_term_s_weight_is_a_path() -> None:
    terms = [{"l1": 1, "ssim": weight} for weight in (2, 0.5)]
    found = found_in({f"mine{place}": {"implementation": "weighted", "terms": each} for place, each in enumerate(terms)})
    assert found == [("terms.ssim.weight", [(0.5, "mine1"), (2.0, "mine0")])]


def test_what_was_made_elsewhere_is_on_no_path() -> None:
    methods = {"mae": {}, "theirs": {"implementation": "external", "outputs": "x"}}
    assert set(settings_of(params_of(methods), "icons_a")) == {"mae"}


# Figures


METHODS = {
    "mae": {},
    "mae_x4": {"implementation": "mae", "kimg": 4.0},
    "mae_x16": {"implementation": "mae", "kimg": 16.0},
    "pix2pix": {},
    "pix2pix_l10": {"implementation": "pix2pix", "l1_weight": 10.0},
    "pix2pix_x4": {"implementation": "pix2pix", "kimg": 4.0},
    "perceptual": {"loss_network": "efficientnet-lite1", "tap": "early"},
    "perceptual_late": {"implementation": "perceptual", "loss_network": "efficientnet-lite1", "tap": "late"},
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MAE gains with every budget, Pix2Pix nothing."""
    root, params = tmp_path_factory.mktemp("inputs"), params_of(METHODS, [0, 1, 2])
    write_inputs(root, params)
    for method, order in {"mae": 3, "mae_x4": 2, "mae_x16": 1, "pix2pix": 2, "pix2pix_x4": 2}.items():
        for seed in range(3):
            path = root / f"results/icons_a/{method}/{seed}/metrics.json"
            write_json(path, {**json.loads(path.read_text()), **metrics(params, order, seed)})
    return root


@pytest.fixture(scope="module")
def report(tree: Path) -> Report:
    return build(params_of(METHODS, [0, 1, 2]), tree)


def test_the_plane_names_what_its_lines_join(tree: Path) -> None:
    results = collect(params_of(METHODS, [0, 1, 2]), tree)
    picture = plane(results, results.datasets[0])
    assert picture is not None
    lines = picture.note.split("alone: ")[1].rstrip(".").split("; ")
    assert lines == [
        "MAE regression, kimg: 1 → 16",
        "Pix2Pix, kimg: 1 → 4",
        "Pix2Pix, λ: 10 → 100",
        "Perceptual loss, tap: early → late",
    ]


def test_a_plane_without_paths_joins_nothing(tmp_path: Path) -> None:
    params = params_of({"mae": {}, "mse": {}})
    write_inputs(tmp_path, params)
    results = collect(params, tmp_path)
    picture = plane(results, results.datasets[0])
    assert picture is not None
    assert "Lines" not in picture.note


def test_metrics_over_the_budget(report: Report, tree: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(report.drawn["budget-icons_a.csv"].decode())))
    kid = {row["method"]: row for row in rows if row["metric"] == "kid"}
    assert [(name, row["kimg"]) for name, row in kid.items() if ":" not in name] == [
        ("mae", "1.0"), ("mae_x4", "4.0"), ("mae_x16", "16.0"), ("pix2pix", "1.0"), ("pix2pix_x4", "4.0"),
    ]  # fmt: skip
    results = collect(params_of(METHODS, [0, 1, 2]), tree)
    estimate = results.datasets[0].estimate("mae_x4", "kid")
    assert estimate is not None
    assert (float(kid["mae_x4"]["mean"]), float(kid["mae_x4"]["half_width"])) == (estimate.mean, estimate.half_width)  # as the tables
    assert {"baseline:copy_input", "floor:real"} <= set(kid)
    assert {row["metric"] for row in rows} == {"kid", "pd"}
    picture = budget(results, results.datasets[0])
    assert picture is not None
    assert " → 26.2 at 1, 4 and 16 thousand images (last step: surely better)" in picture.takeaway
    assert "Pix2Pix 32.2 → 32.2 at 1 and 4 thousand images (last step: no sure change)" in picture.takeaway
    assert '<h4 id="budget-icons_a">' in report.cited["index.html"].decode()


def test_no_figure_without_such_a_path(tmp_path: Path) -> None:
    params = make_params([0])
    results = collect(params, tmp_path)
    assert budget(results, results.datasets[0]) is None  # nothing measured, and no path
    write_inputs(tmp_path, params)
    results = collect(params, tmp_path)
    assert budget(results, results.datasets[0]) is None


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A tree whose experiment has no budgets of its own, beside the kept results of one that has."""
    write_inputs(tmp_path, params_of({"mae": {}, "mse": {}}, [0]))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/budget.yaml").write_text(yaml.safe_dump(raw_params(METHODS, [0, 1])))
    lines = ["dataset,method,seed,metric,judge,value,n_real,n_fake,status"]
    judge = collect(params_of({"mae": {}, "mse": {}}, [0]), tmp_path).datasets[0].judge_of("kid")
    for method, value in (("mae", 0.3), ("mae_x4", 0.2), ("mae_x16", 0.1)):
        lines += [f"icons_a,{method},{seed},kid,{judge},{value + seed / 100},9,9,ok" for seed in (0, 1)]
    lines.append(f"icons_a,pix2pix,0,kid,{judge},,0,0,diverged")
    (tmp_path / "experiments/budget.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_budgets_of_an_experiment_that_is_kept(kept: Path) -> None:
    results = collect(params_of({"mae": {}, "mse": {}}, [0]), kept)
    picture = budget(results, results.datasets[0])
    assert picture is not None
    assert "MAE regression 305.0 → 205.0 → 105.0 at 1, 4 and 16 thousand images." in picture.takeaway  # Pix2Pix has no value
    assert "From the experiment" in picture.note
    assert "mean over 2 seeds" in picture.note
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(picture.csv.decode()))}
    assert (float(rows["mae_x4"]["mean"]), rows["mae_x4"]["n"]) == (pytest.approx(0.205), "2")


def test_kept_budgets_of_methods_that_are_not_trained_here(kept: Path) -> None:
    """Each has a colour and a marker of its own, beside those of this experiment's methods."""
    path = kept / "experiments/budget.csv"
    others = [line.replace(",mae", ",pix2pix") for line in path.read_text().splitlines() if ",mae" in line]
    path.write_text("\n".join([path.read_text().rsplit("icons_a,pix2pix,0", 1)[0].rstrip(), *others]) + "\n")
    results = collect(params_of({"mse": {}}, [0]), kept)
    picture = budget(results, results.datasets[0])
    assert picture is not None
    assert {row["method"] for row in csv.DictReader(io.StringIO(picture.csv.decode()))} >= {"mae", "mae_x16", "pix2pix", "pix2pix_x4"}
    drawn = render(picture)["svg"].decode()
    assert [colour in drawn for colour in LIGHT.palette[:4]] == [False, True, True, False]  # mse isn't in it


def test_an_experiment_with_budgets_of_its_own_shows_those(kept: Path, tree: Path) -> None:
    shutil.copytree(kept / "experiments", tree / "experiments")
    try:
        results = collect(params_of(METHODS, [0, 1, 2]), tree)
        picture = budget(results, results.datasets[0])
        assert picture is not None
        assert "From the experiment" not in picture.note
    finally:
        shutil.rmtree(tree / "experiments")


def test_budgets_on_other_pictures_are_not_shown(kept: Path) -> None:
    path = kept / "experiments/budget.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["datasets"]["icons_a"]["limit"] = 7
    path.write_text(yaml.safe_dump(raw))
    results = collect(params_of({"mae": {}, "mse": {}}, [0]), kept)
    assert budget(results, results.datasets[0]) is None


@pytest.mark.parametrize(
    ("old", "new", "says"), [("mae_x4,1", "mae_x4,first", "line 5"), ("dataset,method", "set,method", "found the columns set, method")]
)
def test_kept_results_that_can_t_be_read_are_named(kept: Path, old: str, new: str, says: str) -> None:
    path = kept / "experiments/budget.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=rf"budget\.csv: .*{says}.*"):
        collect(params_of({"mae": {}, "mse": {}}, [0]), kept)
