"""A method, a metric, a judge, a source and a figure that nobody here has seen, each one file and one line, go through the whole DAG."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from project import LAST, Project, pairs_only

METHOD = '''"""MAE with a squared root on top."""

from cgm.core.registry import About, Part
from cgm.methods.mae import MAE


class RootMAE(MAE):
    about = About(title="root MAE", citation="nobody", objective=(Part(text="√E‖y − G(x)‖₁"),))
    loss = staticmethod(lambda y_hat, y: (y_hat - y).abs().mean().sqrt())
'''
METRIC = '''"""The darkest pixel of an output."""

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.over_images import mean_of


def darkest(block):
    return block.outputs.min(axis=(1, 2, 3)).astype(np.float64)


DARKEST = Metric(
    name="darkest",
    about=About(title="darkest pixel", citation="nobody", protocol="least value of an output, mean over test images"),
    group="sharpness",
    direction="higher",
    per_image=darkest,
    compute=mean_of("darkest"),
)
'''
JUDGE = '''"""EfficientNet-Lite1 as a judge of another name."""

from dataclasses import replace

from cgm.core.registry import About
from cgm.networks.fixed.efficientnet_lite1 import EFFICIENTNET_LITE1

TOY = replace(EFFICIENTNET_LITE1, name="toy-judge", about=About(title="Toy judge", short="Toy", protocol="as EfficientNet-Lite1"))
'''
SOURCE = '''"""OpenMoji under another name."""

from cgm.core.registry import About
from cgm.data.sources.openmoji import OpenMoji


class Toy(OpenMoji):
    about = About(title="Toy pictures")


TOY = Toy()
'''
FIGURE = '''"""A sheet of one picture."""

from cgm.report.figures.figure import Figure, Picture
from cgm.report.figures.sheet import sheet


def toy(results, dataset):
    image, width = sheet([[dataset.prepared.images("test", "A")[0]]], ["Toy"])
    words = {"title": "A toy figure", "alt": "one picture", "takeaway": "It is there."}
    return Picture(kind="toy", dataset=dataset.name, image=image, width=width, **words)


TOY = Figure(kind="toy", make=toy)
'''
THINGS = {
    "cgm/methods/root_mae.py": (METHOD, "cgm/methods/__init__.py", '"root_mae": "cgm.methods.root_mae:RootMAE",'),
    "cgm/evaluation/metrics/darkest.py": (
        METRIC, "cgm/evaluation/metrics/__init__.py", '"darkest": "cgm.evaluation.metrics.darkest:DARKEST",'
    ),
    "cgm/networks/fixed/toy_judge.py": (JUDGE, "cgm/networks/fixed/__init__.py", '"toy-judge": "cgm.networks.fixed.toy_judge:TOY",'),
    "cgm/data/sources/toy.py": (SOURCE, "cgm/data/sources/__init__.py", '"toy": "cgm.data.sources.toy:TOY",'),
    "cgm/report/figures/toy.py": (FIGURE, "cgm/report/figures/__init__.py", '"toy": "cgm.report.figures.toy:TOY",'),
}  # fmt: skip


def add(project: Project, file: str) -> None:
    """A file of its own, and a line at the end of the list."""
    text, registry, line = THINGS[file]
    (project.folder / file).write_text(text, encoding="utf-8")
    listed = (project.folder / registry).read_text(encoding="utf-8")
    assert listed.count("\n    },\n") == 1
    (project.folder / registry).write_text(listed.replace("\n    },\n", f"\n        {line}\n    }},\n"), encoding="utf-8")


def rows(project: Project) -> list[dict[str, str]]:
    with (project.folder / "reports/results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow  # test_add, test_adding_a_metric and test_own add one thing each
def test_things_are_added_by_one_file_and_one_line_each(tmp_path: Path) -> None:
    project = Project(tmp_path, pairs_only)
    project.change("methods.pix2pix", None)
    assert project.snakemake().code == 0

    # Nothing names the method, the judge and the source yet: only what reads every metric and every figure runs.
    for file in THINGS:
        add(project, file)
    outcome = project.snakemake()
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == {"reference@openmoji", "evaluate@openmoji-mae-0", *LAST}
    assert {row["metric"] for row in rows(project)} >= {"darkest"}
    assert "A toy figure" in (tmp_path / "reports/index.html").read_text(encoding="utf-8")

    project.change("methods.root_mae", {})
    project.change("evaluation.judges", ["toy-judge"])
    project.change("datasets.other", {"source": "toy", "image_size": 32, "kimg": 0.016, "limit": 24})
    outcome = project.snakemake()
    assert outcome.code == 0, outcome.output[-4000:]
    assert not any(name.startswith(("train@openmoji-mae", "prepare@openmoji")) for name in outcome.executed)
    found = rows(project)
    assert {(row["dataset"], row["method"]) for row in found} >= {("openmoji", "root_mae"), ("other", "mae"), ("other", "root_mae")}
    assert {row["judge"] for row in found if row["metric"] == "kid"} == {"toy-judge"}
    assert all(row["value"] for row in found if row["metric"] == "darkest" and row["status"] == "ok")
    page = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    for words in ("KD-Toy", "Root MAE", "√E‖y − G(x)‖₁", "darkest pixel"):
        assert words in page
    project.assert_agreed()
