"""The benchmark commands: what they compute from measurements, and their own sections of a page."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from benchmarks import engines, following, many, metrics, precision, stand_in, whole
from benchmarks.page import ROOT, renew_section
from benchmarks.whole import Job, Whole
from cgm.core.errors import UserError
from cgm.core.files import write_json
from cgm.evaluation.metrics import METRICS
from pipeline.stage_table import load_table

COMMANDS = (
    *("training", "engines", "metrics", "many", "inception", "precision", "whole", "carry", "unpack", "tracking", "following"),
    "study.discrimination",
)


def test_a_section_is_renewed_and_the_rest_of_the_page_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- one: generated, do not edit -->\nold\n<!-- end of one -->\n\nby hand\n", encoding="utf-8")
    renew_section("one", "new", page)
    renew_section("two", "added", page)
    assert page.read_text(encoding="utf-8") == (
        "# Title\n\n<!-- one: generated, do not edit -->\nnew\n<!-- end of one -->\n\nby hand\n\n"
        "<!-- two: generated, do not edit -->\nadded\n<!-- end of two -->\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_takes(command):
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{command}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: python -m benchmarks.{command}")


@pytest.mark.slow
def test_the_engines_agree_about_stand_ins(tmp_path):
    """Each stage's command in the copy writes what the table promises, and then neither engine has anything to do."""
    project = engines.Project(tmp_path, 10)
    rows = engines.nothing_to_do(project, 1)
    assert [row[1:3] for row in rows] == [["10", f"{len(load_table(tmp_path).stages)}"]] * 4
    project.change(101.0)
    project.run(*engines.SNAKEMAKE)
    assert {name.split()[0] for name, *_ in project.jobs()} == {"train", "translate", "evaluate", "track", "report"}


def test_a_stand_in_writes_the_outputs_of_its_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seeds: [0]\n")
    (tmp_path / stand_in.OUTS).write_text('{"train": ["results/{method}/{seed}/run.json", "data/{dataset}"]}')
    monkeypatch.setattr(sys, "argv", ["stand_in", "train", "dataset=d", "method=m", "seed=0"])
    stand_in.main()
    assert (tmp_path / "results/m/0/run.json").is_file()
    assert len(list((tmp_path / "data/d").iterdir())) == stand_in.FILES_IN_FOLDER
    assert (tmp_path / stand_in.JOBS).read_text().startswith("train dataset=d method=m seed=0\t")


def test_every_stage_has_its_stand_in():
    assert sorted(engines.COMMAND.findall((ROOT / "dvc.yaml").read_text(encoding="utf-8"))) == sorted(engines.STAGES)


@pytest.mark.slow
def test_both_sides_of_the_metrics_benchmark_agree(tmp_path):
    metrics.make(tmp_path, 64, 12, 24)
    ours, packages = (metrics.a_round(metrics.SIDES[side](tmp_path, 12, 24, metrics.JUDGES)[0]) for side in ("ours", "packages"))
    metrics.check_agreement(ours["values"], packages["values"])
    assert len(packages["values"]) == len(metrics.AGREEING)
    assert ours["peak_mib"] > 100
    assert len(packages["seconds"]) == 6
    assert (metrics.total(ours) < np.sum([*ours["seconds"].values()], axis=0)).all()  # forward passes alone are no part of it
    with pytest.raises(UserError, match="fid: found"):
        metrics.check_agreement({**ours["values"], "fid": 1.0}, packages["values"])


@pytest.mark.slow
def test_a_training_is_followed_in_every_other_turn(capsys):
    following.main(["--steps", "10", "--rounds", "1", "--runs", "10"])
    lines = capsys.readouterr().out.splitlines()
    seconds = {line.split(" | ")[0]: float(line.split(" | ")[1]) for line in lines if line.startswith(("| alone", "| followed"))}
    assert min(seconds.values()) > 0
    (share,) = (float(line.split("takes ")[1].split("%")[0]) for line in lines if "timed inside it" in line)
    assert 0 < share < 20  # of ten steps; it has five validations to show all the same


def test_very_many_images_are_few(tmp_path):
    sides = [(side, judge, 40) for side in ("reference", "statistics") for judge in many.WIDTHS]
    for side, *arguments in [*sides, ("pictures", 3, 32)]:
        found = many.SIDES[side](tmp_path, *arguments)
        assert all(part["mib"] > 50 for part in found.values())
        write_json(tmp_path / f"{'-'.join([side, *map(str, arguments)])}.json", found)
        if side != "pictures":
            write_json(tmp_path / f"{'-'.join([side, arguments[0], '20'])}.json", found)
    text = many.measure(tmp_path, 40, 3, 32, 40)
    assert "Extrapolated" not in text
    assert "| all but the reference |" in text
    assert "| evaluation |" in text
    assert "5 matrices of features (2 MiB)" in text
    text = many.measure(tmp_path, 40, 3, 32, 400)
    assert "**Extrapolated** to 400, not measured" in text
    assert text.count("| all but the reference |") == 2


def test_quadratic_work_is_extrapolated_by_its_power():
    whole, half = {"seconds": 8.0, "mib": 300.0}, {"seconds": 2.0, "mib": 200.0}
    assert many.extrapolated(whole, half, 2.5) == {"seconds": pytest.approx(50), "mib": pytest.approx(600)}
    assert many.extrapolated(whole, whole, 2.5) == {"seconds": pytest.approx(20), "mib": pytest.approx(300)}


def test_made_features_hang_together():
    targets, outputs, others = (many.made(role, 50, 30) for role in ("test targets", "test outputs", "train targets"))
    np.testing.assert_array_equal(targets, many.made("test targets", 50, 30))
    assert np.square(targets - outputs).sum() < np.square(targets - others).sum()


