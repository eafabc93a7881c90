"""One typed table, written as CSV, Markdown, LaTeX and JSON here, and as HTML by ``page.py``.

JSON holds all of a table: :func:`from_json` makes the table of it again, and every other format of that.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median_low
from typing import Any, Literal

from cgm.evaluation import stats

EMPTY = "–"


@dataclass(frozen=True, kw_only=True)
class Column:
    """``scale``: numbers are shown times this. ``places``: decimals shown; None: by the intervals in the column, at most ``most``.
    ``under``: in HTML it stands below the row's title, to save width. ``metric``, ``judge``: where it shows a mean of results.csv, of which
    values, as they are called there.
    """

    key: str
    title: str
    metric: str = ""
    judge: str = ""
    arrow: str = ""
    group: str = ""
    detail: str = ""
    numeric: bool = True
    under: bool = False
    scale: float = 1.0
    places: int | None = None
    most: int = 3


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A text, or a number with the half-width of its interval. ``mark``: footnote signs; ``best``: set in bold."""

    text: str = ""
    interval: stats.Interval | None = None
    mark: str = ""
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """``key``: the id behind the title in the first cell."""

    key: str
    cells: tuple[Cell, ...]
    kind: Literal["method", "baseline", "floor"] = "method"


@dataclass(frozen=True, kw_only=True)
class Table:
    """``stamp``: a warning that stands over every rendering. ``provenance``: where the numbers come from, as names and values.
    ``dataset``: empty for a table of all of them.
    """

    kind: str
    dataset: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...] = ()
    stamp: str = ""
    provenance: tuple[tuple[str, str], ...] = ()
    _places: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"{self.name}: row {row.key} has {len(row.cells)} cells, expected {len(self.columns)}")
        for what, keys in (("column", [column.key for column in self.columns]), ("row", [row.key for row in self.rows])):
            if twice := sorted({key for key in keys if keys.count(key) > 1}):
                raise ValueError(f"{self.name}: {what} {twice[0]} is there more than once; a cell is known by the keys of both")
        self._places.update(
            {
                column.key: _places(column, [row.cells[place] for row in self.rows if row.kind == "method"])
                for place, column in enumerate(self.columns)
            }
        )

    @property
    def name(self) -> str:
        """Of its files, without suffix."""
        return f"{self.kind}-{self.dataset}" if self.dataset else self.kind

    @cached_property
    def sha256(self) -> str:
        """Of what the table says: titles, columns, cells, footnotes. Neither stamp nor provenance: they say how far to trust it."""
        return hashlib.sha256(json.dumps(_content(self), sort_keys=True, ensure_ascii=False, allow_nan=False).encode()).hexdigest()

    @property
    def key(self) -> str:
        """By which it is cited; another number, title or footnote gives another key."""
        return f"cgm-{self.name}-{self.sha256[:8]}"

    @property
    def footer(self) -> str:
        """In one line; empty for a table of which nothing is known."""
        return " · ".join([*(f"{name} {value}" for name, value in self.provenance), f"cite as {self.key}"]) if self.provenance else ""

    @property
    def wide(self) -> tuple[Column, ...]:
        """The columns that HTML gives a column."""
        return tuple(column for column in self.columns if not column.under)

    @property
    def headings(self) -> list[str]:
        """In one line each: title, detail, arrow."""
        return [
            " ".join(part for part in (column.title, f"({column.detail})" if column.detail else "", column.arrow) if part)
            for column in self.columns
        ]

    @staticmethod
    def groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
        """(title, number of columns) of neighbours with the same group."""
        groups: list[tuple[str, int]] = []
        for column in columns:
            if groups and groups[-1][0] == column.group:
                groups[-1] = (column.group, groups[-1][1] + 1)
            else:
                groups.append((column.group, 1))
        return groups

    def show(self, column: Column, cell: Cell) -> tuple[str, str]:
        """What stands in the cell: the mean or the text, and the half-width or nothing."""
        if cell.interval is None:
            return cell.text or EMPTY, ""
        places, interval = self._places[column.key], cell.interval
        half = "" if interval.half_width is None else stats.format_half_width(interval.half_width * column.scale, places)
        return stats.format_number(interval.mean * column.scale, places), half

    def text(self, column: Column, cell: Cell) -> str:
        """:meth:`show` in one: ``0.083 ± 0.002``."""
        mean, half = self.show(column, cell)
        return f"{mean} ± {half}" if half else mean


CITE, NOT_CITABLE = "cite", "not_citable"


