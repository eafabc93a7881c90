"""``cgm compare``: what moved between two results.csv, and what only seems to have."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as reference

from cgm.core.errors import UserError
from cgm.report.compare import Comparison, Values, check_names, chosen, compare, read
from cgm.report.results import COLUMNS
from pipeline import cli
from pipeline.compare_command import summary, table

Rows = list[tuple[str, str, int, str, float | None]]
SEEDS = range(3)


def write(path: Path, rows: Rows, status: str = "diverged") -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for dataset, method, seed, metric, value in rows:
            writer.writerow(
                [dataset, method, seed, metric, "", *((repr(value), 10, 10, "ok") if value is not None else ("", 0, 0, status))]
            )
    return path


def values(means: dict[str, float], generator: np.random.Generator, spread: float = 0.01, seeds: range = SEEDS) -> Values:
    by_key = {
        ("icons", method, "mae", ""): {seed: mean + spread * generator.standard_normal() for seed in seeds}
        for method, mean in means.items()
    }
    return Values(by_key=by_key, broken={})


def test_the_test_is_welchs() -> None:
    generator = np.random.default_rng(0)
    a, b = values({"one": 0.1}, generator, seeds=range(5)), values({"one": 0.12}, generator, 0.03)
    (move,) = compare(a, b).moves
    one, other = (list(next(iter(each.by_key.values())).values()) for each in (a, b))
    expected = reference.ttest_ind(other, one, equal_var=False)
    assert move.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert (move.difference - (move.half_width or 0), move.difference + (move.half_width or 0)) == pytest.approx(tuple(interval))
    (paired,) = compare(a, b, paired=True).moves
    assert paired.p == pytest.approx(reference.ttest_rel(other, one[:3]).pvalue)
    assert (paired.n_a, paired.n_b) == (3, 3)


def test_of_400_comparisons_where_nothing_moved_few_say_so() -> None:
    """Twenty means each, 3 seeds; as many with correlated seeds, where the test is stricter. 5% of families may err."""
    generator = np.random.default_rng(1)
    means = {f"method{place}": 0.1 * (1 + place) for place in range(20)}
    false = {0.0: 0, 0.5: 0}
    for correlation in false:
        for _ in range(200):
            a, b = values(means, generator, 1.0), values(means, generator, 1.0)
            if correlation:
                shared = {key: {seed: generator.standard_normal() for seed in SEEDS} for key in a.by_key}
                a, b = (
                    Values(
                        by_key={
                            key: {
                                seed: correlation**0.5 * shared[key][seed] + (1 - correlation) ** 0.5 * value
                                for seed, value in seeds.items()
                            }
                            for key, seeds in each.by_key.items()
                        },
                        broken={},
                    )
                    for each in (a, b)
                )
            false[correlation] += bool(compare(a, b).moved)
    assert false[0.0] <= 15  # 10 on average at most; 15 has a chance of 5% then
    assert false[0.5] <= false[0.0] + 2


def test_a_shift_that_seeds_do_not_explain_is_found() -> None:
    generator = np.random.default_rng(4)
    means = {f"method{place}": 0.1 for place in range(20)}
    found = compare(values(means, generator), values({**means, "method7": 0.4}, generator))
    assert [move.method for move in found.moved] == ["method7"]
    assert found.moved[0].difference == pytest.approx(0.3, abs=0.02)
    assert found.smallest_seen is not None
    assert 4 < found.smallest_seen < 10


def test_the_same_trainings_measured_in_another_way_are_compared_in_pairs() -> None:
    """A shift that is small beside the spread over seeds, the same in each."""
    a = values({"one": 0.1}, np.random.default_rng(3), 0.05)
    b = Values(by_key={key: {seed: value + 0.002 for seed, value in seeds.items()} for key, seeds in a.by_key.items()}, broken={})
    assert not compare(a, b).moved
    assert len(compare(a, b, paired=True).moved) == 1


def test_what_does_not_vary() -> None:
    key = ("icons", "one", "mae", "")
    a, b = (Values(by_key={key: dict.fromkeys(SEEDS, value)}, broken={}) for value in (0.1, 0.2))
    assert (compare(a, a).equal, compare(a, a).moves) == (1, [])
    (move,) = compare(a, b).moves
    assert (move.p, move.half_width, move.moved) == (0.0, 0.0, True)


def both(tmp_path: Path) -> tuple[Path, Path]:
    first: Rows = [("icons", "mae", seed, "mae", 0.1 + 0.001 * seed) for seed in SEEDS]
    first += [("icons", "gan", seed, "mae", 0.3) for seed in range(1)] + [("icons", "old", seed, "mae", 0.3) for seed in SEEDS]
    first += [("icons", "mse", seed, "mae", None if seed == 1 else 0.2 + 0.01 * seed) for seed in SEEDS]
    first += [("icons", "baseline:copy_input", 0, "mae", 0.5)]
    second: Rows = [("icons", "mae", seed, "mae", 0.2 + 0.001 * seed) for seed in range(5, 9)]
    second += [("icons", "gan", seed, "mae", 0.31) for seed in SEEDS] + [
        ("icons", "mse", seed, "mae", 0.2 + 0.011 * seed) for seed in SEEDS
    ]
    second += [("icons", "baseline:copy_input", 0, "mae", 0.4)]
    return write(tmp_path / "a.csv", first), write(tmp_path / "b.csv", second)


def test_what_is_only_in_one_file_or_cannot_be_told_is_said(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    found: Comparison = compare(read(a), read(b))
    assert [(move.method, move.moved) for move in found.moves] == [("mae", True), ("gan", False), ("mse", False)]
    text = "\n".join(summary(found, "a", "b"))
    for part in (
        "3 means in both: 1 moved, 1 within what seeds allow, 0 of the same values, 1 with too few seeds to tell.",
        "Only in A: icons/old (1 metric).",
        "Without values in A: icons/mse/1 (diverged).",
        "differ by up to 20% (icons, baseline:copy_input, mae)",
    ):
        assert part in text
    lines = table(found.moves).splitlines()
    assert lines[1].split()[3:6] == ["0.101", "0.207", "0.105"]
    assert lines[1].endswith("moved")
    assert lines[2].endswith("too few seeds")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = both(tmp_path)
    (tmp_path / "reports").mkdir()
    b.rename(tmp_path / "reports/results.csv")
    written = tmp_path / "moves.json", tmp_path / "moves.csv"
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", str(a), str(tmp_path / "reports"), "--json", str(written[0]), "--csv", str(written[1])])
    assert ended.value.code == 1
    assert "moved" in capsys.readouterr().out
    moves = json.loads(written[0].read_text())["moves"]
    rows = list(csv.DictReader(io.StringIO(written[1].read_text())))
    assert [(move["method"], str(int(move["moved"]))) for move in moves] == [(row["method"], row["moved"]) for row in rows]
    cli.main(["compare", str(a), str(tmp_path / "reports"), "--method", "mse", "--all"])
    assert "1 mean in both: 0 moved" in capsys.readouterr().out
    cli.main(["compare", str(a), str(a)])
    assert "Baselines and floors, which need no training, are the same." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset,method\n1,2\n", "found no column seed, expected dataset,method,seed"),
        ("", "found no column dataset"),
        (",".join(COLUMNS) + ",value\n", "found more than one column value"),
        (",".join(COLUMNS) + "\na,b,1,mae\n", "line 2: found 4 cells, expected 9; is the file whole?"),
        (",".join(COLUMNS) + "\na,b,1,mae,,1,1,1,ok,2\n", "line 2: found 10 cells, expected 9"),
        (",".join(COLUMNS) + '\n"a\nb",b,1,mae,,1,1,1,ok\n', "line 3: dataset: found 'a\\nb', expected a name"),
        (",".join(COLUMNS) + "\n\x1b[31m,b,1,mae,,1,1,1,ok\n", "line 2: dataset: found '\\x1b[31m', expected a name"),
        (",".join(COLUMNS) + "\n" + 200_000 * "a" + ",b,1,mae,,1,1,1,ok\n", "no CSV (field larger than"),
        (",".join(COLUMNS) + "\na,b,1,mae,,1e200,1,1,ok\n", "line 2: value: found 1e+200, expected a finite number of at most 1e+100"),
        (",".join(COLUMNS) + "\na,b,x,mae,,1,1,1,ok\n", "line 2: invalid literal"),
        (",".join(COLUMNS) + "\na,b,1,mae,,nan,1,1,ok\n", "line 2: value: found nan"),
        (",".join(COLUMNS) + "\na,b,1,mae,,1,1,1,ok\na,b,1,mae,,2,1,1,ok\n", "line 3: a, b, mae, seed 1 is there twice"),
    ],
)
def test_files_that_cannot_be_compared(tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", str(path), str(path)])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_names_narrow_the_family(tmp_path: Path) -> None:
    a, b = map(read, both(tmp_path))
    names = {"dataset": [], "method": ["mse"], "metric": ["mae"]}
    assert set(chosen(a, names).by_key) == {("icons", "mse", "mae", "")}
    assert chosen(a, {**names, "method": ["mae"]}).broken == {}
    with pytest.raises(UserError, match="--method msee: in neither file; did you mean 'mse'"):
        check_names((a, b), {"method": ["msee"]})


def test_a_spreadsheets_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [("icons", "mae", 0, "mae", 0.1)])
    plain = read(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(path) == plain


def test_files_with_nothing_in_common_are_not_said_to_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (write(tmp_path / f"{name}.csv", [(name, "mae", 0, "mae", 0.1)]) for name in "ab")
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", str(a), str(b)])
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert "Only in A: a/mae (1 metric)." in shown.out
    assert "found no mean that both have" in shown.err


@pytest.mark.parametrize("what", ["--json", "--csv"])
def test_a_folder_is_never_replaced_by_a_file(tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    a, _ = both(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years")
    for command in (["compare", str(a), str(a)], ["verify", str(tmp_path), "--alone"], ["score", str(tmp_path)]):
        if command[0] == "verify" and what == "--csv":
            continue
        with pytest.raises(SystemExit) as ended:
            cli.main([*command, what, str(tmp_path / "mine")])
        assert ended.value.code == 2
        assert "mine: found a folder, expected the name of a file to write" in capsys.readouterr().err
        assert (tmp_path / "mine/thesis.tex").read_text() == "years"
