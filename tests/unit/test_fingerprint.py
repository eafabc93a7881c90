"""What runs again when something is added, changed or reworded: for each kind of change exactly the stages that must."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cgm.core.files import write_json
from cgm.experiment.reading import load_params
from pipeline import fingerprint, stage_table
from pipeline.code import CACHE

ROOT = Path(__file__).parents[2]
CONTENTS = """
import json
from pathlib import Path
from cgm.core.files import write_json
from cgm.experiment.reading import load_params
from pipeline.fingerprint import contents
print(json.dumps(contents(load_params(), Path())))
"""
COPIED = ("cgm", "pipeline", "data/embedded/manifest.json")
Edit = Callable[[Path], None]

SMOKE = ROOT / "experiments/smoke.yaml"
PAIRED = ("mae", "mse", "gan", "cgan", "gan_l1", "pix2pix", "perceptual", "perceptual_only", "perceptual_style", "mixture", "cyclegan")
UNPAIRED = ("unpaired_gan", "cyclegan", "perceptual_style")
RUNS = {*(f"openmoji/{method}" for method in PAIRED), *(f"fluent-unpaired/{method}" for method in UNPAIRED)}
RESIDUAL = {"openmoji/cyclegan", *(f"fluent-unpaired/{method}" for method in UNPAIRED)}
SEEN = {"reference.json", "evaluate.json"}
REPORT = {"report.json"}


def of(runs: set[str], *stages: str) -> set[str]:
    return {f"{stage}/{run}.json" for stage in stages or ("train", "translate") for run in runs}


def returning(runs: set[str]) -> set[str]:
    """The round trips, which unpaired runs alone make."""
    return of({run for run in runs if run.startswith("fluent-unpaired/")}, "round_trip")


def contents_by_copy(folder: Path) -> dict[str, object]:
    """Of the copy, computed by the copy's own code: a registry's line counts only there."""
    found = subprocess.run([sys.executable, "-c", CONTENTS], cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def contents(folder: Path) -> dict[str, object]:
    """Of the copy's files, with this checkout's registries."""
    return json.loads(json.dumps(fingerprint.contents(load_params(folder / "params.yaml"), folder)))


def copied(folder: Path, cache: Path | None = None) -> Path:
    """``cache``: what a copy before has found in its code, so that only what is changed is read."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copy(SMOKE, folder / "params.yaml")
    if cache is not None:
        (folder / CACHE).parent.mkdir()
        shutil.copy(cache, folder / CACHE)
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def before(first: Path) -> dict[str, object]:
    return contents(first)


