"""The report as a whole: complete, deterministic, self-contained, honest about what is missing."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from report_inputs import make_params, write_inputs

from cgm.core.errors import UserError
from cgm.evaluation.metrics import METRICS
from cgm.experiment.params import Params
from cgm.report.build import Report, build
from cgm.report.figures import FIGURES
from cgm.report.figures.curves import DRAWN, thinned
from cgm.report.labels import SMOKE
from cgm.report.origin import Origin
from cgm.report.results import COLUMNS
from pipeline.report import renew

ROOT = Path(__file__).parents[2]
DIVERGED, MISSING = "icons_a/pix2pix/1", "icons_a/mae/2"
VOID = {"link", "input", "meta", "img", "source", "br", "wbr"}


@pytest.fixture(scope="module")
def params() -> Params:
    return make_params([0, 1, 2], unpaired=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    root = tmp_path_factory.mktemp("inputs")
    write_inputs(root, params, diverged=(DIVERGED,), missing=(MISSING,))
    return root


@pytest.fixture(scope="module")
def report(tree: Path, params: Params) -> Report:
    return build(params, tree)


@pytest.fixture(scope="module")
def files(report: Report) -> dict[str, bytes]:
    return report.cited


def read(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[name].decode())))


class Page(HTMLParser):
    """Checks that tags nest, and keeps what a browser would load or link to."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.images_without_alt = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "srcset", "data", "poster", "background")]
        if tag == "a":
            self.links.append(found["href"] or "")
        elif "href" in found:
            self.loads.append(found["href"] or "")
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.images_without_alt += tag == "img" and not found.get("alt")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"


def test_results_hold_every_planned_run(files: dict[str, bytes], params: Params) -> None:
    rows = read(files, "results.csv")
    assert tuple(rows[0]) == COLUMNS
    found = {(row["dataset"], row["method"], int(row["seed"]), row["metric"]) for row in rows if ":" not in row["method"]}
    assert found == {(run.dataset, run.method, run.seed, metric) for run in params.runs() for metric in METRICS}
    keys = [(row["dataset"], row["method"], int(row["seed"]), row["metric"]) for row in rows]
    assert keys == sorted(keys)
    assert len(keys) == len(set(keys))
    assert {row["metric"] for row in rows} <= set(METRICS)  # no timing, no memory
    for row in rows:
        assert (row["value"] != "") == (row["status"] == "ok")
        if row["value"]:
            assert repr(float(row["value"])) == row["value"]


def test_broken_runs_keep_their_rows(files: dict[str, bytes]) -> None:
    rows = read(files, "results.csv")
    statuses = {
        run: {row["status"] for row in rows if f"{row['dataset']}/{row['method']}/{row['seed']}" == run} for run in (DIVERGED, MISSING)
    }
    assert statuses == {DIVERGED: {"diverged"}, MISSING: {"missing"}}
    table = files["tables/main-icons_a.md"].decode()
    assert "2/3 (1 diverged)" in table
    assert "2/3 (1 missing)" in table
    assert "Pix2Pix: 1 seed diverged, 1 (loss D/fake is not finite at step 3); left out of the means." in table
    stability = {row["id"]: row for row in read(files, "tables/stability-icons_a.csv")}
    assert [stability["pix2pix"][key] for key in ("ok", "diverged", "failed", "missing")] == ["2.0", "1.0", "0.0", "0.0"]


def test_what_an_ok_run_lacks_is_not_measured(files: dict[str, bytes]) -> None:
    lacking = {row["metric"] for row in read(files, "results.csv") if row["status"] == "not_measured"}
    assert lacking == {"lpips", "intra_diversity"}
    assert "No LPIPS (alex): the weights of alexnet_100% are not at hand." in files["tables/main-icons_a.md"].decode()
    assert "lpips" in files["tables/main-icons_a.csv"].decode().splitlines()[0]  # a column of dashes


def test_further_metrics_have_their_table(files: dict[str, bytes]) -> None:
    rows = {row["id"]: row for row in read(files, "tables/further-icons_a.csv")}
    assert float(rows["mae"]["mse"]) == pytest.approx(0.5025)
    assert not {"kid", "lpips"} & rows["mae"].keys()  # in the main table, and nowhere measured
    # half the width of the interval over images, mean over the seeds that ended well
    assert float(rows["mae"]["kid_images"]) == pytest.approx(0.0015)
    assert rows["baseline:mean_image"]["kid_images"] == ""
    assert "No intra-condition diversity for MAE regression" in files["tables/further-icons_a.md"].decode()


