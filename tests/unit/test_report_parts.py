"""Tables, ranking, labels and the placing of text."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from report_inputs import JUDGE, make_params, metrics, write_inputs, write_json

from cgm.core.registry import Registry
from cgm.evaluation import stats
from cgm.evaluation.metrics import METRICS
from cgm.methods import METHODS
from cgm.report import labels
from cgm.report.figures import FIGURES
from cgm.report.figures.figure import Figure
from cgm.report.figures.sheet import shown_items
from cgm.report.plotting import DARK, LIGHT, _contrast, place_labels, readable, to_rgb
from cgm.report.ranking import rank
from cgm.report.results import DatasetResult, collect
from cgm.report.summary import answer
from cgm.report.table_format import Cell, Column, Row, Table, escape_latex, to_csv, to_latex, to_markdown
from cgm.report.tables import TABLES
from cgm.report.tables.main import main_table
from cgm.report.tables.maker import TableMaker


def interval(mean: float, half_width: float | None = None, n: int = 3) -> stats.Interval:
    return stats.Interval(mean=mean, half_width=half_width, n=n)


TABLE = Table(
    kind="main",
    dataset="icons",
    title="A & B",
    columns=(
        Column(key="method", title="Method", numeric=False),
        Column(key="kid", title="KD_x", arrow="↓", group="Realism", detail="×10³", scale=1000, most=1),
    ),
    rows=(
        Row(key="a_b", cells=(Cell(text="a_b", mark="†"), Cell(interval=interval(0.0213, 0.0004), best=True))),
        Row(key="c", cells=(Cell(text="100% | c"), Cell())),
        Row(key="floor:real", kind="floor", cells=(Cell(text="floor"), Cell(interval=interval(-0.0012, None, 1)))),
    ),
    footnotes=("5% of {x}",),
)


def results_of(root: Path, seeds: list[int]) -> DatasetResult:
    return collect(make_params(seeds), root).datasets[0]


def test_markdown() -> None:
    assert to_markdown(TABLE) == (
        "**A & B**\n\n"
        "| Method | KD_x (×10³) ↓ |\n| --- | ---: |\n"
        "| a_b† | **21.3 ± 0.4** |\n| 100% \\| c | – |\n| floor | −1.2 |\n\n5% of {x}\n"
    )


def test_csv_is_unscaled_and_exact() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(TABLE))))
    assert rows[0] == {"id": "a_b", "method": "a_b", "kid": "0.0213", "kid_ci95": "0.0004", "kid_n": "3", "kid_best": "1"}
    assert rows[1]["kid"] == ""
    assert rows[2] == {"id": "floor:real", "method": "floor", "kid": "-0.0012", "kid_ci95": "", "kid_n": "1", "kid_best": "0"}


def test_latex() -> None:
    text = to_latex(TABLE)
    assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")
    assert "a\\_b$^\\dagger$ & \\textbf{21.3 $\\pm$ 0.4} \\\\" in text
    assert "100\\% | c & -- \\\\" in text
    assert "KD\\_x ($\\times$10$^3$) $\\downarrow$" in text
    assert "5\\% of \\{x\\}" in text
    assert text.count("\\midrule") == 2
    assert text.index("\\toprule") < text.index("\\midrule") < text.index("\\bottomrule")
    assert text.isascii()


def test_every_special_character_is_escaped() -> None:
    assert escape_latex(r"\&%$#_{}~^<>") == (r"\textbackslash{}\&\%\$\#\_\{\}\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}")


def test_columns_keep_their_decimals() -> None:
    columns = (Column(key="x", title="x", most=3),)
    rows = tuple(
        Row(key=str(value), cells=(Cell(interval=interval(value, half)),)) for value, half in ((0.5, 0.02), (0.25, 0.00001), (1, 0.3))
    )
    table = Table(kind="main", dataset="icons", title="t", columns=columns, rows=rows)
    assert [table.show(columns[0], row.cells[0]) for row in rows] == [("0.50", "0.02"), ("0.25", "<0.01"), ("1.00", "0.30")]


def test_a_row_of_the_wrong_length_raises() -> None:
    with pytest.raises(ValueError, match="row a has 1 cells, expected 2"):
        Table(kind="main", dataset="icons", title="t", columns=TABLE.columns, rows=(Row(key="a", cells=(Cell(text="a"),)),))


def test_main_table_ranks_and_marks(tmp_path: Path) -> None:
    params = make_params([0, 1, 2])
    write_inputs(tmp_path, params)
    # pix2pix scatters around mae: as good for all that matters; perceptual stays far behind
    for seed, shift in enumerate((-0.02, 0.03, 0.0)):
        scores = metrics(make_params([0]), 0, seed, stochastic=True)
        scores["metrics"]["mae"] += shift
        write_json(tmp_path / f"results/icons_a/pix2pix/{seed}/metrics.json", {**scores, "status": "ok"})
    results = collect(params, tmp_path)
    table = main_table(results, results.datasets[0])
    place = [column.key for column in table.columns].index("mae")
    best = {row.key: row.cells[place].best for row in table.rows}
    assert {key for key, found in best.items() if found} == {"mae", "pix2pix"}
    assert [row.kind for row in table.rows] == ["method"] * 4 + ["baseline"] * 3 + ["floor"]
    assert {row.key for row in table.rows if row.cells[0].mark} == {"perceptual"}
    titles = {column.key: (column.title, column.detail) for column in table.columns}
    assert titles["kid"] == ("KD-EffLite0", "×10³")
    assert titles["fid"] == ("FD-EffLite0", "N = 10")
    assert "Chance level of retrieval@1: 1/10 = 0.1000." in table.footnotes
    assert any("unet width 32 (64)" in note and "batch size 8 (1; 4 for Perceptual loss)" in note for note in table.footnotes)


def test_ranking_by_distance_from_the_target(tmp_path: Path) -> None:
    write_inputs(tmp_path, make_params([0, 1, 2]))
    # Vendi ÷ real: mae .900 .909 .918, pix2pix 1.17 …: mae is nearer to 1; recall is higher for the last
    dataset = results_of(tmp_path, [0, 1, 2])
    found = rank(dataset, "vendi_ratio")
    assert found is not None
    assert (found.best, found.near, found.first, found.ahead) == ("mae", (), "pix2pix", True)
    assert found.confidence is not None
    assert found.confidence > 0.99
    highest = rank(dataset, "recall")
    assert highest is not None
    assert highest.best == "pix2pix_l10"
    assert rank(dataset, "lpips") is None


def test_bold_is_what_matters_and_not_what_a_test_cannot_tell(tmp_path: Path) -> None:
    """Retrieval 0.74 ± 0.04 beside 0.44 ± 0.11: three seeds can't tell them apart, and yet only one is best."""
    write_inputs(tmp_path, make_params([0, 1, 2]))
    values = {"mae": (0.70, 0.74, 0.78), "pix2pix": (0.34, 0.44, 0.54), "pix2pix_l10": (0.73, 0.74, 0.738), "perceptual": (0.5, 0.5, 0.51)}
    for method, found_by_seed in values.items():
        for seed, value in enumerate(found_by_seed):
            path = tmp_path / f"results/icons_a/{method}/{seed}/metrics.json"
            scores = json.loads(path.read_text())
            scores["metrics"]["retrieval"] = value
            write_json(path, scores)
    found = rank(results_of(tmp_path, [0, 1, 2]), "retrieval")
    assert found is not None
    assert found.winners == ("mae", "pix2pix_l10")
    assert found.ahead is False
    assert found.first == "pix2pix_l10"
    assert found.confidence is not None
    assert 0.5 < found.confidence < 0.95


