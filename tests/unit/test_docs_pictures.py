"""The pages' pictures: all there, all used, one for each layout and condition, and what the script would make again."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from cgm.data.conditions import CONDITIONS
from cgm.data.layouts import LAYOUTS

ROOT = Path(__file__).parents[2]
PAGES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
NAMED = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
DATA = PAGES[ROOT / "docs/data.md"]
PICTURES = sorted((ROOT / "docs/pictures").glob("*"))
LARGEST, ALL, WIDEST = 60_000, 400_000, 1200
"""Bytes of one and of all, and pixels across."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return loaded("pictures")


def loaded(name: str) -> ModuleType:
    """One of the scripts beside the pages."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / f"docs/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_picture_that_a_page_names_is_there_and_described():
    named = [(page, alt, page.parent / place) for page, text in PAGES.items() for alt, place in NAMED.findall(text)]
    assert named
    for page, alt, path in named:
        assert path.is_file(), f"{page.name} names {path}"
        assert len(alt) > 20, f"{page.name}: {path.name} needs words for those who can't see it"


def test_every_picture_is_used():
    used = {(page.parent / place).resolve() for page, text in PAGES.items() for _, place in NAMED.findall(text)}
    assert {*PICTURES} == {path for path in used if path.parent == ROOT / "docs/pictures"}


def test_pictures_are_small():
    sizes = {path.name: path.stat().st_size for path in PICTURES}
    assert max(sizes.values()) <= LARGEST, sizes
    assert sum(sizes.values()) <= ALL, sizes
    for path in PICTURES:
        assert Image.open(path).width <= WIDEST


def test_mlflows_pages_are_those_of_the_script() -> None:
    taken = {path.stem: path for path in (ROOT / "docs/mlflow").iterdir()}
    named = [Path(place).stem for _, place in NAMED.findall(PAGES[ROOT / "docs/mlflow.md"])]
    scenes = loaded("mlflow_pictures")
    assert sorted(named) == sorted(taken) == sorted(scenes.PICTURES)
    for path in taken.values():
        with Image.open(path) as image:
            assert (image.width, path.suffix) == (scenes.WIDTH, ".png")
        assert path.stat().st_size <= LARGEST


def test_the_search_for_pictures_names_those_of_the_report() -> None:
    """A reader who has its runs finds something."""
    (digest,) = re.findall(r"dataset\.digest = '(\w+)'", PAGES[ROOT / "docs/mlflow.md"])
    assert len(digest) == 12
    assert digest in (ROOT / "reports/index.html").read_text(encoding="utf-8")


def test_every_layout_and_every_condition_has_its_picture(script):
    assert {*script.EXAMPLES} == {*LAYOUTS, script.TWO_FOLDERS}
    for name in script.EXAMPLES:
        assert f"](pictures/{name}.png)" in DATA
    for name in LAYOUTS:
        assert f"| `{name}` |" in DATA
    words = next(alt for alt, place in NAMED.findall(DATA) if place == "pictures/conditions.png")
    for name in CONDITIONS:
        assert f"| `{name}` |" in DATA
        assert name in words, f"{name} is not in the picture of the conditions; run {script.COMMAND}"


def test_pages_say_how_their_pictures_are_renewed_and_under_which_licence():
    sections = re.findall(r"<!-- ([^:>]+): generated, do not edit -->\n(.*?)<!-- end of \1 -->", DATA, re.DOTALL)
    assert {name for name, _ in sections} == {"add", "layouts", "fit", "augment", "conditions"}
    for _, text in sections:
        assert "Renewed by `python docs/pictures.py`." in text
        assert "CC BY-SA 4.0" in text


def test_a_picture_comes_out_the_same_again(script):
    """Of made-up pictures: to unpack the embedded ones takes longer."""

    def picture(seed: int) -> Image.Image:
        blocks = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        return Image.fromarray(blocks).resize((64, 64), Image.Resampling.BICUBIC)

    names = [f"picture-{place}" for place in range(script.COUNT)]
    drawings = {name: (picture(place), picture(1000 + place)) for place, name in enumerate(names)}
    found = script.Material(drawings, {name: pair[1] for name, pair in drawings.items()}, {}, {})
    for name in ("flat-folders", "single"):
        first, second = (script.encoded(script.layout_picture(name, found)) for _ in range(2))
        assert first == second
        assert script.difference(first, second) == 0
    assert script.difference(script.encoded(script.layout_picture("table", found)), first) == float("inf")


@pytest.mark.slow
def test_the_pages_are_what_the_script_would_make(script):
    script.main(["--check"])
