"""What DVC compares between experiments: the report's digest, and the templates that draw it, through DVC's own commands."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from report_inputs import make_params, write_inputs

from cgm.experiment.params import Params
from cgm.report import labels
from cgm.report.build import build
from cgm.report.plotting import LIGHT
from cgm.report.summary import AXES
from pipeline.report import renew

ROOT = Path(__file__).parents[2]
PIX2PIX = "metrics/icons_a/pix2pix.json"


@pytest.fixture(scope="module")
def params() -> Params:
    return make_params([0, 1], unpaired=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, params: Params) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("inputs")
    write_inputs(root, params, diverged=("icons_a/pix2pix/1",), missing=("icons_a/mae/0", "icons_a/mae/1"))
    return build(params, root).cited


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> Path:
    """A repository with a report in it, and in the folder another one, in which one metric differs."""
    folder = tmp_path_factory.mktemp("project")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(folder)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc")
    # The stages would need the whole project: here only what is shown of their outcome.
    shown = {key: value for key, value in yaml.safe_load((ROOT / "dvc.yaml").read_text()).items() if key != "stages"}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(shown, sort_keys=False))
    renew(files, folder / "reports")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "first"], check=True)
    renew({**files, PIX2PIX: files[PIX2PIX].replace(b'"mae": 0.078', b'"mae": 0.178')}, folder / "reports")
    return folder


def dvc(folder: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_metrics_are_means_over_the_seeds_that_ended_well(files: dict[str, bytes], params: Params) -> None:
    rows = {name: json.loads(content) for name, content in files.items() if name.startswith("metrics/")}
    assert set(rows) == {f"metrics/{run.dataset}/{run.method}.json" for run in params.runs()}
    assert rows["metrics/icons_a/mae.json"] == {"seeds": 0}
    assert rows[PIX2PIX] == {"seeds": 1, **{metric: pytest.approx(rows[PIX2PIX][metric]) for metric in AXES.values()}}
    perceptual = rows["metrics/icons_a/perceptual.json"]
    table = next(row for row in csv.DictReader(io.StringIO(files["tables/main-icons_a.csv"].decode())) if row["id"] == "perceptual")
    assert perceptual["seeds"] == 2
    assert {metric: perceptual[metric] for metric in AXES.values()} == {
        metric: pytest.approx(float(table[metric])) for metric in AXES.values()
    }


def test_curves_of_every_dataset_are_in_one_table(files: dict[str, bytes]) -> None:
    rows = list(csv.DictReader(io.StringIO(files["curves.csv"].decode())))
    assert {row["dataset"] for row in rows} == {"icons_a", "style"}
    assert {row["column"] for row in rows} == {"val/mae", "val/pd", "val/vendi_ratio"}
    assert {(row["dataset"], row["method"]) for row in rows} == {
        ("icons_a", "pix2pix"), ("icons_a", "perceptual"), ("icons_a", "pix2pix_l10"), ("style", "cyclegan"),
    }  # fmt: skip
    third = next(row for row in rows if (row["method"], row["column"], row["kimg"]) == ("perceptual", "val/pd", "0.6"))
    assert {name: third[name] for name in ("median", "lowest", "highest", "n")} == {
        "median": "0.3333", "lowest": "0.3333", "highest": "0.3333", "n": "2",
    }  # fmt: skip


def test_nothing_was_run(tmp_path: Path, params: Params) -> None:
    files = build(params, tmp_path).cited
    assert json.loads(files[PIX2PIX]) == {"seeds": 0}
    assert "curves.csv" not in files


def test_templates_say_what_the_report_says() -> None:
    final, curves = ((ROOT / f".dvc/plots/{name}.json").read_text(encoding="utf-8") for name in ("final", "curves"))
    shown = json.loads(final)["transform"][0]["filter"]["oneOf"]
    assert set(shown) == set(AXES.values())
    arrows = re.search(r"\{mae: .*?\}", final)
    assert arrows
    assert dict(re.findall(r"(\w+): '(.*?)'", arrows.group())) == {metric: labels.arrow(metric) for metric in shown}
    assert tuple(json.loads(curves)["spec"]["encoding"]["color"]["scale"]["range"]) == LIGHT.palette


def test_dvc_shows_a_row_a_method_and_only_what_changed(project: Path) -> None:
    shown = json.loads(dvc(project, "metrics", "show", "--json"))[""]["data"]
    assert {Path(name).as_posix() for name in shown} >= {f"reports/{PIX2PIX}", "reports/metrics/style/cyclegan.json"}
    changed = json.loads(dvc(project, "metrics", "diff", "--json"))
    assert list(changed) == [f"reports/{PIX2PIX}"]
    assert list(changed[f"reports/{PIX2PIX}"]) == ["mae"]


def test_dvc_draws_both_revisions(project: Path) -> None:
    dvc(project, "plots", "diff", "HEAD", "--out", "page")
    page = (project / "page/index.html").read_text(encoding="utf-8")
    assert "cgm: experiments side by side" in page
    specs = [json.loads(spec) for spec in re.findall(r"var spec = (\{.*\});", page)]
    assert [spec["title"] for spec in specs] == ["Final metrics", "Validation curves"]
    for spec in specs:
        assert {row["rev"] for row in spec["data"]["values"]} == {"HEAD", "workspace"}
        assert "<DVC" not in json.dumps(spec)
    for name in ("grid-icons_a", "grid-style", "samples-icons_a"):
        assert (project / f"page/static/HEAD_reports_pictures_{name}.png").is_file()
        assert f"workspace_reports_pictures_{name}.png" in page