def test_intervals_know_images(tmp_path: Path) -> None:
    """Seeds that agree, on images that vary: over seeds alone the interval would be far too short."""
    write_inputs(tmp_path, make_params([0, 1, 2]))
    before = results_of(tmp_path, [0, 1, 2]).estimate("mae", "mae")
    assert before is not None
    assert before.over == "seeds"
    for method in ("mae", "pix2pix", "perceptual", "pix2pix_l10"):
        for seed in range(3):
            path = tmp_path / f"results/icons_a/{method}/{seed}/metrics.json"
            scores = json.loads(path.read_text())
            value = scores["metrics"]["mae"]
            without = [value * (1 + 0.02 * place) for place in (-2, -1, 0, 1, 2)]
            write_json(path, {**scores, "left_out": {"mae": without}, "group_sizes": [2] * 5})
    dataset = results_of(tmp_path, [0, 1, 2])
    after = dataset.estimate("mae", "mae")
    assert after is not None
    assert after.over == "seeds and images"
    assert before.half_width is not None
    assert after.half_width is not None
    assert after.half_width > 3 * before.half_width
    kid = dataset.estimate("mae", "kid")
    assert kid is not None
    assert kid.over == "seeds"  # of which nothing was left out
    found = rank(dataset, "mae")  # of the difference of two methods on the same images, the images' part is small
    assert found is not None
    assert found.ahead
    results = collect(make_params([0, 1, 2]), tmp_path)
    note = main_table(results, results.datasets[0]).footnotes[0]
    assert "95% interval for new seeds and new images (5 groups of test images left out in turn), over seeds alone of PSNR" in note


