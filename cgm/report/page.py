"""The page: all of the report in one file that loads nothing but what lies beside it.

``page.js`` (:mod:`cgm.report.script`) makes tables, charts and images answer, and ``samples/`` (:mod:`cgm.report.browser`) holds the test
images. Without them everything is there to read all the same.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from cgm.claims.ledger import NONE, Ledger
from cgm.claims.verdict import Verdict
from cgm.report import browser, cards, footnotes, particulars
from cgm.report.browser import Browsed
from cgm.report.charts import Chart, Key
from cgm.report.citation import BIB, NOT_CITABLE, NUMBERS, stamp
from cgm.report.citation import TITLE as SOFTWARE
from cgm.report.figures import FIGURES
from cgm.report.figures.figure import Picture
from cgm.report.groups import GROUPS, HEADINGS, Group
from cgm.report.plotting import DARK, LIGHT, for_both_themes
from cgm.report.results import DatasetResult, Results
from cgm.report.summary import answer, opening
from cgm.report.table_format import Cell, Column, Row, Table
from cgm.report.tables import TABLES
from cgm.report.tables.verdicts import EXPECTED

TEMPLATES = Path(__file__).parent / "templates"
TITLE = "Which loss should train an image-to-image model?"
PLAIN = " !$'()*+,-./:;=?@_~"
"""What stands in a data URI as it is."""


@dataclass(frozen=True, kw_only=True)
class Badge:
    """What stands beside the result's name. ``why``: a sentence, where one is owed."""

    text: str
    kind: Literal["good", "bad", "plain"]
    why: str = ""


def table_page(table: Table) -> str:
    """A table on a page of its own."""
    return _environment().get_template("table_page.html.j2").render(table=table, style=_style())


def index_page(
    results: Results,
    tables: list[Table],
    pictures: list[Picture],
    drawn: Mapping[str, bytes],
    results_csv: str,
    *,
    browsed: Sequence[Browsed] = (),
    verdicts: Sequence[Verdict] = (),
    ledger: Ledger = NONE,
) -> str:
    """``index.html``. ``drawn``: SVG by the name of its picture. ``results_csv``: its text, whose hash identifies the results.

    ``verdicts``: on the claims of the ``ledger``.
    """
    identity = hashlib.sha256(results_csv.encode()).hexdigest()
    sections = [
        {
            "dataset": dataset,
            "runs": footnotes.runs_sentence(dataset.all_runs),
            "about": particulars.about(dataset),
            "answer": answer(dataset),
            "opening": opening(dataset),
            "groups": _groups(dataset, tables, pictures, drawn),
        }
        for dataset in results.datasets
    ]
    params = results.params
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            title=TITLE,
            lead=particulars.lead(results),
            style=_style(),
            stamp=stamp(results),
            identity=identity[:12],
            badges=[_runs_badge(results), Badge(text=NOT_CITABLE, kind="bad") if stamp(results) else Badge(text="citable", kind="good")],
            cite=_cite(results, identity),
            cite_files=(BIB, NUMBERS),
            verdicts=cards.by_kind(verdicts),
            expected=EXPECTED,
            experiment_tables=[table for table in tables if not table.dataset],
            experiment_figures=[(picture, _source(picture, drawn)) for picture in pictures if not picture.dataset],
            claims={verdict.claim.id for verdict in verdicts},
            facts=[
                ("Experiment", params.experiment),
                ("Datasets", ", ".join(dataset.name for dataset in results.datasets)),
                ("Seeds", ", ".join(map(str, params.seeds))),
                ("Runs", footnotes.runs_sentence(results.all_runs)),
                ("Device", ", ".join(footnotes.distinct(results.records, "device")) or "none yet"),
                (
                    "Judges",
                    ", ".join(dict.fromkeys(particulars.judge_words(judge) for dataset in results.datasets for judge in dataset.judges))
                    or "none yet",
                ),
            ],
            sections=sections,
            headings={name: maker.heading for name, maker in TABLES.items()},
            browsed=browsed,
            quality=browser.QUALITY,
            columns=browser.COLUMNS,
            metrics=particulars.metric_rows(results),
            methods=[particulars.method_section(results, name) for name in results.methods],
            cards=[particulars.data_card(dataset) for dataset in results.datasets],
            provenance=[
                *particulars.provenance_rows(results, identity),
                ("claims", f"{ledger.name} {ledger.sha256}" if ledger.sha256 else "no file"),
            ],
            limitations=particulars.limitations(results),
            footer=f"cgm · result {identity[:12]} · experiment {params.experiment}. Images belong to their authors; see Data for licences.",
        )
    )


