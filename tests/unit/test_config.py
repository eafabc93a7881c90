"""params.yaml: what is accepted, and the one line that says what is wrong."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from cgm.errors import UserError
from cgm.params import load_params, parse_params

ROOT = Path(__file__).parents[2]
RAW = yaml.safe_load((ROOT / "params.yaml").read_text())


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
        ("datasets.openmoji.image_size", 100, "datasets.openmoji.image_size: found 100; input should be 32, 64, 128 or 256"),
        ("datasets.openmoji.image_sise", 64, "datasets.openmoji.image_sise: unknown key; did you mean 'image_size'?"),
        ("datasets.openmoji.source", "openmojo", "datasets.openmoji.source: found 'openmojo'"),
        ("datasets.openmoji.path", "somewhere", "datasets.openmoji: 'path' goes with 'source: folder'"),
        ("datasets.Open Moji", {"source": "openmoji", "kimg": 1.0}, "datasets.Open Moji: names become folder names"),
        ("datasets.fluent-unpaired", {"source": "fluent", "kimg": 1.0}, "datasets.fluent-unpaired: also stands in unpaired.datasets"),
        ("datasets.other", {"source": "fluent-unpaired", "kimg": 1.0}, "move the entry to unpaired.datasets"),
        ("unpaired.datasets.other", {"source": "openmoji", "kimg": 1.0}, "move the entry to datasets"),
        ("unpaired.methods.mae", {}, "unpaired.methods.mae: 'mae' needs aligned pairs"),
        ("unpaired.datasets.fluent-unpaired", {"source": "fluent-unpaired"}, "unpaired.datasets.fluent-unpaired.kimg: missing"),
        ("networks.unet.widht", 3, "networks.unet.widht: unknown key; did you mean 'width'?"),
        ("networks.patchgan.layers", 6, "networks.patchgan.layers: 6 layers leave nothing of a 64 px image"),
        ("datasets.openmoji.kimg", 0.001, "openmoji.kimg: 0.001 kimg is less than one step"),
        ("seeds", [1, 1], "seeds: found a seed twice"),
        ("seeds", [], "seeds: found []"),
        ("evaluation.judge", "inception", "evaluation.judge: found 'inception'"),
        ("training.judge", "inception-2015", "training.judge: found 'inception-2015'"),
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
    broken.write_text("- a\n")
    with pytest.raises(UserError, match="found list, expected a mapping"):
        load_params(broken)
