"""``params.yaml`` edited as text: an entry goes in and comes out, and nothing else moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cgm.core.errors import UserError
from pipeline.params_text import read, rewrite, with_entry, without_entry

PLACE = Path("params.yaml")
ENTRY = {"source": "folder", "path": "my/pictures", "kimg": 8.0}
LINE = "mine: {source: folder, path: my/pictures, kimg: 8.0}"
PAIRED, UNPAIRED = ("datasets",), ("unpaired", "datasets")


def loaded(text: str) -> object:
    return YAML(typ="safe").load(text)


INSERTED = {
    "behind an entry": (PAIRED, "datasets:\n  a: {x: 1}  # ours\n\n# between\nb: 1\n", f"  # ours\n  {LINE}\n\n# between\n"),
    "behind an entry of several lines": (
        PAIRED, "datasets:\n  a:\n    x: |\n      text\n\n    y: [1,\n      2]\n  # below\nb: 1\n", f"      2]\n  {LINE}\n  # below\n",
    ),
    "behind a list": (PAIRED, "datasets:\n  a:\n    x:\n      - 1\n      - 2\nb: 1\n", f"      - 2\n  {LINE}\nb: 1\n"),
    "behind an entry without a value": (PAIRED, "datasets:\n  a:\nb: 1\n", f"  a:\n  {LINE}\nb: 1\n"),
    "in place of {}": (PAIRED, "datasets: {}  # none\nb: 1\n", f"datasets:  # none\n  {LINE}\nb: 1\n"),
    "where there is nothing": (PAIRED, "datasets:   # none\n  # yet\nb: 1\n", f"datasets:   # none\n  {LINE}\n  # yet\nb: 1\n"),
    "in place of null": (PAIRED, "datasets: null\nb: 1\n", f"datasets:\n  {LINE}\nb: 1\n"),
    "without the key": (PAIRED, "b: 1\n# end\n", f"b: 1\ndatasets:\n  {LINE}\n# end\n"),
    "without an end of line": (PAIRED, "datasets:\n  a: {x: 1}", f"a: {{x: 1}}\n  {LINE}\n"),
    "within braces": (PAIRED, "datasets: {a: {x: 1}}\n", f"datasets: {{a: {{x: 1}}, {LINE}}}\n"),
    "four spaces deep": (PAIRED, "datasets:\n    a: {x: 1}\n", f"    a: {{x: 1}}\n    {LINE}\n"),
    "two deep": (UNPAIRED, "unpaired:\n  datasets: {}\n  methods: {}\n", f"  datasets:\n    {LINE}\n  methods: {{}}\n"),
    "two deep, within braces": (
        UNPAIRED, "unpaired: {datasets: {}, methods: {c: {}}}\n", f"unpaired: {{datasets: {{{LINE}}}, methods: {{c: {{}}}}}}\n",
    ),
    "two deep, null within braces": (UNPAIRED, "unpaired: {datasets: , methods: {}}\n", f"unpaired: {{datasets: {{{LINE}}}"),
    "two deep, one key": (UNPAIRED, "unpaired:\n  methods: {c: {}}\n", f"  methods: {{c: {{}}}}\n  datasets:\n    {LINE}\n"),
    "two deep, no key": (UNPAIRED, "b: 1\n", f"b: 1\nunpaired:\n  datasets:\n    {LINE}\n"),
    "two deep, empty": (UNPAIRED, "unpaired: {}\nb: 1\n", f"unpaired:\n  datasets:\n    {LINE}\nb: 1\n"),
    "two deep, no key within braces": (UNPAIRED, "unpaired: {m: 1}\n", f"unpaired: {{m: 1, datasets: {{{LINE}}}}}\n"),
}  # fmt: skip


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("case", INSERTED)
def test_an_entry_goes_in_and_comes_out(case: str, newline: str) -> None:
    keys, text, expected = INSERTED[case]
    text = text.replace("\n", newline)
    found = with_entry(PLACE, text, keys, "mine", ENTRY)
    assert expected.replace("\n", newline) in found
    place = loaded(found)
    for key in keys:
        place = place[key]  # type: ignore[index]
    assert place["mine"] == ENTRY  # type: ignore[index]
    assert "\n" not in found.replace(newline, "")
    back = without_entry(PLACE, found, keys, "mine")
    assert {line for line in text.splitlines() if "#" in line or not line.strip()} <= {
        line.replace(" {}", "") for line in back.splitlines()
    } | set(back.splitlines())
    assert "mine" not in back


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("datasets:\n  # above\n  mine: {x: 1}  # ours\n\nb: 1\n", "datasets: {}\n  # above\n\nb: 1\n"),
        (
            "datasets:   # all\n  # above\n  mine:\n    x: 1\n    # inner\n  # below\nb: 1\n",
            "datasets: {}   # all\n  # above\n    # inner\n  # below\nb: 1\n",
        ),
        ("datasets:\n  mine: {x: 1}", "datasets: {}\n"),
        (
            "datasets:\n  a: {}\n  # above\n  mine: |\n    text\n\n  # below\n  b: {}\n",
            "datasets:\n  a: {}\n  # above\n\n  # below\n  b: {}\n",
        ),
        ("datasets: {mine: {x: 1}}\n", "datasets: {}\n"),
        ("datasets: {mine: {x: 1}, b: {}}\n", "datasets: {b: {}}\n"),
        ("datasets: {a: {}, mine: {x: [1, 2]}}\n", "datasets: {a: {}}\n"),
    ],
)  # fmt: skip
def test_an_entry_is_taken_out_and_comments_stay(text: str, expected: str) -> None:
    assert without_entry(PLACE, text, PAIRED, "mine") == expected


@pytest.mark.parametrize(
    "path", ["a:b", "C: x", "what?", "{x}", "a, b", "#1", "'", '"', "true", "1", "é è", " x", "-", "&a", "*a", "!x", "%", "@"]
)
def test_any_path_is_read_back_as_it_is(path: str) -> None:
    for text in ("datasets:\n  a: {}\n", "datasets: {a: {}}\n"):
        found = with_entry(PLACE, text, PAIRED, "mine", {"path": path, "value_range": {"A": [0, 1]}})
        assert loaded(found)["datasets"]["mine"]["path"] == path  # type: ignore[index]


def test_what_can_t_be_edited_is_one_line_that_says_what_to_do() -> None:
    with pytest.raises(UserError, match=r"can't edit; add this line to datasets by hand: mine: \{source: folder, path: my/pictures"):
        with_entry(PLACE, "none: &none {}\ndatasets: *none\n", PAIRED, "mine", ENTRY)
    with pytest.raises(UserError, match=r"can't edit; remove a from datasets by hand"):
        without_entry(PLACE, "all: &all\n  a: {x: 1}\ndatasets:\n  <<: *all\n", PAIRED, "a")
    with pytest.raises(UserError, match=r"params\.yaml: unpaired\.datasets: found int, expected a mapping"):
        with_entry(PLACE, "unpaired: 3\n", UNPAIRED, "mine", ENTRY)


def test_the_file_keeps_its_mode_its_line_ends_and_its_place(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "params.yaml"
    real.write_bytes(b"a: 1\r\n")
    real.chmod(0o640)
    link.symlink_to(real)
    assert read(link) == "a: 1\r\n"
    rewrite(link, "a: 2\r\n")
    assert link.is_symlink()
    assert real.read_bytes() == b"a: 2\r\n"
    assert real.stat().st_mode & 0o777 == 0o640
    rewrite(tmp_path / "new.yaml", "a: 3\n")
    assert (tmp_path / "new.yaml").read_text() == "a: 3\n"