def test_equal_values_are_set_in_bold_together(tmp_path: Path) -> None:
    write_inputs(tmp_path, make_params([0, 1]))
    found = rank(results_of(tmp_path, [0, 1]), "mae")
    assert found is not None
    assert (found.best, found.near) == ("mae", ())
    for seed in (0, 1):
        write_json(tmp_path / f"results/icons_a/perceptual/{seed}/metrics.json", {**metrics(make_params([0]), 0, seed), "status": "ok"})
    same = rank(results_of(tmp_path, [0, 1]), "mae")
    assert same is not None
    assert same.winners == ("mae", "perceptual")
    assert same.bold == same.winners  # mse is worse


def test_where_all_are_as_good_none_is_set_in_bold(tmp_path: Path) -> None:
    write_inputs(tmp_path, make_params([0]))
    results = results_of(tmp_path, [0])
    for method in results.methods:
        write_json(tmp_path / f"results/icons_a/{method}/0/metrics.json", {**metrics(make_params([0]), 0, 0), "status": "ok"})
    found = rank(results_of(tmp_path, [0]), "mae")
    assert found is not None
    assert len(found.winners) == found.ranked > 1
    assert found.bold == ()


@pytest.mark.parametrize(
    ("metric", "judge", "title"),
    [
        ("fid", "inception-2015", "FID"),
        ("kid", "inception-2015", "KID"),
        ("pd", "inception-2015", "PD-Inception"),
        ("fid", "vgg16", "FD-VGG16"),
        ("fid", JUDGE["name"], "FD-EffLite0"),
        ("kid", "efficientnet-lite1", "KD-EffLite1"),
        ("pd", "new-net", "PD-new-net"),
        ("mae", "", "MAE"),
    ],
)
def test_headings_name_the_judge(metric: str, judge: str, title: str) -> None:
    assert labels.metric_title(metric, judge) == title


def test_arrows_and_factors() -> None:
    assert [labels.arrow(metric) for metric in ("mae", "psnr", "vendi_ratio")] == ["↓", "↑", "→1"]
    assert (labels.factor("mae"), labels.factor("kid")) == ("", "×10³")
    assert labels.scaled_title("mae", "") == "MAE"


def test_a_changed_metric_or_method_shows_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    kid, pix2pix = METRICS["kid"], METHODS["pix2pix"]
    monkeypatch.setattr("cgm.evaluation.metrics.kid.KID", replace(kid, about=replace(kid.about, version=2)))
    monkeypatch.setattr(pix2pix, "about", replace(pix2pix.about, version=3))
    assert labels.metric_title("kid", "inception-2015") == "KID v2"
    methods = make_params([0]).methods
    assert labels.titles(methods, ["mae", "pix2pix", "pix2pix_l10"]) == "MAE regression, Pix2Pix v3 and Pix2Pix v3 (pix2pix_l10)"


@pytest.mark.parametrize(("registry", "kind"), [(FIGURES, Figure), (TABLES, TableMaker)])
def test_every_entry_is_a_record_of_its_name(registry: Registry[Figure] | Registry[TableMaker], kind: type) -> None:
    for name, record in registry.items():
        assert isinstance(record, kind)
        assert record.kind == name


def test_items_are_chosen_by_hash_alone() -> None:
    ids = [f"id{number}" for number in range(30)]
    chosen = [ids[place] for place in shown_items(ids, 5)]
    assert chosen == [ids[::-1][place] for place in shown_items(ids[::-1], 5)]
    assert len(set(chosen)) == 5


def test_labels_never_overlap() -> None:
    figure = Canvas(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    anchors = [(0.5 + 0.01 * (number % 4), 0.5 + 0.01 * (number // 4)) for number in range(12)] + [(0.0, 0.0), (1.0, 1.0)]
    axes.plot(*zip(*anchors, strict=True), "o")
    texts = [f"method number {number}" for number in range(len(anchors))]
    boxes = place_labels(axes, anchors, texts, [LIGHT.ink] * len(anchors), anchors, LIGHT)
    assert not any(a.overlaps(b) for place, a in enumerate(boxes) for b in boxes[:place])
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_text_in_a_methods_colour_is_legible(theme) -> None:
    assert all(_contrast(to_rgb(readable(colour, theme)), to_rgb(theme.ground)) >= 4.5 for colour in theme.palette)


def test_the_answer_says_where_what_needs_no_training_is_better(tmp_path: Path) -> None:
    write_inputs(tmp_path, make_params([0, 1, 2]))
    before = dict(answer(results_of(tmp_path, [0, 1, 2])))
    assert "what needs no training" not in before["Fidelity"]
    path = tmp_path / "data/reference/icons_a/scores.json"
    scores = json.loads(path.read_text())
    for row in scores["rows"]:
        if row["metric"] == "mae" and row["method"] in ("baseline:copy_input", "baseline:target"):
            row["value"] = 0.01
    write_json(path, scores)
    after = dict(answer(results_of(tmp_path, [0, 1, 2])))
    assert after["Fidelity"].endswith("; but what needs no training scores better: copy the input (0.0100).")
    assert after["Realism"] == before["Realism"]