def _groups(
    dataset: DatasetResult, tables: list[Table], pictures: list[Picture], drawn: Mapping[str, bytes]
) -> list[tuple[Group, str, list[tuple[Picture, Markup]], list[Table]]]:
    """(id, heading, figures with their sources, tables) of each part of a dataset's section that holds anything."""
    found = []
    for group in GROUPS:
        figures = [
            (picture, _source(picture, drawn))
            for picture in pictures
            if picture.dataset == dataset.name and FIGURES[picture.kind].group == group
        ]
        own = [table for table in tables if table.dataset == dataset.name and TABLES[table.kind].group == group]
        if figures or own:
            found.append((group, HEADINGS[group], figures, own))
    return found


def _runs_badge(results: Results) -> Badge:
    whole = all(run.ok for run in results.all_runs)
    return Badge(text="all runs ok" if whole else footnotes.runs_sentence(results.all_runs), kind="good" if whole else "bad")


def _cite(results: Results, identity: str) -> str:
    """The report as a whole; tables and numbers have their own keys."""
    origin = results.origin
    commit = f", commit {origin.commit[:12]} of {origin.date}" if origin.commit else ""
    return f"{SOFTWARE}; experiment {results.params.experiment}, result {identity[:12]}{commit}."


@cache
def _environment() -> Environment:
    """One for all tables: a template is compiled once."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(heading=_heading, equation=_equation, common_keys=_common_keys, json=_json)
    environment.filters.update({name: getattr(cards, name) for name in ("slug", "p_value", "drawing")})
    environment.globals.update(row_cells=_row_cells, row_under=_row_under, group_starts=_group_starts, zip=zip)
    return environment


def _style() -> Markup:
    """Our own file: nothing in it to escape. The series' colours come from the drawn figures' themes."""
    light, dark = ("".join(f"--series-{place}:{colour};" for place, colour in enumerate(theme.palette)) for theme in (LIGHT, DARK))
    colours = f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    return Markup(colours + (TEMPLATES / "style.css").read_text(encoding="utf-8"))


def _json(value: object) -> Markup:
    """JSON inside a script element, which only ``</`` could end."""
    return Markup(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"))


def _common_keys(shown: Sequence[Chart]) -> list[Key]:
    """What the panels' series stand for; empty where a name stands for one thing here and for another there."""
    found: dict[str, Key] = {}
    for each in (each for chart in shown for each in chart.keys):
        if found.setdefault(each.label, each) != each:
            return []
    return list(found.values())


def _row_cells(table: Table, row: Row) -> list[tuple[Column, Cell]]:
    return [(column, cell) for column, cell in zip(table.columns, row.cells, strict=True) if not column.under]


def _row_under(table: Table, row: Row) -> list[str]:
    """What stands below the row's title; nothing for a baseline."""
    if row.kind != "method":
        return []
    return [cell.text for column, cell in zip(table.columns, row.cells, strict=True) if column.under and cell.text]


def _group_starts(table: Table) -> set[str]:
    """Keys of the columns with which a titled group begins."""
    before = ("", *(column.group for column in table.wide))
    return {column.key for group, column in zip(before, table.wide, strict=False) if column.group != group}


def _heading(title: str) -> Markup:
    """May break after the hyphen of a judge's name and before an @, but not after a ÷."""
    title = title.replace("÷ ", "÷\N{NO-BREAK SPACE}")
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=-)|(?=@)", title))


def _equation(text: str) -> Markup:
    """``λ_c`` and ``‖x‖²_F`` with their indices lowered; other names with an underscore as they are."""
    return Markup(re.sub(r"(?<=[λ²])_(\w+)", r"<sub>\1</sub>", str(escape(text))))


def _source(picture: Picture, drawn: Mapping[str, bytes]) -> Markup:
    """A figure as a data URI. SVG stays text, a quarter smaller than as base64, and what changes in it is what git keeps.

    Its quotation marks become apostrophes, which a URI holds as they are. Sheets are WebP here, without loss and a fifth smaller than PNG.
    """
    if picture.is_sheet:
        file = io.BytesIO()
        Image.open(io.BytesIO(picture.image)).convert("RGB").save(file, format="WEBP", lossless=True, quality=60, method=3)
        return Markup(f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}")
    svg = for_both_themes(drawn[picture.name])
    svg = svg if b"'" in svg else svg.replace(b'"', b"'")
    return Markup(f"data:image/svg+xml,{quote(svg, safe=PLAIN)}")  # nothing in it to escape: PLAIN has no &, < or quotation mark