def to_csv(table: Table) -> str:
    """Full precision, unscaled; each numeric column is followed by its 95% half-width, n and whether it is set in bold.

    A comment would be no CSV: key and stamp are columns, in every row.
    """
    with_interval = {
        column.key: any((shown := row.cells[place].interval) is not None and shown.half_width is not None for row in table.rows)
        for place, column in enumerate(table.columns)
    }
    with_best = {column.key: any(row.cells[place].best for row in table.rows) for place, column in enumerate(table.columns)}
    header = ["id"]
    for column in table.columns:
        header.append(column.key)
        header += [f"{column.key}_ci95", f"{column.key}_n"] if with_interval[column.key] else []
        header += [f"{column.key}_best"] if with_best[column.key] else []
    last = {**({CITE: table.key} if table.provenance else {}), **({NOT_CITABLE: table.stamp} if table.stamp else {})}
    header += last
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    for row in table.rows:
        line = [row.key]
        for column, cell in zip(table.columns, row.cells, strict=True):
            interval = cell.interval
            line.append(cell.text if interval is None else repr(interval.mean))
            if with_interval[column.key]:
                line.append("" if interval is None or interval.half_width is None else repr(interval.half_width))
                line.append("" if interval is None else str(interval.n))
            if with_best[column.key]:
                line.append(str(int(cell.best)))
        writer.writerow([*line, *last.values()])
    return file.getvalue()


def to_markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_no_html(cell).replace("|", "\\|") for cell in cells) + " |"

    lines = [f"**{_no_html(table.title)}**", ""]
    if table.stamp:
        lines += [f"**{_no_html(table.stamp)}**", ""]
    lines.append(line(table.headings))
    lines.append(line(["---:" if column.numeric else "---" for column in table.columns]))
    for row in table.rows:
        lines.append(line([_markdown_cell(table, column, cell) for column, cell in zip(table.columns, row.cells, strict=True)]))
    lines += ["", *(f"{_no_html(note)}  " for note in table.footnotes)]
    lines += ["", f"*{_no_html(table.footer)}*"] if table.footer else []
    return "\n".join(lines).rstrip() + "\n"


def _no_html(text: str) -> str:
    """Markdown takes tags as HTML; a name or a claim may hold what looks like one."""
    return _TAG.sub(r"\\<", text)


_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def _markdown_cell(table: Table, column: Column, cell: Cell) -> str:
    text = table.text(column, cell).replace("*", "\\*")
    return (f"**{text}**" if cell.best else text) + cell.mark


def to_latex(table: Table) -> str:
    """A ``table*`` that needs the packages booktabs and graphicx (it is as wide as the text)."""
    warning = f". \\textbf{{{escape_latex(table.stamp)}}}" if table.stamp else ""
    spec = "".join(_alignment(column, [row.cells[place].text for row in table.rows]) for place, column in enumerate(table.columns))
    lines = [
        "% needs \\usepackage{booktabs,graphicx}",
        "\\begin{table*}",
        "\\centering",
        f"\\caption{{{escape_latex(table.title)}{warning}}}",
        f"\\label{{tab:{table.name}}}",
        "\\resizebox{\\textwidth}{!}{%",
        f"\\begin{{tabular}}{{{spec}}}",
        "\\toprule",
    ]
    groups = table.groups(table.columns)
    if any(title for title, _ in groups):
        lines.append(" & ".join(f"\\multicolumn{{{span}}}{{c}}{{{escape_latex(title)}}}" for title, span in groups) + " \\\\")
    lines.append(" & ".join(escape_latex(heading) for heading in table.headings) + " \\\\")
    kind = None
    for row in table.rows:
        if row.kind != kind:
            lines.append("\\midrule")
            kind = row.kind
        cells = zip(table.columns, row.cells, strict=True)
        lines.append(" & ".join(_latex_cell(table, column, cell) for column, cell in cells) + " \\\\")
    lines += ["\\bottomrule", "\\end{tabular}}", "\\par\\smallskip"]
    lines += [f"{{\\footnotesize {escape_latex(note)}\\par}}" for note in table.footnotes]
    lines += [f"{{\\scriptsize {escape_latex(table.footer)}\\par}}"] if table.footer else []
    return "\n".join([*lines, "\\end{table*}"]) + "\n"


PROSE, LINE = 48, 20
"""More characters than this are set in lines, of so many centimetres; the whole table is then scaled to the width of the text."""


def _alignment(column: Column, texts: Sequence[str]) -> str:
    return "r" if column.numeric else f"p{{{LINE}cm}}" if max(map(len, texts), default=0) > PROSE else "l"


def _latex_cell(table: Table, column: Column, cell: Cell) -> str:
    text = escape_latex(table.text(column, cell))
    return (f"\\textbf{{{text}}}" if cell.best else text) + escape_latex(cell.mark)


UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError, csv.Error)
"""What reading a file of a report may raise where somebody has changed it, be it cut, of another version, or nested a thousand times."""
DIRECTIONS = {"↑": "higher", "↓": "lower", "→": "target"}