def replace(file: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert text.count(old) >= 1, f"{file}: {old!r} is not there"
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")

    return edit


def append(file: str, text: str) -> Edit:
    def edit(folder: Path) -> None:
        with (folder / file).open("a", encoding="utf-8") as opened:
            opened.write(text)

    return edit


def new_thing(file: str, text: str, registry: str, line: str, after: str) -> Edit:
    """A file of its own, and a line in the list behind the line that holds ``after``."""

    def edit(folder: Path) -> None:
        (folder / file).write_text(text, encoding="utf-8")
        lines = (folder / registry).read_text(encoding="utf-8").splitlines(keepends=True)
        place = next(index for index, found in enumerate(lines) if after in found)
        lines.insert(place + 1, f"        {line}\n")
        (folder / registry).write_text("".join(lines), encoding="utf-8")

    return edit


METHOD = new_thing(
    "cgm/methods/toy.py",
    "from cgm.core.registry import About\nfrom cgm.methods.mae import MAE\n\n\nclass Toy(MAE):\n    about = About(title='toy')\n",
    "cgm/methods/__init__.py",
    '"toy": "cgm.methods.toy:Toy",',
    after='"pix2pix":',
)
METRIC = new_thing(
    "cgm/evaluation/metrics/toy.py",
    "from dataclasses import replace\n\nfrom cgm.evaluation.metrics.mae import MAE\n\nTOY = replace(MAE, name='toy')\n",
    "cgm/evaluation/metrics/__init__.py",
    '"toy": "cgm.evaluation.metrics.toy:TOY",',
    after='"mae":',
)
NETWORK = new_thing(
    "cgm/networks/fixed/toy.py",
    "from dataclasses import replace\n\nfrom cgm.networks.fixed.vgg16 import VGG16\n\nTOY = replace(VGG16, name='toy')\n",
    "cgm/networks/fixed/__init__.py",
    '"toy": "cgm.networks.fixed.toy:TOY",',
    after='"vgg16":',
)
SOURCE = new_thing(
    "cgm/data/sources/toy.py",
    "from cgm.data.sources.openmoji import OpenMoji\n\n\nclass Toy(OpenMoji):\n    archive = 'toy'\n\n\nTOY = Toy()\n",
    "cgm/data/sources/__init__.py",
    '"toy": "cgm.data.sources.toy:TOY",',
    after='"folder":',
)
FIGURE = new_thing(
    "cgm/report/figures/toy.py",
    "from dataclasses import replace\n\nfrom cgm.report.figures.spectrum import SPECTRUM\n\nTOY = replace(SPECTRUM, kind='toy')\n",
    "cgm/report/figures/__init__.py",
    '"toy": "cgm.report.figures.toy:TOY",',
    after='"spectrum":',
)
ADDED = (METHOD, METRIC, NETWORK, SOURCE, FIGURE)
L1 = {
    f"openmoji/{method}" for method in PAIRED if method != "gan"
}  # also the cGAN, whose step has the term, and MSE, which is built on MAE
L1 |= {"fluent-unpaired/cyclegan", "fluent-unpaired/perceptual_style"}

CHANGES: dict[str, tuple[Edit, set[str]]] = {
    "a new loss": (
        append("cgm/methods/losses.py", "\n\ndef charbonnier(y_hat, y):\n    return ((y_hat - y).square() + 1e-6).sqrt().mean()\n"),
        set(),
    ),
    "a new adversarial loss": (
        replace("cgm/methods/losses.py", '"hinge": "cgm', '"wasserstein": "cgm.methods.losses:Hinge",\n        "hinge": "cgm'),
        set(),
    ),
    "a new method": (METHOD, set()),
    "a new metric": (METRIC, SEEN | REPORT),
    "a new judge": (NETWORK, set()),
    "a new source": (SOURCE, set()),
    "a new figure": (FIGURE, REPORT),
    "a helper of a metric": (append("cgm/evaluation/metrics/ssim.py", "\n\ndef unused():\n    return 1\n"), set()),
    "a comment": (append("cgm/training/trainer.py", "\n# a comment\n"), set()),
    "a docstring": (replace("cgm/methods/cgan.py", "λ; without the L1 term, 0.", "λ; 0 without the L1 term."), set()),
    "a message of the trainer": (replace("cgm/training/trainer.py", "starts over", "begins anew"), set()),
    "a message of the weights": (replace("cgm/networks/fixed/weights.py", "found SHA-256", "has SHA-256"), set()),
    "a message of an error": (replace("cgm/data/images.py", "expected uint8 in 0…255", "expected uint8"), set()),
    "a message of the progress": (replace("cgm/core/progress.py", "img/s", "images/s"), set()),
    "the address of weights": (replace("cgm/networks/fixed/efficientnet_lite0.py", "Apache-2.0", "Apache 2.0"), REPORT),
    "a method's differences": (replace("cgm/methods/cgan.py", "dropout stays on, as in the paper", "dropout stays on"), REPORT),
    "a metric's citation": (replace("cgm/evaluation/metrics/kid.py", "ICLR 2018", "ICLR, 2018"), REPORT),
    "a loss": (replace("cgm/methods/losses.py", "return F.l1_loss(y_hat, y)", "return (y_hat - y).abs().mean()"), of(L1) | returning(L1)),
    "a method's step": (
        replace("cgm/methods/cgan.py", '"real": 0.5 *', '"real": 0.25 *'),
        of({f"openmoji/{method}" for method in ("cgan", "gan_l1", "pix2pix")}),
    ),
    "a generator": (replace("cgm/networks/resnet.py", "nn.Tanh()", "nn.Hardtanh()"), of(RESIDUAL) | returning(RESIDUAL)),
    "the trainer": (replace("cgm/training/trainer.py", "VALIDATION_IMAGES = 64", "VALIDATION_IMAGES = 32"), of(RUNS, "train")),
    "the judge": (replace("cgm/networks/fixed/efficientnet_lite0.py", '"block15")', '"block14")'), SEEN | of(RUNS, "train") | REPORT),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_runs_exactly_what_it_must(change: str, before: dict[str, object], first: Path, tmp_path: Path) -> None:
    edit, expected = CHANGES[change]
    edit(copied(tmp_path, first / CACHE))
    after = (contents_by_copy if edit in ADDED else contents)(tmp_path)
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - REPORT == expected - REPORT
    assert (before["report.json"] != after["report.json"]) >= bool(expected & REPORT)
    if not expected:
        assert before["report.json"] == after["report.json"]


def test_a_method_that_is_listed_trains_alone(before: dict[str, object], first: Path, tmp_path: Path) -> None:
    METHOD(copied(tmp_path, first / CACHE))
    replace("params.yaml", "  mse: {}\n", "  mse: {}\n  toy: {}\n")(tmp_path)
    after = contents_by_copy(tmp_path)
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == of({"openmoji/toy"}) | REPORT


def test_pictures_that_are_gone_run_nothing_again(tmp_path: Path) -> None:
    """A clone that has prepared data and results, but not the user's folder: what was known of it stays."""
    copied(tmp_path)
    replace("params.yaml", "source: openmoji, variant: base", "source: folder, path: mine")(tmp_path)
    picture = tmp_path / "mine/train/A/one.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"content counts, not what it shows")
    name = "fetch/openmoji.json"
    params = load_params(tmp_path / "params.yaml")
    known = fingerprint.contents(params, tmp_path)[name]
    write_json(tmp_path / fingerprint.FOLDER / name, known)
    shutil.rmtree(tmp_path / "mine")
    assert fingerprint.contents(params, tmp_path)[name] == known
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"another picture")
    assert fingerprint.contents(params, tmp_path)[name] != known


def test_where_networks_look_counts_for_what_looks_alone(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``evaluation.device: auto`` the machine decides: a GPU that comes, or goes, measures anew."""
    params = load_params(first / "params.yaml")
    params = params.model_copy(update={"evaluation": params.evaluation.model_copy(update={"device": "auto"})})
    found = []
    for there in (False, True):
        monkeypatch.setattr(stage_table, "cuda_present", lambda there=there: there)
        found.append(fingerprint.contents(params, first))
    assert {name for name in found[0] if found[0][name] != found[1][name]} == SEEN
    assert [each["evaluate.json"]["settings"]["looks_on"] for each in found] == ["cpu", "cuda"]


def test_what_was_found_in_the_code_is_kept_by_its_hash(before: dict[str, object], first: Path, tmp_path: Path) -> None:
    """A fresh process that reads the cache comes to the same; a damaged one is found again."""
    copied(tmp_path, first / CACHE)
    assert contents(tmp_path) == before
    (tmp_path / CACHE).write_text("{")
    assert contents(tmp_path) == before