JOBS = [
    Job("fetch a", 1.0, 2.0, 0.5),
    Job("prepare a", 2.0, 4.0),  # on both cores
    Job("train a mae 0", 4.0, 10.0, 4.5),
    Job("train-unpaired b cyclegan 0", 4.0, 8.0, 3.0),
    Job("translate a mae 0", 10.0, 12.0, 1.0),
    Job("evaluate a mae 0", 10.5, 14.0, 1.75),
    Job("track", 14.5, 16.0, 0.75),
    Job("report", 14.5, 17.0, 2.5),
]
"""Two at once, in a run of 18 seconds."""


def test_the_wall_time_is_split_without_rest():
    parts = whole.breakdown(JOBS, 18.0, 2)
    assert sum(parts.values()) == pytest.approx(18.0)
    expected = {
        "engine before the first job": 1.0,
        "engine between jobs": 0.5,
        "engine after the last job": 1.0,
        "fetch": 0.25, "start of fetch": 0.25,
        "prepare": 2.0,
        "train": 3.75, "start of train": 1.25,
        "translate": 0.5, "start of translate": 0.5,
        "evaluate": 0.875, "start of evaluate": 0.875,
        "idle between jobs": 0.5 + 1.0 + 0.25,  # beside fetch, beside the longer training, beside translate
        "tail": 1.0,
        "track": 0.375, "start of track": 0.375,
        "report": 1.25,
        "idle beside track or report": 0.5,
    }  # fmt: skip
    assert {name: seconds for name, seconds in parts.items() if seconds} == pytest.approx(expected)


def test_more_jobs_than_places_share_the_time():
    jobs = [Job(f"train a mae {seed}", 0.0, 3.0, 3.0) for seed in range(3)]
    parts = whole.breakdown(jobs, 3.0, 2)
    assert parts["train"] == pytest.approx(3.0)
    assert sum(parts.values()) == pytest.approx(3.0)
    assert sum(whole.breakdown([*jobs, Job("prepare b", 1.0, 2.0)], 4.0, 2).values()) == pytest.approx(4.0)


def test_the_section_of_the_whole():
    two, eight = (Whole(cores, 2, wall, JOBS, "ab" * 32, 0.01) for cores, wall in ((2, 18.0), (8, 20.0)))
    assert two.pure == 9.25
    assert two.over_pure == pytest.approx(18.0 / 4.625)
    lines = whole.section("default", [two, eight]).splitlines()
    assert "| 2 | 2 | 18 |  | 9 | 3.89 | `abababababababab` |" in lines
    assert "| 8 | 2 | 20 | 1.11 | 9 | 4.32 | `abababababababab` |" in lines
    assert any("`results.csv` are the same bytes" in line for line in lines)
    assert "| train | 2 | 5.0 | 3.8 | 1.2 |" in lines
    other = whole.section("smoke", [two, Whole(8, 2, 21.0, JOBS, "cd" * 32, 0.01)])
    assert "**not the same bytes**" in other


def test_a_folder_that_is_in_use_is_not_run_in(tmp_path, monkeypatch, capsys):
    (tmp_path / "thesis.tex").write_text("")
    monkeypatch.setattr(sys, "argv", ["whole", "--cores", "2", "--keep", str(tmp_path)])
    with pytest.raises(SystemExit):
        whole.main()
    assert "is there and not an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_the_metrics_command():
    text = metrics.measure([64], tests=12, trains=24, judges=metrics.JUDGES, repeats=1, threads=1)
    assert "| 64 px | packages |" in text
    assert "12 × 24 × 1280" in text


def results(values: dict[str, list[float]], method: str = "mae") -> pd.DataFrame:
    rows = [
        {"dataset": "d", "method": name, "seed": seed, "metric": metric, "value": value, "status": "ok"}
        for name in (method, "floor:real", "baseline:copy_input")
        for metric, series in values.items()
        for seed, value in enumerate(series)
    ]
    return pd.DataFrame(rows)


def test_precisions_are_compared_over_seeds():
    left = results({"kid": [1.0, 2.0, 4.0], "mae": [0.1, 0.1, 0.1], "pd": [1.0, 1.1, 0.9]})
    right = results({"kid": [2.0, 2.5, 3.0], "mae": [0.1, 0.1, 0.1], "pd": [5.0, 5.1, 4.9]})
    found = {one.metric: one for one in precision.compare(left, right)}
    assert {one.method for one in found.values()} == {"mae"}
    expected = scipy.stats.ttest_ind([1, 2, 4], [2, 2.5, 3], equal_var=False).pvalue
    assert found["kid"].p == pytest.approx(expected)
    assert found["kid"].shift == pytest.approx((2.5 - 7 / 3) / np.sqrt((7 / 3 + 0.25) / 2))
    assert (found["mae"].p, found["mae"].shift) == (1.0, 0.0)
    text = precision.section(list(found.values()))
    assert "3 seeds" in text
    assert "Of 3 comparisons (all metrics of all methods) 1 have p < 0.05" in text
    assert "correction 1 are left: d mae pd." in text


def test_precisions_of_other_seeds_are_not_compared(tmp_path, monkeypatch, capsys):
    for name, count in (("a", 3), ("b", 2)):
        results({"kid": [1.0] * count}).to_csv(tmp_path / f"{name}.csv")
    monkeypatch.setattr(sys, "argv", ["precision", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])
    with pytest.raises(SystemExit):
        precision.main()
    assert "no method with the same two seeds or more in both" in capsys.readouterr().err


def test_every_shown_metric_of_the_precisions_has_a_record():
    assert set(precision.SHOWN) <= set(METRICS)