def to_json(table: Table) -> str:
    """Everything: columns with unit, scale and direction; cells by the row's and the column's key, unscaled, and ``text`` as shown."""
    value = {
        "key": table.key,
        "sha256": table.sha256,
        NOT_CITABLE: table.stamp,
        "provenance": dict(table.provenance),
        "level": stats.LEVEL,
        **_content(table),
    }
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _content(table: Table) -> dict[str, Any]:
    """What a table says, as JSON has it. An empty cell has neither text nor mean."""
    columns = [
        {
            "key": column.key,
            "title": column.title,
            "group": column.group,
            "unit": column.detail,
            "metric": column.metric,
            "judge": column.judge,
            "numeric": column.numeric,
            "direction": DIRECTIONS.get(column.arrow[:1], ""),
            "target": float(column.arrow[1:]) if column.arrow.startswith("→") and column.arrow[1:] else None,
            "scale": float(column.scale),
            "places": table._places[column.key],
            "under": column.under,
        }
        for column in table.columns
    ]
    rows = [
        {
            "key": row.key,
            "kind": row.kind,
            "cells": {column.key: _cell(table, column, cell) for column, cell in zip(table.columns, row.cells, strict=True)},
        }
        for row in table.rows
    ]
    return {
        "name": table.name,
        "kind": table.kind,
        "dataset": table.dataset,
        "title": table.title,
        "columns": columns,
        "rows": rows,
        "footnotes": list(table.footnotes),
    }


def _cell(table: Table, column: Column, cell: Cell) -> dict[str, Any]:
    if cell.interval is None:
        return {"text": cell.text, "mark": cell.mark, "best": cell.best}
    half = cell.interval.half_width
    return {
        "mean": float(cell.interval.mean),
        "half_width": None if half is None else float(half),
        "n": cell.interval.n,
        "text": table.text(column, cell),
        "mark": cell.mark,
        "best": cell.best,
    }


def from_json(text: str) -> Table:
    """The table that :func:`to_json` wrote. One of :data:`UNREADABLE` for any other text."""
    value = json.loads(text)
    arrows = {direction: arrow for arrow, direction in DIRECTIONS.items()}
    columns = tuple(
        Column(
            key=column["key"],
            title=column["title"],
            group=column["group"],
            detail=column["unit"],
            metric=column["metric"],
            judge=column["judge"],
            numeric=column["numeric"],
            arrow=arrows.get(column["direction"], "") + ("" if column["target"] is None else f"{column['target']:g}"),
            scale=column["scale"],
            places=column["places"],
            under=column["under"],
        )
        for column in value["columns"]
    )
    return Table(
        kind=value["kind"],
        dataset=value["dataset"],
        title=value["title"],
        columns=columns,
        rows=tuple(
            Row(key=row["key"], kind=row["kind"], cells=tuple(_from_cell(row["cells"][column.key]) for column in columns))
            for row in value["rows"]
        ),
        footnotes=tuple(value["footnotes"]),
        stamp=value[NOT_CITABLE],
        provenance=tuple(value["provenance"].items()),
    )


def _from_cell(cell: dict[str, Any]) -> Cell:
    if "mean" not in cell:
        return Cell(text=cell["text"], mark=cell["mark"], best=cell["best"])
    interval = stats.Interval(mean=cell["mean"], half_width=cell["half_width"], n=cell["n"])
    return Cell(interval=interval, mark=cell["mark"], best=cell["best"])


_LATEX = {
    "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{", "}": "\\}",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
    "±": "$\\pm$", "×": "$\\times$", "÷": "$\\div$", "−": "$-$", "–": "--", "—": "---", "→": "$\\to$", "↑": "$\\uparrow$",
    "↓": "$\\downarrow$", "†": "$^\\dagger$", "‡": "$^\\ddagger$",
    **{sign: f"$^{digit}$" for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}, "⁻": "$^-$",
    **{sign: f"$_{digit}$" for digit, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")},
    "′": "$'$", "≤": "$\\le$", "≥": "$\\ge$", "≈": "$\\approx$", "·": "$\\cdot$", "‖": "$\\|$", "λ": "$\\lambda$", "φ": "$\\varphi$",
    "σ": "$\\sigma$", "α": "$\\alpha$", "β": "$\\beta$", "δ": "$\\delta$", "Σ": "$\\Sigma$", "√": "$\\sqrt{\\,}$", "∞": "$\\infty$",
    "…": "\\dots{}", "’": "'", "‘": "`", "“": "``", "”": "''", "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Every character that LaTeX would read as a command, and the signs that its fonts lack."""
    return "".join(_LATEX.get(character, character) for character in text)


def _places(column: Column, cells: list[Cell]) -> int:
    """The same decimals all down a column: what half of the methods' intervals deserve, at most ``most`` and at least one less."""
    if column.places is not None:
        return column.places
    widths = [cell.interval.half_width * column.scale for cell in cells if cell.interval and cell.interval.half_width]
    if not widths:
        return column.most
    return min(max(median_low([stats.decimals(width) for width in widths]), column.most - 1), column.most)
