"""Texts of a user's own, in every format of a report: none of them becomes code."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_inputs import make_params, write_inputs, write_json

from cgm.report import verify
from cgm.report.build import build
from cgm.report.figures.figure import Picture
from cgm.report.origin import Origin
from cgm.report.plotting import render

HOSTILE = """</script><script>alert(1)</script>"'&<img src=x onerror=alert(2)> %$#_{}~^ | * ` ${x} {{7*7}} ]]> <!-- $5"""


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script":
            self.scripts.append(given)
        if given.get("src") == "x" or any(name.startswith("on") or not re.fullmatch(r"[A-Za-z][\w:.-]*", name) for name in given):
            self.foreign.append(f"{tag} {given}")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("hostile")
    params = make_params([0, 1, 2])
    write_inputs(root, params)
    words = dict.fromkeys(("sentence", "source", "control", "caveat"), HOSTILE)
    test = {"metric": "mae", "arm": "pix2pix", "against": {"arm": "mae"}, "expect": "lower", "delta": 0.01, "because": HOSTILE}
    write_json(root / "claims.yaml", {"claims": [{"id": "a-b", **words, "datasets": "icons_a", "tests": [test]}]})
    index = root / "data/prepared/icons_a/index.csv"
    quoted = HOSTILE.replace('"', '""')
    index.write_text(re.sub(r",thing (\d+)", lambda found: f',"{found[1]} {quoted}"', index.read_text()))
    change(root / "data/prepared/icons_a/card.json", licence=HOSTILE, attribution=HOSTILE, rasteriser=HOSTILE)
    for path in root.rglob("run.json"):
        change(path, device=HOSTILE)
    return build(params, root, Origin(commit=40 * "0", date="2026-02-03", changed=(HOSTILE,))).cited


def change(path: Path, **values: Any) -> None:
    write_json(path, {**json.loads(path.read_text()), **values})


def test_html_has_no_tag_that_a_text_brought(files: dict[str, bytes]) -> None:
    pages = {name: content.decode() for name, content in files.items() if name.endswith(".html")}
    assert "alert(1)" in pages["index.html"]
    for name, text in pages.items():
        found = Tags()
        found.feed(text)
        assert found.foreign == [], name
        assert [each for each in found.scripts if each not in ({"src": "page.js", "defer": None}, {"type": "application/json"})] == []
        for data in re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL):
            json.loads(data)


def test_markdown_and_latex_have_none_either(files: dict[str, bytes]) -> None:
    markdown = [content.decode() for name, content in files.items() if name.endswith(".md")]
    assert any("alert" in text for text in markdown)
    assert not [text for text in markdown if re.search(r"(?<!\\)<[A-Za-z/!?]", text)]
    latex = "".join(content.decode() for name, content in files.items() if name.startswith("tables/") and name.endswith(".tex"))
    assert "\\$\\{x\\} \\{\\{7*7" in latex


def test_such_a_report_agrees_with_itself(files: dict[str, bytes]) -> None:
    assert verify.alone(files) == []


def test_dollar_signs_in_a_figure_are_no_formula() -> None:
    def draw(figure: Any, theme: Any) -> None:
        axes = figure.subplots()
        axes.plot([0.1, 100.0], [0.1, 100.0], label="from $5 to $x^{")
        axes.set_yscale("log")
        axes.set_xticks([1.0, 2.0], ["$_", "a $^$ b"])
        axes.set_title("$5 & $x_")
        axes.legend()

    assert render(Picture(kind="x", dataset="", title="x", alt="x", takeaway="x", draw=draw), "a $1 and $_$")["svg"].startswith(b"<?xml")
