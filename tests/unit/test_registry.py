"""Lists of records: what they say of a name that isn't there, of a place that holds nothing, and of the settings that name an entry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from cgm.core.errors import UserError
from cgm.core.registry import About, Entry, Registry, nearest, places, resolve
from cgm.core.settings import Model
from cgm.data.sources import SOURCES
from cgm.experiment.reading import parse_params
from cgm.experiment.settings import Evaluation, Training
from cgm.methods import METHODS
from cgm.methods.losses import ADVERSARIAL
from cgm.networks import GENERATORS
from cgm.networks.fixed import FIXED

ROOT = Path(__file__).parents[2]
WORDS: Registry[Any] = Registry(
    "word",
    {
        "error": "cgm.core.errors:UserError",
        "absent": "cgm.core.nowhere:UserError",
        "misspelt": "cgm.core.errors:UsreError",
        "whole": "cgm.core.errors",
    },
)


class Inner(Model):
    one: Annotated[str, Entry(WORDS)] = "error"


class Settings(Model):
    """Every form in which a setting may name entries."""

    one: Annotated[str, Entry(WORDS)] = "error"
    perhaps: Annotated[str, Entry(WORDS)] | None = None
    several: list[Annotated[str, Entry(WORDS)]] = Field(default=[])
    inner: Inner = Inner()
    plain: str = "absent"


def test_a_record_is_imported_when_it_is_asked_for() -> None:
    assert list(WORDS) == ["error", "absent", "misspelt", "whole"]
    assert len(WORDS) == 4
    assert "absent" in WORDS
    assert WORDS["error"] is UserError
    assert WORDS.place("absent") == "cgm.core.nowhere:UserError"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("eror", "word 'eror': unknown; did you mean 'error'?"),
        ("zzz", "word 'zzz': unknown; expected one of absent, error, misspelt, whole"),
        ("absent", "word 'absent': listed, but cgm.core.nowhere:UserError can't be imported (No module named 'cgm.core.nowhere')"),
        ("whole", "word 'whole': listed, but 'cgm.core.errors' is no place; expected package.module:name"),
        ("misspelt", "word 'misspelt': listed, but cgm.core.errors:UsreError isn't there: the module has no 'UsreError'"),
    ],
)
def test_what_is_not_there_is_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        WORDS[name]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_listed_method_without_its_file_is_one_line_of_params(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS._entries, "wgan", "cgm.methods.wasserstein:WGAN")  # the file is called cgm/methods/wgan.py
    raw = {"experiment": "test", "seeds": [0], "methods": {"wgan": {}}, "datasets": {"a": {"source": "fluent", "kimg": 1.0}}}
    message = r"^params\.yaml: methods\.wgan: method 'wgan': listed, but cgm\.methods\.wasserstein:WGAN can't be imported .* correct its"
    with pytest.raises(UserError, match=message):
        parse_params(raw)


def test_nearest_lists_all_where_none_is_near() -> None:
    assert nearest("unett", ["resnet", "unet"]) == "; did you mean 'unet'?"
    assert nearest("zzz", ["resnet", "dcgan"]) == "; expected one of dcgan, resnet"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"one": "eror"}, "unknown word 'eror'; did you mean 'error'?"),
        ({"perhaps": "eror"}, "unknown word 'eror'; did you mean 'error'?"),
        ({"several": ["error", "eror"]}, "unknown word 'eror'; did you mean 'error'?"),
        ({"one": 3}, "valid string"),
    ],
)
def test_a_setting_names_an_entry(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match="validation error") as caught:
        Settings(**values)
    assert message in str(caught.value)


def test_places_follow_every_form_of_setting() -> None:
    error, absent, misspelt = (WORDS.place(name) for name in ("error", "absent", "misspelt"))
    assert places(Settings()) == [error]
    assert places(Settings(perhaps="absent")) == sorted([absent, error])
    assert places(Settings(several=["absent", "misspelt"])) == sorted([absent, error, misspelt])
    assert places(Settings(inner=Inner(one="misspelt"))) == sorted([error, misspelt])
    assert places() == []


def test_places_of_an_experiments_settings() -> None:
    assert places(Training(), Evaluation(judges=["vgg16"])) == [FIXED.place("efficientnet-lite0"), FIXED.place("vgg16")]
    settings = METHODS["perceptual"].Settings(implementation="perceptual", generator="resnet", loss_network="vgg16")
    assert places(settings) == sorted([GENERATORS.place("resnet"), FIXED.place("vgg16")])


@pytest.mark.parametrize("registry", [SOURCES, METHODS, FIXED, GENERATORS, ADVERSARIAL], ids=lambda registry: registry.kind)
def test_every_listed_place_holds_a_record(registry: Registry[Any]) -> None:
    for name, record in registry.items():
        assert resolve(registry.place(name)) is record
        if hasattr(record, "name"):
            assert record.name == name
        if hasattr(record, "about"):
            assert isinstance(record.about, About)
            assert record.about.heading


def test_records_are_read_without_torch() -> None:
    """All that ``params.yaml`` may name, but for the generators, which are torch's own classes."""
    code = """
import sys
from cgm.data.sources import SOURCES
from cgm.methods import METHODS
from cgm.networks.fixed import FIXED
print(len([*SOURCES.values(), *METHODS.values(), *FIXED.values()]))
print(sorted({"torch", "torchvision", "numpy", "PIL", "matplotlib"} & sys.modules.keys()))
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == f"{len(SOURCES) + len(METHODS) + len(FIXED)}\n[]\n"
