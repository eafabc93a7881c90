"""What the report says of methods: equations as trained, settings beside the papers', competence, samplers, versions of the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from least_settings import LEAST
from report_inputs import make_params, write_inputs, write_json

from cgm.data import layouts
from cgm.experiment.settings import Training
from cgm.methods import METHODS
from cgm.methods.method import Method, MethodSettings
from cgm.report import particulars
from cgm.report.build import build
from cgm.report.competence import competence
from cgm.report.departures import NEUTRAL, departures, method_sentence, shared_sentence
from cgm.report.figures.grid import grid
from cgm.report.footnotes import degradations, stochastic_in_name
from cgm.report.objective import objective
from cgm.report.ranking import rank
from cgm.report.results import DatasetResult, collect
from cgm.report.summary import answer, opening
from cgm.report.table_format import Table
from cgm.report.tables.main import main_table

SEEDS = [0, 1, 2]
TRAINED = [name for name, method in METHODS.items() if issubclass(method, Method)]
RUNS = "results/icons_a"
PAPERS = [name for name in TRAINED if METHODS[name].about.paper]  # a mixture has no paper of its own
UNTRAINED = {"mean_image": {"n": 64, "kid": 0.30, "pd": 1.0}, "copy_input": {"n": 64, "kid": 0.20, "pd": 0.4}}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_inputs(tmp_path, make_params(SEEDS))
    return tmp_path


def edit(path: Path, **changes: Any) -> None:
    write_json(path, {**json.loads(path.read_text()), **changes})


def dataset_of(root: Path) -> DatasetResult:
    return collect(make_params(SEEDS), root).datasets[0]


def main_of(root: Path) -> Table:
    results = collect(make_params(SEEDS), root)
    return main_table(results, results.datasets[0])


def takeaway(root: Path) -> str:
    """Of the grid."""
    results = collect(make_params(SEEDS), root)
    picture = grid(results, results.datasets[0])
    assert picture is not None
    return picture.takeaway


def settings(method: str, **values: Any) -> MethodSettings:
    return METHODS[method].Settings.model_validate({"implementation": method, **LEAST.get(method, {}), **values})


# Equations


def test_the_equation_is_the_one_that_was_trained() -> None:
    features = "λ_c ‖φ(y) − φ(G(x))‖₂² / CHW"
    assert objective(settings("perceptual", pixel_weight=0.0)) == f"{features},  λ_c = 1"
    assert objective(settings("perceptual", pixel_weight=10.0)) == f"{features} + λ_p E‖y − G(x)‖₁,  λ_c = 1, λ_p = 10"
    assert objective(settings("pix2pix")) == "−E log D(x, G(x, z)) + λ E‖y − G(x, z)‖₁,  λ = 100"
    assert objective(settings("pix2pix", adversarial="hinge", l1_weight=0.0)) == "−E D(x, G(x, z))"
    assert objective(settings("unpaired_gan")) == "E(D(G(x)) − 1)²"
    assert objective(settings("mae")) == "E‖y − G(x)‖₁"
    one_way = settings("cyclegan", cycle="forward", identity_weight=0.0)
    assert objective(one_way) == "E(D(G(x)) − 1)² + λ E‖F(G(x)) − x‖₁,  λ = 10"


@pytest.mark.parametrize("name", TRAINED)
def test_every_weight_of_a_method_is_in_its_equation(name: str) -> None:
    method = METHODS[name]
    assert objective(settings(name))
    weights = {part.weight for part in method.about.objective if part.weight}
    assert weights == {field for field in method.Settings.model_fields if field.endswith("_weight")}
    assert any(part.adversarial for part in method.about.objective) == ("adversarial" in method.Settings.model_fields)


def test_an_equation_that_differs_between_datasets_says_where(tmp_path: Path) -> None:
    params = make_params([0], unpaired=True)
    style = METHODS["perceptual_style"].Settings
    unpaired = params.unpaired.model_copy(update={"methods": {"perceptual": style(implementation="perceptual_style", style_weight=3.0)}})
    params = params.model_copy(update={"unpaired": unpaired})
    write_inputs(tmp_path, params)
    page = build(params, tmp_path).cited["index.html"].decode()
    assert '/ CHW,  λ<sub>c</sub> = 1</span> <span class="muted"> on icons_a</span>' in page
    assert 'λ<sub>s</sub> = 3</span> <span class="muted"> on style</span>' in page


# Settings beside the papers'


def test_every_training_setting_is_compared_or_neutral() -> None:
    assert set(TRAINED) - set(PAPERS) == {"weighted"}
    for name in PAPERS:
        compared = set(METHODS[name].about.paper) & set(Training.model_fields)
        assert compared | set(NEUTRAL) == set(Training.model_fields), name
        assert not compared & set(NEUTRAL), name


@pytest.mark.parametrize("name", PAPERS)
def test_every_setting_of_a_method_is_compared(name: str) -> None:
    method = METHODS[name]
    shared = {"implementation", "learning_rate", "batch_size", "kimg", "networks", "sizes"}  # the last is compared by its sizes
    own = set(method.Settings.model_fields) - shared
    if "the family's" in " ".join(method.about.differences):  # the paper's network is none of ours, and the record says so
        own -= {"generator"}
    assert own <= set(method.about.paper)


def record_of(root: Path, method: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((root / RUNS / method / "0/run.json").read_text())
    return record


def test_settings_are_beside_the_methods_own_paper(tree: Path) -> None:
    assert method_sentence(record_of(tree, "pix2pix_l10")) == (
        "batch size 8 (1), constant fraction 0.5 (1), unet width 32 (64), patchgan layers 2 (3), "
        "patchgan norm instance (batch), l1 weight 10 (100)"
    )
    perceptual = method_sentence(record_of(tree, "perceptual"))
    assert "batch size 8 (4), learning rate 0.0002 (0.001), beta1 0.5 (0.9)" in perceptual
    assert "loss network efficientnet-lite1 (vgg16)" in perceptual
    assert "patchgan" not in method_sentence(record_of(tree, "mae"))  # it has no discriminator


def test_sizes_of_an_entry_s_own_are_not_shared(tree: Path) -> None:
    path = tree / RUNS / "pix2pix_l10/0/run.json"
    config = record_of(tree, "pix2pix_l10")["config"]
    config["networks"]["patchgan"]["layers"] = 0
    config["method"]["networks"] = {"unet": None, "patchgan": {"width": None, "layers": 0, "norm": None}}
    edit(path, config=config)
    assert "patchgan layers 0 (3)" in method_sentence(record_of(tree, "pix2pix_l10"))
    assert "patchgan layers 2 (3), patchgan norm" in shared_sentence(dataset_of(tree))


@pytest.mark.parametrize(("augment", "differs"), [("shift", True), ("resize-crop", False), ("none", True)])
def test_another_augmentation_than_the_paper_s_is_told(tree: Path, augment: str, differs: bool) -> None:
    record = {**record_of(tree, "pix2pix_l10"), "augment": augment}
    assert (f"augment {augment} (resize-crop)" in method_sentence(record)) == differs


def test_what_a_method_sets_itself_is_what_counts(tree: Path) -> None:
    record = record_of(tree, "pix2pix")
    record["config"]["method"].update(learning_rate=1e-3, adversarial="hinge", generator="resnet")
    found = {setting.name: (setting.ours, setting.theirs) for setting in departures(record)}
    assert found["learning_rate"] == (1e-3, 2e-4)
    assert found["adversarial"] == ("hinge", "vanilla")
    assert found["generator"] == ("resnet", "unet")
    assert not any(name.startswith("unet.") for name in found)


@pytest.mark.parametrize(("size", "blocks", "differs"), [(64, 6, False), (64, 9, True), (256, 9, False), (256, 6, True), (64, None, False)])
def test_the_papers_rule_for_blocks(tree: Path, size: int, blocks: int | None, differs: bool) -> None:
    record = record_of(tree, "pix2pix")
    record["config"]["method"] = {"implementation": "cyclegan", "generator": "resnet"}
    record["config"]["networks"]["resnet"]["blocks"] = blocks
    record["config"]["dataset"]["image_size"] = size
    assert ("resnet.blocks" in {setting.name for setting in departures(record)}) == differs


def test_shared_settings_are_summed_up_by_value(tree: Path) -> None:
    assert shared_sentence(dataset_of(tree)) == (
        "batch size 8 (1; 4 for Perceptual loss), learning rate 0.0002 (0.001 for Perceptual loss), "
        "beta1 0.5 (0.9 for Perceptual loss), constant fraction 0.5 (1), jitter 0.1172 (0 for Perceptual loss), "
        "flip yes (no for Perceptual loss), unet width 32 (64), patchgan layers 2 (3), patchgan norm instance (batch)"
    )


# Competence


def measure(root: Path, **by_method: dict[str, float]) -> None:
    """Validation measurements of all runs: good ones, but for those given."""
    edit(root / "data/reference/icons_a/scores.json", validation=UNTRAINED)
    for path in root.glob(f"{RUNS}/*/*/metrics.json"):
        edit(path, validation=by_method.get(path.parts[-3], {"n": 64, "kid": 0.1, "pd": 0.5}))


@pytest.mark.parametrize(
    ("measured", "failures"),
    [
        ({"kid": 0.19, "pd": 0.9}, 0),
        ({"kid": 0.20, "pd": 0.9}, 1),  # no better than the unchanged input
        ({"kid": 0.25, "pd": 0.9}, 1),
        ({"kid": 0.35, "pd": 0.9}, 2),  # the mean image is better too
        ({"kid": 0.19, "pd": 1.0}, 1),
        ({"kid": 0.40, "pd": 1.2}, 3),
    ],
)
def test_each_part_of_the_rule(tree: Path, measured: dict[str, float], failures: int) -> None:
    measure(tree, pix2pix={"n": 64, **measured})
    found = competence(dataset_of(tree), "pix2pix")
    assert found.tested
    assert len(found.failures) == failures
    assert found.passed == (failures == 0)


def test_competence_is_of_the_mean_over_seeds_that_ended_well(tree: Path) -> None:
    measure(tree)
    for seed, kid in enumerate((0.1, 0.1, 0.5)):
        edit(tree / RUNS / f"mae/{seed}/metrics.json", validation={"n": 64, "kid": kid, "pd": 0.5})
    assert competence(dataset_of(tree), "mae").failures == ("KD-EffLite0 ×10³ 233, the unchanged input 200",)
    edit(tree / RUNS / "mae/2/run.json", status="diverged")
    assert competence(dataset_of(tree), "mae").passed


def test_distance_to_the_own_target_counts_only_where_there_is_one(tree: Path) -> None:
    far = {"n": 64, "kid": 0.1, "pd": 1.5}
    measure(tree, pix2pix=far)
    assert not competence(dataset_of(tree), "pix2pix").passed
    for path in tree.glob(f"{RUNS}/*/*/metrics.json"):  # validation without aligned targets
        edit(path, validation={"n": 64, "kid": 0.1})
    edit(tree / "data/reference/icons_a/scores.json", validation={name: {"n": 64, "kid": each["kid"]} for name, each in UNTRAINED.items()})
    assert competence(dataset_of(tree), "pix2pix").passed


def test_a_method_without_a_condition_has_no_own_target(tree: Path) -> None:
    measure(tree, mae={"n": 64, "kid": 0.1, "pd": 1.5})
    dataset = dataset_of(tree)
    assert not competence(dataset, "mae").passed
    dataset.methods["mae"] = settings("gan")
    assert competence(dataset, "mae").passed


def test_variants_of_a_method_share_its_paper(tree: Path) -> None:
    record = record_of(tree, "perceptual")
    dataset = dataset_of(tree)
    for run in dataset.runs["pix2pix_l10"]:
        run.record.update(record)
    dataset.methods["pix2pix_l10"] = dataset.methods["perceptual"]
    assert shared_sentence(dataset).startswith("batch size 8 (1 for MAE regression and Pix2Pix; 4 for Perceptual loss), ")


def test_who_fails_is_shown_and_takes_no_part(tree: Path) -> None:
    measure(tree, mae={"n": 64, "kid": 0.35, "pd": 0.5})
    table = main_of(tree)
    rows = {row.key: row for row in table.rows}
    assert rows["mae"].cells[0].mark == "‡"
    assert not any(cell.best for cell in rows["mae"].cells)
    assert any(cell.interval for cell in rows["mae"].cells)
    assert sum(cell.best for cell in rows["pix2pix"].cells) > 5  # the next best
    assert (
        "‡ Not trained to competence, and so neither bold nor ranked: MAE regression (KD-EffLite0 ×10³ 350, the mean image 300, "
        "KD-EffLite0 ×10³ 350, the unchanged input 200)." in table.footnotes
    )
    assert sum(note.startswith("Trained to competence: on validation images") for note in table.footnotes) == 1
    dataset = dataset_of(tree)
    ranking = rank(dataset, "mae")
    assert ranking is not None
    assert "mae" not in ranking.winners
    assert opening(dataset).endswith("; not trained to competence, and left out: MAE regression")
    assert not any("MAE regression" in sentence for _, sentence in answer(dataset))


def test_that_nobody_tested_for_competence_is_said(tree: Path) -> None:
    assert opening(dataset_of(tree)).endswith("; whether any was trained to competence was not tested, so all take part")
    dataset = dataset_of(tree)
    assert dataset.prepared is not None
    dataset.prepared.card["counts"]["val"]["A"] = 1
    assert "was not tested (val has 1 condition, and 2 are needed), so all take part" in opening(dataset)


def test_who_alone_was_not_tested_is_named(tree: Path) -> None:
    measure(tree)
    for seed in SEEDS:
        edit(tree / RUNS / f"pix2pix_l10/{seed}/metrics.json", validation={})
    assert opening(dataset_of(tree)).endswith("; not tested for competence, and taking part: Pix2Pix (pix2pix_l10)")


def test_a_grid_without_targets_says_why_it_says_nothing_of_colours(tree: Path) -> None:
    assert "palest under" in takeaway(tree)
    for path in (tree / "results").rglob("metrics.json"):
        metrics = json.loads(path.read_text())["metrics"]
        edit(path, metrics={**metrics, "colourfulness_ratio": None}, notes={"colourfulness_ratio": "the test set holds no aligned targets"})
    assert takeaway(tree) == "Nothing is said of their colours: the test set holds no aligned targets."
    for path in (tree / "results").rglob("metrics.json"):
        path.unlink()
    assert takeaway(tree) == "Nothing has been evaluated yet."


def test_where_none_passes_the_answer_says_so(tree: Path) -> None:
    bad = {"n": 64, "kid": 0.5, "pd": 2.0}
    measure(tree, **dict.fromkeys(("mae", "pix2pix", "perceptual", "pix2pix_l10"), bad))
    table = main_of(tree)
    assert not any(cell.best for row in table.rows for cell in row.cells)
    assert not any(note.startswith("Bold") for note in table.footnotes)
    page = build(make_params(SEEDS), tree).cited["index.html"].decode()
    assert "(12 of 12 runs ok), no method was trained to competence, so none is called best." in page
    assert "No method was trained to competence." in page  # under the plane


def test_old_results_are_neither_marked_nor_held_back(tree: Path) -> None:
    table = main_of(tree)
    assert "Training to competence was not tested: nothing was measured on validation images." in table.footnotes
    assert not any("‡" in row.cells[0].mark for row in table.rows)
    assert any(cell.best for row in table.rows for cell in row.cells)
    measure(tree, mae={})
    assert any(note.startswith("Training to competence of MAE regression was not tested") for note in main_of(tree).footnotes)


# Samplers, versions of the code


def test_a_sampler_in_name_only_is_called_one(tree: Path) -> None:
    for path in tree.glob(f"{RUNS}/pix2pix/*/metrics.json"):
        metrics = json.loads(path.read_text())["metrics"]
        # the own target at 2.45, another picture's at 2.45 / (1 - 0.5)
        edit(path, metrics={**metrics, "intra_diversity": 0.005, "pd": 2.45, "pairgain": 0.5})
    assert stochastic_in_name(dataset_of(tree)) == [
        "Pix2Pix is stochastic in name: samples of one condition differ by 0.005, different pictures by 4.9 (PD-EffLite0, mean)."
    ]
    assert sum("stochastic in name" in note for note in main_of(tree).footnotes) == 1
    for path in tree.glob(f"{RUNS}/pix2pix/*/metrics.json"):
        metrics = json.loads(path.read_text())["metrics"]
        edit(path, metrics={**metrics, "intra_diversity": 0.05})
    assert stochastic_in_name(dataset_of(tree)) == []


def test_bars_are_said_to_flatter(tmp_path: Path) -> None:
    params = make_params([0])
    write_inputs(tmp_path, params)
    padded = params.datasets["icons_a"].model_copy(update={"fit": "pad"})
    chosen = params.model_copy(update={"datasets": {"icons_a": padded}})
    notes = [" ".join(main_table(found, found.datasets[0]).footnotes) for found in (collect(each, tmp_path) for each in (params, chosen))]
    assert ["bars are right by construction, and flatter every metric" in note for note in notes] == [False, True]


def test_versions_of_the_code_are_compared_within_a_method(tree: Path) -> None:
    sentence = "Seeds of one method were trained by different versions of its code: "

    def said() -> list[str]:
        results = collect(make_params(SEEDS), tree)
        return [note.removeprefix(sentence) for note in degradations(results, results.datasets[0]) if note.startswith(sentence)]

    for seed in SEEDS:
        edit(tree / RUNS / f"mae/{seed}/run.json", code_sha256="d" * 64)
    assert said() == []  # a method's code differs from another's by design
    edit(tree / RUNS / "mae/1/run.json", code_sha256="e" * 64)
    assert said() == ["MAE regression."]


# Data


def data_card(dataset: DatasetResult) -> dict[str, str]:
    return dict(particulars.data_card(dataset)["rows"])


def test_the_data_section_says_how_a_folder_was_read_and_what_was_left_out(tree: Path) -> None:
    dataset = dataset_of(tree)
    assert dataset.prepared is not None
    embedded = data_card(dataset)
    assert embedded["Rasteriser"] == "resvg-py 0.5.0"
    assert not {"Layout", "Left out", "Passed over", "Noticed"} & embedded.keys()
    dataset.prepared.card.update(
        source="folder", fit="crop", augment="resize-crop", condition="grey",
        reading={
            "layout": "single", "sizes": "40×40", "notes": ["side B: odd", "side B: small"],
            "left_out": [{"file": f"{n}.png", "reason": "empty"} for n in range(7)], "passed_over": {"count": 1, "files": ["notes.txt"]},
        },
    )  # fmt: skip
    card = data_card(dataset)
    assert "Rasteriser" not in card, "nothing of a folder is drawn here"
    assert card["Prepared"] == "condition: grey, fit: crop, augment: resize-crop"
    assert card["Layout"] == "single (single pictures), 40×40 px"
    assert card["Left out"] == "7: 0.png: empty; 1.png: empty; 2.png: empty; 3.png: empty; 4.png: empty; and 2 more"
    assert card["Passed over"] == "1 file: no pictures"
    assert card["Noticed"] == "side B: odd; side B: small"
    dataset.prepared.card["source"] = "photos"
    assert "Rasteriser" not in data_card(dataset)


def test_every_layout_that_a_card_may_name_has_a_title(tree: Path) -> None:
    dataset = dataset_of(tree)
    assert dataset.prepared is not None
    for layout in layouts.TITLES:
        reading = {"layout": layout, "sizes": "8×8", "notes": [], "left_out": [], "passed_over": {"count": 0, "files": []}}
        dataset.prepared.card["reading"] = reading
        assert data_card(dataset)["Layout"].startswith(f"{layout} (")


def test_a_method_without_a_paper_shows_its_own_settings(tmp_path: Path) -> None:
    params = make_params([0])
    mixture = METHODS["weighted"].Settings.model_validate({"implementation": "weighted", "terms": {"l1": 2, "ssim": 3}})
    params = params.model_copy(update={"methods": {**params.methods, "mine": mixture}})
    write_inputs(tmp_path, params)
    page = build(params, tmp_path).cited["index.html"].decode()
    section = page.partition('id="method-mine"')[2].partition("</section>")[0]
    assert "(1 − SSIM(y, G(x)))" in section
    assert "No differences from the paper" not in section
    assert '<p class="muted">. ' not in page


def test_the_settings_that_every_trained_method_has_are_not_a_methods_own() -> None:
    assert particulars.own_settings(settings("mae")) == ""
    assert particulars.own_settings(settings("pix2pix", l1_weight=2.5)) == "r1 0, diffaugment (), adversarial vanilla, l1 weight 2.5"