def test_the_spectrum_shows_what_is_missing(report: Report) -> None:
    rows = [row for row in read(report.drawn, "spectrum-icons_a.csv") if row["method"] == "pix2pix"]
    assert [float(row["median"]) for row in rows] == pytest.approx(
        [0, 0, -math.log10(2)], abs=1e-3
    )  # both sides plus the density of rounding
    assert {row["n"] for row in rows} == {"2"}  # one of its runs diverged
    assert "has the spectrum nearest to the targets&#39; (0.00 decades, RMS)" in report.cited["index.html"].decode()


def test_a_rerender_is_byte_identical(report: Report, tree: Path, params: Params, tmp_path: Path) -> None:
    """Through the stage, in another process, with another hash seed and a user's matplotlibrc."""
    (tree / "params.yaml").write_text(yaml.safe_dump(raw(params), sort_keys=False))
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nfont.size: 30\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    subprocess.run([sys.executable, "-m", "pipeline.report"], cwd=tree, env=environment, check=True)
    differing = []
    for files, folder in ((report.cited, tree / "reports"), (report.drawn, tree / "build/report")):
        written = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert sorted(written) == sorted(files)
        differing += [name for name in files if written[name] != files[name]]
    assert differing == []


def raw(params: Params) -> dict[str, object]:
    """``params.yaml``'s content, as a person would have written it."""
    values = params.model_dump()
    for group, models in ((values, params), (values["unpaired"], params.unpaired)):
        group["methods"] = {name: method.model_dump() for name, method in models.methods.items()}
    return values


def test_manifest_lists_every_file(files: dict[str, bytes]) -> None:
    listed = json.loads(files["manifest.json"])["sha256"]
    assert listed == {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != "manifest.json"}
    for name in ("index.html", "tables/cost-style.tex", "pictures/grid-style.png", "metrics/style/cyclegan.json", "curves.csv"):
        assert name in listed


def test_figures_are_vectors_with_their_numbers(report: Report) -> None:
    for kind in ("plane", "spectrum", "validation", "losses"):
        assert report.drawn[f"{kind}-icons_a.svg"].startswith(b"<?xml")
        assert report.drawn[f"{kind}-icons_a.pdf"].startswith(b"%PDF")
        assert read(report.drawn, f"{kind}-icons_a.csv")
    assert not any(name.endswith((".svg", ".pdf")) for name in report.cited)  # nothing that a few new numbers would write anew


def test_a_curve_on_the_page_is_as_fine_as_a_screen() -> None:
    curve = [(float(place), 1.0, 1.0, 1.0, 3) for place in range(1001)]
    thin = thinned(curve)
    assert (len(thin), thin[0], thin[-1]) == (DRAWN, curve[0], curve[-1])
    assert len({round(b[0] - a[0]) for a, b in itertools.pairwise(thin)}) <= 2
    assert thinned(thin) == thin


TOY = '''
"""How many runs ended well, as a drawing and as a sheet."""

from cgm.report.figures.figure import Figure, Picture
from cgm.report.figures.sheet import sheet
from cgm.report.plotting import csv_bytes


def ended(results, dataset):
    count = sum(run.ok for run in dataset.all_runs)

    def draw(canvas, theme):
        canvas.add_subplot().bar([0], [count], color=theme.colour(0))

    return Picture(
        kind="ended", dataset=dataset.name, title="Runs that ended well", alt="One bar.", takeaway=f"{count} runs ended well.",
        csv=csv_bytes(("dataset", "ok"), [(dataset.name, count)]), draw=draw,
    )


def first(results, dataset):
    image, width = sheet([[dataset.prepared.images("test", "A")[0]]], ["First"])
    return Picture(
        kind="first", dataset=dataset.name, title="The first input", alt="One image.", takeaway="Here it is.", image=image, width=width
    )


ENDED = Figure(kind="ended", make=ended)
FIRST = Figure(kind="first", make=first)
'''


