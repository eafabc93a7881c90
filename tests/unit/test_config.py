"""params.yaml: what is accepted, and the one line that says what is wrong."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cgm.core.errors import UserError
from cgm.experiment.reading import load_params, parse_params, read_yaml

ROOT = Path(__file__).parents[2]
RAW = read_yaml(ROOT / "experiments/default.yaml", remedy="")


def edited(path: str, value: Any) -> dict[str, Any]:
    raw = copy.deepcopy(RAW)
    *parents, last = path.split(".")
    place = raw
    for part in parents:
        place = place[part]
    place[last] = value
    return raw


def test_runs_are_the_product_of_each_group() -> None:
    params = parse_params(RAW)
    runs = [str(run) for run in params.runs()]
    paired, unpaired = len(params.datasets) * len(params.methods), len(params.unpaired.datasets) * len(params.unpaired.methods)
    assert len(runs) == len(set(runs)) == (paired + unpaired) * len(params.seeds)


def test_an_entry_may_be_a_variant() -> None:
    params = parse_params(edited("methods.pix2pix_l10", {"implementation": "pix2pix", "l1_weight": 10.0}))
    assert params.methods["pix2pix_l10"].l1_weight == 10.0


def test_an_entry_may_have_sizes_of_its_own() -> None:
    own = {"patchgan": {"layers": 0}, "unet": {"width": 8}}
    params = parse_params(edited("methods.small", {"implementation": "pix2pix", "networks": own}))
    found = params.networks_of("openmoji", "small")
    assert (found.patchgan.layers, found.unet.width) == (0, 8)
    assert found.patchgan.norm == params.networks.patchgan.norm != type(found.patchgan)().norm  # the experiment's, not the default
    assert found.resnet == params.networks.resnet
    assert params.networks_of("openmoji", "pix2pix") == params.networks


def test_an_integer_will_do_for_a_float() -> None:
    assert parse_params(edited("datasets.openmoji.kimg", 8)).datasets["openmoji"].kimg == 8


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("training.learning_rat", 1.0, "training.learning_rat: unknown key; did you mean 'learning_rate'?"),
        ("training.learning_rate", -1.0, "training.learning_rate: found -1.0; input should be greater than 0"),
        ("training.learning_rate", float("nan"), "training.learning_rate: found nan; input should be"),
        ("training.learning_rate", "fast", "training.learning_rate: found 'fast'; input should be a valid number"),
        ("training.batch_size", 2.5, "training.batch_size: found 2.5; input should be a valid integer"),
        ("methods.pix2pic", {}, "methods.pix2pic: unknown method 'pix2pic'; did you mean 'pix2pix'?"),
        ("methods.pix2pix", {"l1_wieght": 3.0}, "methods.pix2pix.l1_wieght: unknown key; did you mean 'l1_weight'?"),
        ("methods.pix2pix", 3, "methods.pix2pix: found 3, expected a mapping"),
        ("methods.mine", {"implementation": "pixpix"}, "methods.mine.implementation: unknown method 'pixpix'"),
        ("methods", [], "methods: found list, expected a mapping"),
        (
            "datasets.openmoji.image_size",
            100,
            "datasets.openmoji.image_size: found 100, expected 32, 64, 128, 256, 512, or [height, width]",
        ),
        (
            "datasets.openmoji.image_size",
            [64, 100],
            "datasets.openmoji.image_size: found [64, 100], expected [height, width], multiples of 32 from 32 to 1024",
        ),
        ("datasets.openmoji.image_sise", 64, "datasets.openmoji.image_sise: unknown key; did you mean 'image_size'?"),
        ("datasets.openmoji.source", "openmojo", "datasets.openmoji.source: unknown source 'openmojo'; did you mean 'openmoji'?"),
        ("datasets.openmoji.path", "somewhere", "datasets.openmoji.path: unknown key"),
        (
            "datasets.mine",
            {"source": "folder", "kimg": 1.0},
            "datasets.mine: found neither or too much, expected path, or a and b: where the pictures lie",
        ),
        ("datasets.mine", {"kimg": 1.0}, "datasets.mine.source: missing; expected one of openmoji, fluent"),
        ("datasets.Open Moji", {"source": "openmoji", "kimg": 1.0}, "datasets.Open Moji: names become folder names"),
        ("datasets.fluent-unpaired", {"source": "fluent", "kimg": 1.0}, "datasets.fluent-unpaired: also stands in unpaired.datasets"),
        ("datasets.other", {"source": "fluent-unpaired", "kimg": 1.0}, "move the entry to unpaired.datasets"),
        ("unpaired.datasets.other", {"source": "openmoji", "kimg": 1.0}, "move the entry to datasets"),
        ("unpaired.methods.mae", {}, "unpaired.methods.mae: 'mae' needs aligned pairs"),
        ("unpaired.datasets.fluent-unpaired", {"source": "fluent-unpaired"}, "unpaired.datasets.fluent-unpaired.kimg: missing"),
        ("networks.unet.widht", 3, "networks.unet.widht: unknown key; did you mean 'width'?"),
        ("networks.patchgan.layers", 6, "networks.patchgan.layers: 6 layers leave nothing of a 64 px image"),
        ("methods.mae.networks", {"unett": {"width": 3}}, "methods.mae.networks.unett: unknown key; did you mean 'unet'?"),
        ("methods.mae.networks", {"unet": {"widht": 3}}, "methods.mae.networks.unet.widht: unknown key; did you mean 'width'?"),
        ("methods.mae.networks", {"unet": {"width": 0}}, "methods.mae.networks.unet.width: found 0; input should be greater"),
        (
            "unpaired.methods.unpaired_gan.networks",
            {"patchgan": {"layers": 6}},
            "unpaired.methods.unpaired_gan.networks.patchgan.layers: 6 layers leave nothing of a 64 px image (fluent-unpaired)",
        ),
        ("datasets.openmoji.kimg", 0.001, "openmoji.kimg: 0.001 kimg is less than one step"),
        ("seeds", [1, 1], "seeds: found a seed twice"),
        ("seeds", [], "seeds: found []"),
        ("evaluation.judge", "vgg16", "evaluation.judge: this key is called 'judges, a list' now"),
        ("evaluation.judges", ["inception"], "evaluation.judges.0.name: unknown network 'inception'; did you mean 'inception-2015'?"),
        ("evaluation.judges", "alexnet", "evaluation.judges.0.name: network 'alexnet' can't be used here; expected one of efficientnet"),
        ("evaluation.judges", [], "evaluation.judges: found []; value should have at least 1 item"),
        ("evaluation.judges", [{"vgg16": "maybe"}], "evaluation.judges.0: found {'vgg16': 'maybe'}, expected a name, or {name: auto}"),
        ("evaluation.judges", ["vgg16", "vgg16"], "evaluation: judges: found vgg16, vgg16, expected each once"),
        ("evaluation.judges", [{"vgg16": "auto"}], "evaluation: judges: vgg16 leads and can't be auto"),
        ("evaluation.headline", "vgg16", "evaluation: headline: found 'vgg16', expected one of judges: efficientnet-lite0, inception-2015"),
        ("evaluation.headline", "inception-2015", "evaluation: judges: inception-2015 leads and can't be auto"),
        ("evaluation.lpips", "alexnet", "evaluation.lpips.0.name: found 'alexnet'; input should be 'alex', 'vgg' or 'squeeze'"),
        (
            "training.judge",
            "inception-2015",
            "training.judge: network 'inception-2015' can't be used here; expected one of efficientnet-lite0, efficientnet-lite1, vgg16",
        ),
        ("methods.mae", {"generator": "unett"}, "methods.mae.generator: unknown generator 'unett'; did you mean 'unet'?"),
        ("methods.pix2pix", {"adversarial": "wgan"}, "methods.pix2pix.adversarial: unknown adversarial loss 'wgan'"),
        (
            "methods.perceptual",
            {"loss_network": "vgg61"},
            "methods.perceptual.loss_network: unknown network 'vgg61'; did you mean 'vgg16'?",
        ),
        ("profile", "smoke", "profile: this key is called 'experiment' now"),
        ("seeds", ["1:30"], "seeds.0: found '1:30'; input should be a valid integer"),
        ("weights", 3, "weights: found 3"),
        ("dataset", {}, "dataset: unknown key; did you mean 'datasets'?"),
    ],
)
def test_a_mistake_is_named_in_one_line(path: str, value: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_params(edited(path, value))
    assert str(caught.value).startswith("params.yaml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("seeds", "sedes", "sedes: unknown key; did you mean 'seeds'?"),
        ("experiment", "experimnet", "experimnet: unknown key; did you mean 'experiment'?"),
        ("seeds", None, "seeds: missing; expected a value"),
    ],
)
def test_a_key_that_is_misspelled_says_more_than_one_that_is_missing(right: str, wrong: str | None, message: str) -> None:
    raw = copy.deepcopy(RAW)
    value = raw.pop(right)
    if wrong:
        raw[wrong] = value
    with pytest.raises(UserError, match=re.escape(f"params.yaml: {message}")):
        parse_params(raw)


def test_a_misspelled_key_of_an_entry_says_more_too() -> None:
    with pytest.raises(UserError, match=r"datasets\.openmoji\.kimgs: unknown key; did you mean 'kimg'\?"):
        parse_params(edited("datasets.openmoji", {"source": "openmoji", "kimgs": 1.0}))


def test_nothing_to_train() -> None:
    raw = copy.deepcopy(RAW)
    raw["methods"], raw["unpaired"] = None, {}
    with pytest.raises(UserError, match="nothing to train"):
        parse_params(raw)


def test_files_that_are_not_params(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml: not found"):
        load_params(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1,\n")
    with pytest.raises(UserError, match="not valid YAML"):
        load_params(broken)
    broken.write_text("a: 2026-13-01\n")
    with pytest.raises(UserError, match="not valid YAML: month must be in"):
        load_params(broken)
    broken.write_bytes(b"a: caf\xe9\n")
    with pytest.raises(UserError, match=r"not valid YAML: .*utf-8"):
        load_params(broken)
    with pytest.raises(UserError, match="can't be read"):
        load_params(tmp_path)
    broken.write_text("- a\n")
    with pytest.raises(UserError, match="found list, expected a mapping"):
        load_params(broken)


def test_hinge_is_one_line_of_params() -> None:
    params = parse_params(edited("methods.pix2pix_hinge", {"implementation": "pix2pix", "adversarial": "hinge"}))
    assert params.method("openmoji", "pix2pix_hinge").adversarial == "hinge"


def test_a_gan_needs_no_pairs() -> None:
    assert "fluent-unpaired/gan/0" in {str(run) for run in parse_params(edited("unpaired.methods.gan", {})).runs()}


@pytest.mark.parametrize("group", ["", "unpaired."])
def test_names_that_the_engines_would_join_alike_are_refused(group: str) -> None:
    """a × b-c and a-b × c are both the stage train@a-b-c-0."""
    raw = edited(f"{group}datasets.a", {"source": "folder", "path": "one", "kimg": 1.0})
    place = raw["unpaired"] if group else raw
    place["datasets"]["a-b"] = {"source": "folder", "path": "two", "kimg": 1.0}
    place["methods"]["b-c"] = place["methods"]["c"] = {"implementation": "cyclegan"}
    with pytest.raises(UserError, match="a-b × c and a × b-c would both be the stage a-b-c; rename one of them"):
        parse_params(raw)


def test_names_are_joined_within_a_group_only() -> None:
    """The unpaired stages carry another prefix: train@a-b-c-0 and train-unpaired@a-b-c-0."""
    raw = edited("datasets.a", {"source": "folder", "path": "one", "kimg": 1.0})
    raw["methods"]["b-c"] = {"implementation": "cyclegan"}
    raw["unpaired"]["datasets"]["a-b"] = {"source": "folder", "path": "two", "kimg": 1.0}
    raw["unpaired"]["methods"]["c"] = {"implementation": "cyclegan"}
    assert {"a/b-c/0", "a-b/c/0"} <= {str(run) for run in parse_params(raw).runs()}


TOKENS = [
    "010",
    "0o10",
    "0x10",
    "1:30",
    "off",
    "yes",
    "1e-05",
    "1_000",
    ".5",
    "1e3",
    "~",
    "2026-01-01",
    "0b11",
    "+5",
    "1.0",
    "true",
    ".inf",
]


@pytest.mark.parametrize("token", TOKENS)
def test_both_engines_read_one_value(token: str, tmp_path: Path) -> None:
    from dvc.utils.serialize import parse_yaml

    (tmp_path / "a.yaml").write_text(f"a: {token}\n")
    ours, theirs = read_yaml(tmp_path / "a.yaml", remedy=""), parse_yaml(f"a: {token}\n", "a.yaml")
    assert ours == theirs
    assert type(ours["a"]) is type(theirs["a"])


def test_seeds_with_leading_zeros_are_decimal(tmp_path: Path) -> None:
    text = (ROOT / "experiments/smoke.yaml").read_text().replace("seeds: [0, 1]", "seeds: [0, 010, 020]")
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").seeds == [0, 10, 20]


@pytest.mark.parametrize("token", ["1:30", "off", "1.5", "2026-01-01", "~", "1e3"])
def test_a_seed_that_is_no_whole_number_is_one_line(token: str, tmp_path: Path) -> None:
    text = (ROOT / "experiments/smoke.yaml").read_text().replace("seeds: [0, 1]", f"seeds:\n  - 0\n  - {token}")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml: seeds\.1: found .*; input should be a valid integer$"):
        load_params(tmp_path / "params.yaml")


def test_neither_engine_reads_a_colon_within_brackets(tmp_path: Path) -> None:
    from dvc.exceptions import DvcException
    from dvc.utils.serialize import parse_yaml

    (tmp_path / "params.yaml").write_text("seeds: [1:30]\n")
    with pytest.raises(UserError, match=r"not valid YAML: .* line 1, column 9"):
        load_params(tmp_path / "params.yaml")
    with pytest.raises(DvcException):
        parse_yaml("seeds: [1:30]\n", "params.yaml")


def test_an_address_within_braces_is_told_to_be_quoted(tmp_path: Path) -> None:
    """DVC reads params.yaml too, by the same reader, so that ours can't be the only one to take it."""
    entry = '  mine: {source: url, url: "https://example.org/mine.tar.gz", kimg: 1.0}\n'
    text = (ROOT / "experiments/smoke.yaml").read_text().replace("\ndatasets:\n", f"\ndatasets:\n{entry}")
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").datasets["mine"].url == ("https://example.org/mine.tar.gz",)
    (tmp_path / "params.yaml").write_text(text.replace('"https', "https").replace('gz"', "gz"))
    with pytest.raises(UserError, match=r"not valid YAML: .*; within .* put quotes around what holds a colon, such as .*file.py:Class$"):
        load_params(tmp_path / "params.yaml")


def test_the_pages_examples_are_valid_yaml() -> None:
    """Each entry as it stands, less the dots that stand for the rest."""
    found = [block for page in (ROOT / "docs").glob("*.md") for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]
    assert found
    for block in found:
        YAML(typ="safe").load(block)


def test_reading_an_experiment_imports_nothing_that_is_slow(tmp_path: Path) -> None:
    """The project's experiments, and one with a user's own folder."""
    names = ("smoke", "default", "full", "losses", "ablations", "budget")
    experiments = [str(ROOT / f"experiments/{name}.yaml") for name in names]
    text = (
        (ROOT / "experiments/smoke.yaml")
        .read_text()
        .replace("\ndatasets:\n", "\ndatasets:\n  mine: {source: folder, path: here, kimg: 1}\n")
    )
    (tmp_path / "params.yaml").write_text(text)
    assert "mine" in load_params(tmp_path / "params.yaml").datasets
    code = """
import sys
from cgm.experiment.reading import load_params
load_params(sys.argv[1])
print(sorted({"torch", "numpy", "PIL", "matplotlib"} & sys.modules.keys()))
"""
    for path in (*experiments, str(tmp_path / "params.yaml")):
        found = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True)
        assert found.stdout == "[]\n", path
