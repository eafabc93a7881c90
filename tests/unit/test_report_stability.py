"""How a training went: the arithmetic on curves whose answer is known, and the columns that the report makes of it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from report_inputs import make_params, write_inputs, write_json

from cgm.report.figures.losses import loss_curves
from cgm.report.figures.validation import validation_curves
from cgm.report.footnotes import degradations
from cgm.report.page import table_page
from cgm.report.results import History, Results, collect
from cgm.report.stability import budget_to, closing_mean, spike, typical
from cgm.report.table_format import Table, to_csv, to_latex, to_markdown
from cgm.report.tables.cost import cost_table
from cgm.report.tables.main import main_table
from cgm.report.tables.stability import stability_table

RUNS = "results/icons_a"


def history(kimg: list[float], values: list[float | None]) -> History:
    return {"kimg": list(kimg), "x": values}


@pytest.mark.parametrize(
    ("kimg", "values", "expected"),
    [
        ([0, 10], [1.0, 0.0], 9.5),  # a straight line
        ([0, 4, 8], [3.0, 1.0, 1.0], 3.8),  # done half-way
        ([0, 4, 8], [1.0, 0.05, 0.0], 4.0),  # the mark is hit by a point
        ([0, 2, 4, 8], [1.0, -1.0, 0.5, 0.0], 0.95),  # overshoots: the first time counts
        ([0, 2, 4, 8], [1.0, 2.0, 1.0, 0.0], 7.8),  # gets worse first
        ([0, 1, 4, 6, 8], [1.0, None, 0.5, None, 0.0], 7.6),  # rows without a validation
        ([0, 8], [1.0, 1.0], math.inf),
        ([0, 4, 8], [1.0, 0.2, 1.5], math.inf),  # better meanwhile, but not in the end
        ([0, 8], [1.0, math.nextafter(1.0, 0.0)], 7.6),  # an improvement of one unit in the last place is one
        ([2, 4, 8], [1.0, 0.5, 0.0], None),  # no point before the first step
        ([0, 8], [1.0, None], None),
        ([], [], None),
    ],
)
def test_budget_by_hand(kimg: list[float], values: list[float | None], expected: float | None) -> None:
    found = budget_to(history(kimg, values), "x")
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-12))


def test_budget_of_an_exponential_approach() -> None:
    """v = c + e^(−t/τ) over 0 … T has covered a share s of its way at t = −τ ln(1 − s (1 − e^(−T/τ)))."""
    tau, end, share = 2.0, 10.0, 0.95
    grid = [end * point / 4000 for point in range(4001)]
    for c, size in ((0.0, 1.0), (-3.0, 40.0), (7.0, 1e-3)):  # neither an offset nor a unit matters
        found = budget_to(history(grid, [c + size * math.exp(-t / tau) for t in grid]), "x", share)
        assert found == pytest.approx(-tau * math.log(1 - share * (1 - math.exp(-end / tau))), abs=1e-5)


def test_spikes_and_typical_values_by_hand() -> None:
    values = history([0, 1, 2, 3, 4, 5], [None, 2.0, 3.0, 12.0, 2.5, 3.0])
    assert (typical(values, "x"), spike(values, "x")) == (3.0, 4.0)
    assert spike(history([1, 2, 3], [0.7, 0.7, 0.7]), "x") == 1.0
    assert (typical(history([1, 2], [0.0, 0.0]), "x"), spike(history([1, 2], [0.0, 0.0]), "x")) == (0.0, None)
    assert (typical(values, "gradient/D"), spike(values, "gradient/D")) == (None, None)


def test_closing_mean_weighs_each_row_by_its_stretch() -> None:
    # rows end at 0, 8, 9.6, 10: the last tenth is 0.6 of the row to 9.6 and all of the row to 10
    assert closing_mean(history([0, 8, 9.6, 10], [None, 0.1, 0.5, 1.0]), "x") == pytest.approx(0.6 * 0.5 + 0.4 * 1.0)
    assert closing_mean(history([8, 9.6, 10], [0.1, 0.5, 1.0]), "x", share=1.0) == pytest.approx(0.08 + 0.08 + 0.04)
    assert closing_mean(history([0, 5, 10], [None, 0.2, 0.8]), "x") == pytest.approx(0.8)  # a row longer than the last tenth
    assert closing_mean(history([0, 9.6, 10], [None, 0.5, None]), "x") == pytest.approx(0.5)  # what wasn't measured has no weight
    assert closing_mean(history([0, 9, 10], [None, 0.5, None]), "x") is None
    assert closing_mean({}, "x") is None


def test_closing_mean_of_a_line_is_its_middle() -> None:
    """A quantity that rises as t, logged as means since the row before, at rows that are not evenly spaced: its mean over 9 … 10 is 9.5."""
    ends = sorted({0.0, *(0.07 * row for row in range(1, 143)), *(1.25 * row for row in range(1, 9)), 9.0})
    means = [None, *((begin + end) / 2 for begin, end in pairwise(ends))]
    assert closing_mean(history(ends, means), "x") == pytest.approx(9.5, rel=1e-12)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_impossible_shares_raise(share: float) -> None:
    with pytest.raises(ValueError, match="expected 0 < share ≤ 1"):
        budget_to({}, "x", share)
    with pytest.raises(ValueError, match="expected 0 < share ≤ 1"):
        closing_mean({}, "x", share)


def read(root: Path, seeds: list[int] | None = None) -> Results:
    return collect(make_params(seeds or [0, 1, 2]), root)


def rows_of(table: Table) -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in csv.DictReader(io.StringIO(to_csv(table)))}


def stability_of(root: Path) -> Table:
    results = read(root)
    return stability_table(results, results.datasets[0])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_inputs(tmp_path, make_params([0, 1, 2]))
    return tmp_path


def edit_history(path: Path, change: Callable[[dict[str, str]], dict[str, str] | None]) -> None:
    """Rewrite each row by ``change``; None leaves it out."""
    rows = [change(row) for row in csv.DictReader(path.read_text().splitlines())]
    kept = [row for row in rows if row is not None]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(kept[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)


def test_columns_of_the_table(tree: Path) -> None:
    rows = rows_of(stability_of(tree))
    # PD 2.2 at 0, 1/3 at 0.6, 1/5 at 1.0: the mark is 0.3, a quarter of the last stretch
    for row in rows.values():
        assert float(row["kimg_to_final"]) == float(row["share_to_final"]) == pytest.approx(0.7)
    # norms 3 1 2 8 2 times 1 + the method's number; accuracy 0.5 + 1/20 a row, of which the last is the last fifth
    assert [float(rows["pix2pix"][key]) for key in ("gradient_g", "gradient_g_spike", "gradient_d", "gradient_d_spike")] == [4, 4, 4, 4]
    assert float(rows["pix2pix"]["accuracy_d"]) == pytest.approx(0.75)
    assert [rows["mae"][key] for key in ("gradient_g", "gradient_d", "gradient_d_spike", "accuracy_d")] == ["2.0", "", "", ""]
    results = read(tree)
    cost = rows_of(cost_table(results, results.datasets[0]))
    assert float(cost["mae"]["seconds_to_final"]) == pytest.approx(700 / 81.25)
    assert cost["mae"]["precision"] == "float32"


def test_every_rendering_says_which_column_is_which(tree: Path) -> None:
    table = stability_of(tree)
    headings = [
        "To 95% (10³ images)",
        "To 95% (% of budget)",
        "G median",
        "G max ÷ median",
        "D median",
        "D max ÷ median",
        "D right (share)",
    ]
    assert [heading for heading in table.headings if heading in headings] == headings
    assert len(set(table.headings)) == len(table.headings)
    assert "| 0.70 | 70 | 4.000 | 4.0 | 4.000 | 4.0 | 0.75 |" in to_markdown(table)
    latex = to_latex(table)
    assert latex.isascii()
    assert "\\multicolumn{2}{c}{To 95\\% of final PD-EffLite0} & \\multicolumn{4}{c}{Gradient norm}" in latex
    page = table_page(table)
    assert '<th scope="colgroup" class="start" colspan="4">Gradient norm</th>' in page
    for note in ("To 95%: ", "Gradient norm: ", "D right: ", "Coefficient of variation: ", "Seeds: "):
        assert sum(footnote.startswith(note) for footnote in table.footnotes) == 1


def test_seeds_that_never_get_there_count_as_never(tree: Path) -> None:
    def worse(row: dict[str, str]) -> dict[str, str]:
        return {**row, "val/pd": "0.1"} if row["kimg"] == "0" else row

    edit_history(tree / RUNS / "mae/0/history.csv", worse)
    for seed in (0, 1):
        edit_history(tree / RUNS / f"pix2pix/{seed}/history.csv", worse)
    table = stability_of(tree)
    rows = rows_of(table)
    assert float(rows["mae"]["kimg_to_final"]) == pytest.approx(0.7)  # the median of 0.7, 0.7 and never
    assert rows["pix2pix"]["kimg_to_final"] == rows["pix2pix"]["share_to_final"] == ""
    assert "No budget to 95% for Pix2Pix: half of the seeds or more end no better than they began." in table.footnotes


def test_a_method_without_a_curve_says_so(tree: Path) -> None:
    for seed in range(3):
        edit_history(
            tree / RUNS / f"mae/{seed}/history.csv",
            lambda row: {name: value for name, value in row.items() if not name.startswith("val/")} if row["kimg"] != "0" else None,
        )
    table = stability_of(tree)
    assert rows_of(table)["mae"]["kimg_to_final"] == ""
    assert any(note.startswith("No budget to 95% for MAE regression: no validation curve") for note in table.footnotes)


def test_mae_stands_in_where_no_run_has_a_perceptual_distance(tree: Path) -> None:
    for path in (tree / RUNS).glob("*/*/history.csv"):
        edit_history(path, lambda row: {name: value for name, value in row.items() if name != "val/pd"})
    table = stability_of(tree)
    assert {column.group for column in table.columns if column.key.endswith("_to_final")} == {"To 95% of final MAE"}
    # MAE 0.4 at 0, 0.2/3 at 0.6, 0.04 at 1.0: the mark is 0.058
    assert float(rows_of(table)["mae"]["kimg_to_final"]) == pytest.approx(0.6 + 0.4 * (0.2 / 3 - 0.058) / (0.2 / 3 - 0.04))


def test_histories_of_older_runs_leave_the_cells_empty(tree: Path) -> None:
    new = ("gradient/", "accuracy/")
    for path in (tree / RUNS).glob("*/*/history.csv"):
        edit_history(
            path, lambda row: None if row["kimg"] == "0" else {name: value for name, value in row.items() if not name.startswith(new)}
        )
    (tree / RUNS / "perceptual/0/history.csv").unlink()
    table = stability_of(tree)
    columns = [column.key for column in table.columns]
    for row in rows_of(table).values():
        assert {row[key] for key in columns[columns.index("kimg_to_final") :]} == {""}
        assert (row["ok"], bool(row["kid_variation"])) == ("3.0", True)
    assert any(note.startswith("No budget to 95%: no validation curve") for note in table.footnotes)
    assert any(note.startswith("Some runs were made before") for note in table.footnotes)


def test_each_diverged_seed_names_its_step(tree: Path) -> None:
    for seed, step in ((0, 7), (1, 7), (2, 31)):
        path = tree / RUNS / f"pix2pix/{seed}/run.json"
        reason = f"the loss of D is not finite at step {step}"
        write_json(path, {**json.loads(path.read_text()), "status": "diverged", "reason": reason})
    table = stability_of(tree)
    assert (
        "Pix2Pix: 3 seeds diverged, 0 and 1 (the loss of D is not finite at step 7); 2 (the loss of D is not finite at step 31); "
        "left out of the means."
    ) in table.footnotes
    row = rows_of(table)["pix2pix"]
    assert {row[key] for key in ("kimg_to_final", "gradient_g", "gradient_d_spike", "accuracy_d", "kid_variation")} == {""}


def test_losses_are_the_players_terms_alone(tree: Path) -> None:
    results = read(tree)
    picture = loss_curves(results, results.datasets[0])
    assert picture is not None
    drawn = {row["column"] for row in csv.DictReader(io.StringIO(picture.csv.decode()))}
    assert drawn == {"G/adversarial", "D/real", "G/regression"}


def test_validation_is_titled_by_the_trainings_judge(tmp_path: Path) -> None:
    """As in the full experiment, whose evaluation looks through another network than its curves."""
    write_inputs(tmp_path, make_params([0]))
    params = make_params([0])
    params = params.model_copy(update={"training": params.training.model_copy(update={"judge": "vgg16"})})
    results = collect(params, tmp_path)
    picture = validation_curves(results, results.datasets[0])
    assert picture is not None
    assert "PD-VGG16" in picture.alt
    assert "PD-EffLite0" not in picture.alt
    table = stability_table(results, results.datasets[0])
    assert any(column.group == "To 95% of final PD-VGG16" for column in table.columns)


def test_different_precisions_are_named(tree: Path) -> None:
    results = read(tree)
    sentence = "Runs were made with different precisions"
    assert not any(sentence in note for note in degradations(results, results.datasets[0]))
    for seed in range(3):
        path = tree / RUNS / f"perceptual/{seed}/run.json"
        write_json(path, {**json.loads(path.read_text()), "precision": "bfloat16"})
    results = read(tree)
    expected = f"{sentence} (bfloat16: Perceptual loss; float32: MAE regression, Pix2Pix and Pix2Pix (pix2pix_l10)): "
    tables = [make(results, results.datasets[0]) for make in (main_table, cost_table, stability_table)]
    for table in tables:
        assert sum(note.startswith(expected) for note in table.footnotes) == 1
    assert any("; bfloat16 and float32;" in note for note in tables[0].footnotes)
    assert {key: row["precision"] for key, row in rows_of(tables[1]).items()} == {
        "mae": "float32", "pix2pix": "float32", "perceptual": "bfloat16", "pix2pix_l10": "float32",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("what", "change", "named"),
    [
        ("on different devices", {"device": "A GPU"}, "(A GPU: Perceptual loss; CPU (x86_64): MAE regression, "),
        ("with different versions of torch", {"versions": {"torch": "2.14.0"}}, "(2.14.0: Perceptual loss; 2.15.0: MAE regression, "),
    ],
)
def test_other_machines_are_named(tree: Path, what: str, change: dict, named: str) -> None:
    """Runs may have been trained elsewhere."""
    for seed in range(3):
        path = tree / RUNS / f"perceptual/{seed}/run.json"
        write_json(path, {**json.loads(path.read_text()), **change})
    results = read(tree)
    assert sum(note.startswith(f"Runs were made {what} {named}") for note in degradations(results, results.datasets[0])) == 1