def test_a_new_figure_is_a_file_and_a_line(tree: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_figures.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(FIGURES, "_entries", {name: f"toy_figures:{name.upper()}" for name in ("ended", "first")})
    report = build(params, tree)
    page = report.cited["index.html"].decode()
    ended, first = page.index('<h4 id="ended-icons_a">Runs that ended well</h4>'), page.index('<h4 id="first-icons_a">')
    assert ended < first  # in the order of the list
    assert "10 runs ended well." in page
    assert "pictures/first-icons_a.png" in json.loads(report.cited["manifest.json"])["sha256"]
    assert read(report.drawn, "ended-icons_a.csv") == [{"dataset": "icons_a", "ok": "10"}]
    assert report.drawn["ended-style.svg"]


@pytest.mark.parametrize("name", ["index.html", "tables/main-icons_a.html", "tables/cost-style.html"])
def test_pages_are_well_formed_and_load_nothing_from_elsewhere(files: dict[str, bytes], name: str) -> None:
    text = files[name].decode()
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    scripts = ["page.js"] if name == "index.html" else []
    assert [load for load in page.loads if not load.startswith("data:")] == scripts
    assert len(re.findall("<script(?! type=.application/json)", text)) == len(scripts)  # none of the attribution's
    assert not re.search(r"url\((?!%23)|@import", text)  # %23: a figure's own parts
    assert page.images_without_alt == 0
    assert len(page.ids) == len(set(page.ids))
    elsewhere = [link for link in page.links if "://" in link]
    assert all(link.startswith("http://127.0.0.1:5000/#/experiments/1/runs?searchFilter=tags.") for link in elsewhere)
    assert len(re.findall("https?://", re.sub(r'data:image[^"]*', "", text))) == len(elsewhere)  # an SVG's namespaces are names
    for link in set(page.links) - set(elsewhere):
        assert link[1:] in page.ids if link.startswith("#") else link in files


def test_page_says_what_there_is(files: dict[str, bytes]) -> None:
    page = files["index.html"].decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; friends" in page
    assert "13 of 15 runs ok, 1 diverged, 1 missing" in page
    assert "l1 weight 10 (100)" in page
    assert "Isola et al. 2017, eq. 4" in page
    assert SMOKE not in page


def test_one_seed_has_no_interval_and_smoke_is_stamped(tmp_path: Path) -> None:
    params = make_params([4], experiment="smoke")
    write_inputs(tmp_path, params)
    files = build(params, tmp_path).cited
    table = files["tables/main-icons_a.md"].decode()
    assert "±" not in table.split("\n\nMean over training seeds")[0].split("| Copy the input")[0]
    assert "One seed: what another training would give is not known." in table
    for name, content in files.items():
        if name.endswith((".md", ".tex", ".html")):
            assert SMOKE in content.decode(), name


def test_runs_that_failed_are_marked_and_their_old_files_not_read(params: Params, tree: Path) -> None:
    """A change made a stage fail: what the run left before the change is still there, and is not of this experiment."""
    without = {"icons_a/mae/0": "build/logs/translate/icons_a/mae/0.log", "icons_a/mae/1": ""}
    files = build(params, tree, Origin(without=without)).cited
    rows = [row for row in read(files, "results.csv") if (row["dataset"], row["method"]) == ("icons_a", "mae")]
    assert {(row["seed"], row["status"], bool(row["value"])) for row in rows} >= {("0", "failed", False), ("1", "missing", False)}
    table = files["tables/main-icons_a.md"].decode()
    assert "(1 failed, 2 missing)" in table
    assert "1 seed failed, 0 (see build/logs/translate/icons_a/mae/0.log); left out of the means." in table


def test_nothing_but_a_plan(tmp_path: Path) -> None:
    params = make_params([0, 1])
    files = build(params, tmp_path).cited
    assert {row["status"] for row in read(files, "results.csv")} == {"missing"}
    assert not any(name.startswith(("pictures/", "curves")) for name in files)
    assert "0 of 8 runs ok, 8 missing" in files["index.html"].decode()


def test_unreadable_input_names_its_file(tmp_path: Path) -> None:
    params = make_params([0])
    write_inputs(tmp_path, params)
    path = tmp_path / "results/icons_a/mae/0/metrics.json"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(UserError, match=r"icons_a/mae/0/metrics\.json: not valid JSON .* run the stage 'evaluate'"):
        build(params, tmp_path)
    path.write_text(json.dumps({"metrics": {"mae": 0.1}, "validation": {"kid": float("inf")}}))
    with pytest.raises(UserError, match=r"metrics\.json: validation kid: found inf, expected a finite number"):
        build(params, tmp_path)
    path.write_text(json.dumps({"metrics": {"mae": float("nan")}}))
    with pytest.raises(UserError, match=r"metrics\.json: mae: found nan, expected a finite number"):
        build(params, tmp_path)


def test_publishing_removes_what_is_stale(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    renew({"index.html": b"1", "tables/old.csv": b"2", "gone/old.csv": b"3", "manifest.json": b"4"}, folder)
    renew({"index.html": b"5", "tables/new.csv": b"6", "manifest.json": b"7"}, folder)
    assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == {
        "index.html": b"5",
        "tables/new.csv": b"6",
        "manifest.json": b"7",
    }
    assert not (folder / "gone").exists()
