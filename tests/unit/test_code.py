"""Which definitions a fingerprint follows, and what of them counts: on small modules made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.code import Code

STAGE = """
import os
from typing import TYPE_CHECKING

from cgm import tools
from cgm.tools import used as renamed
from cgm.registry import Registry, THINGS

if TYPE_CHECKING:
    from cgm.tools import Typed

LIMIT = 3


def stage(value: Typed) -> int:
    \"\"\"What it does.\"\"\"
    if value > LIMIT:
        raise ValueError(f"{value}: too large, {tools.advice()}")
    print("done", value)
    other = [twice for twice in (1, 2)]
    return renamed(value) + tools.deep(value)
"""
TOOLS = """
from cgm import more

CONSTANT = 1


def used(x):
    return x + CONSTANT


def unused(x):
    return x


def twice(x):
    return 2 * x


def deep(x):
    return more.deepest(x)


def advice():
    return "try again"


class Typed:
    pass


class Record:
    about = About(title="words", citation=CITATION)
    value = 1


CITATION = "A. Author"
"""
MODULES = {
    "cgm/__init__.py": "",
    "cgm/tools.py": TOOLS,
    "cgm/more.py": "def deepest(x):\n    return -x\n\n\ndef beside(x):\n    return x\n",
    "cgm/registry.py": 'class Registry: ...\n\n\nTHINGS = Registry("thing", {"record": "cgm.tools:Record"})\n',
    "pipeline/__init__.py": "",
    "pipeline/stage.py": STAGE,
}


def code(folder: Path, **changes: str) -> Code:
    for name, text in MODULES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name, text in changes.items():
        (folder / name.replace("__", "/").replace("_py", ".py")).write_text(text)
    return Code(folder)


def test_only_what_is_reached_by_name_counts(tmp_path: Path) -> None:
    reached = {name for module, name in code(tmp_path).reach("pipeline.stage") if name and name != "__main__"}
    # `twice` is a name of a comprehension's own, `advice` only of a message, `Typed` only of an annotation
    assert reached == {"stage", "LIMIT", "used", "CONSTANT", "deep", "deepest"}


def test_an_entry_of_a_registry_is_followed_where_it_is_named(tmp_path: Path) -> None:
    project = code(tmp_path)
    assert ("cgm.tools", "Record") not in project.reach("pipeline.stage")
    assert ("cgm.tools", "Record") in project.reach("pipeline.stage", ["cgm.tools:Record"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def unused(x):\n    return x", "def unused(x):\n    return x + 1"),
        ("return x + CONSTANT", "return x + CONSTANT  # a comment"),
        ("def used(x):", 'def used(x):\n    """What it does."""'),
        ("def used(x):", "def used(x: int) -> int:"),
        ('"try again"', '"try something else"'),
        ("def deep(x):", "def another(x):\n    return 1\n\n\ndef deep(x):"),
    ],
)
def test_what_does_not_count(tmp_path: Path, before: str, after: str) -> None:
    assert before in TOOLS
    first = code(tmp_path).fingerprint("pipeline.stage")
    (tmp_path / "cgm/tools.py").write_text(TOOLS.replace(before, after))
    assert Code(tmp_path).fingerprint("pipeline.stage") == first


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("cgm/tools.py", "return x + CONSTANT", "return x - CONSTANT"),
        ("cgm/tools.py", "CONSTANT = 1", "CONSTANT = 2"),
        ("cgm/more.py", "return -x", "return x"),
        ("cgm/tools.py", "from cgm import more", "from cgm import more\n\nmore.deepest = abs"),
        ("pipeline/stage.py", "LIMIT = 3", "LIMIT = 4"),
        ("pipeline/stage.py", "raise ValueError", "raise KeyError"),
    ],
)
def test_what_counts(tmp_path: Path, file: str, before: str, after: str) -> None:
    first = code(tmp_path).fingerprint("pipeline.stage")
    text = (tmp_path / file).read_text()
    assert before in text
    (tmp_path / file).write_text(text.replace(before, after))
    assert Code(tmp_path).fingerprint("pipeline.stage") != first


def test_messages_do_not_count_and_places_neither(tmp_path: Path) -> None:
    first = code(tmp_path).fingerprint("pipeline.stage")
    (tmp_path / "pipeline/stage.py").write_text(STAGE.replace("too large", "larger than it may be").replace('"done"', '"ready"'))
    assert Code(tmp_path).fingerprint("pipeline.stage") == first
    # moved to another module, and imported from there
    (tmp_path / "cgm/more.py").write_text(MODULES["cgm/more.py"] + "\n\nCONSTANT = 1\n\n\ndef used(x):\n    return x + CONSTANT\n")
    (tmp_path / "pipeline/stage.py").write_text(
        STAGE.replace("from cgm.tools import used as renamed", "from cgm.more import used as renamed")
    )
    assert Code(tmp_path).fingerprint("pipeline.stage") == first


def test_words_of_records_count_for_the_report_alone(tmp_path: Path) -> None:
    first = code(tmp_path)
    quiet, loud = (first.fingerprint("pipeline.stage", ["cgm.tools:Record"], words=words) for words in (False, True))
    (tmp_path / "cgm/tools.py").write_text(TOOLS.replace("A. Author", "Another Author"))
    again = Code(tmp_path)
    assert again.fingerprint("pipeline.stage", ["cgm.tools:Record"]) == quiet
    assert again.fingerprint("pipeline.stage", ["cgm.tools:Record"], words=True) != loud


def test_a_module_used_as_a_whole_counts_as_a_whole(tmp_path: Path) -> None:
    project = code(tmp_path)
    (tmp_path / "pipeline/stage.py").write_text("from cgm import more\n\n\ndef stage(name):\n    return getattr(more, name)(1)\n")
    assert ("cgm.more", "beside") in Code(tmp_path).reach("pipeline.stage")
    assert ("cgm.more", "beside") not in project.reach("cgm.tools")
