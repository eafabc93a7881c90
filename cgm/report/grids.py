"""What stands where in each format of a report's files: how :mod:`cgm.report.verify` reads them to compare them cell by cell."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

from cgm.report.citation import NUMBERS
from cgm.report.parquet import read_rows

Grid = dict[tuple[str, str], str]
"""What stands where: (row, column) → text."""
CSV, PARQUET = "results.csv", "results.parquet"
RUN = ("dataset", "method", "seed", "metric", "judge")


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def _by_row(rows: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> Grid:
    grid: Grid = {}
    for row in rows:
        name = "/".join(str(row[key]) for key in keys if row[key] not in ("", None))
        for column, cell in row.items():
            if column not in keys:
                grid[name, column] = "" if cell is None else str(cell)
    return grid


def _results(content: bytes) -> Grid:
    return _by_row(csv_rows(content), RUN)


def _result_rows(content: bytes) -> Grid:
    """``results.parquet`` as ``results.csv`` writes it: floats so that they read back as they are."""
    return _by_row(read_rows(content), RUN)


def _image_rows(content: bytes) -> Grid:
    return _by_row(read_rows(content), ("dataset", "method", "seed", "metric", "image"))


def table_csv(content: bytes) -> Grid:
    rows = csv_rows(content)
    return _by_row(rows, ("id",)) if rows and "id" in rows[0] else _figure_csv(content)


def _figure_csv(content: bytes) -> Grid:
    """Rows are named by their number and their first three cells at most, up to the first decimal number."""
    grid: Grid = {}
    for number, row in enumerate(csv_rows(content), start=1):
        names = list(itertools.takewhile(lambda cell: not re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", str(cell)), row.values()))
        for column, cell in row.items():
            grid[f"{number} ({', '.join(map(str, names[:3]))})" if names else str(number), str(column)] = str(cell)
    return grid


class _Digits(str):
    """A number as it is written: 0.1 and 0.10 are one number, and not one file."""


def _json(content: bytes) -> Grid:
    """Nested values by their path; items of a list by their ``key`` where they have one, else by their place."""
    grid: Grid = {}

    def walk(value: Any, path: tuple[str, ...]) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(inner, path if key == "cells" else (*path, str(key)))
        elif isinstance(value, list) and value:
            for place, inner in enumerate(value):
                walk(inner, (*path, str(inner["key"]) if isinstance(inner, dict) and "key" in inner else str(place)))
        else:
            row, rest = (path[1], path[2:]) if path[:1] == ("rows",) and len(path) > 2 else ("", path)
            grid[row, ".".join(rest)] = value if isinstance(value, _Digits) else json.dumps(value, ensure_ascii=False)

    walk(json.loads(content, parse_float=_Digits, parse_int=_Digits), ())
    return grid


def _pipes(content: bytes) -> Grid:
    """Markdown's first table."""
    lines = [line for line in content.decode().splitlines() if line.startswith("|")]
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return _headed(rows[0], rows[2:]) if len(rows) > 2 else {}


def _ampersands(content: bytes) -> Grid:
    """The rows of LaTeX's table; the last one before the first row's rule has the headings."""
    lines = [line for line in content.decode().splitlines() if line.endswith("\\\\") or line == "\\midrule"]
    if "\\midrule" not in lines:
        return {}
    start = lines.index("\\midrule")
    rows = [re.split(r"(?<!\\)&", line.removesuffix("\\\\")) for line in lines[start - 1 :] if line != "\\midrule"]
    cells = [[cell.strip() for cell in row] for row in rows]
    return _headed(cells[0], cells[1:])


def _headed(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Grid:
    return {(row[0], title): cell for row in rows for title, cell in zip(heading, row, strict=False)}


def _numbers(content: bytes) -> Grid:
    """``numbers.tex``: by the name in the first braces."""
    pattern = re.compile(r"\\cgm@set\{([^}]*)\}(.*)")
    found = [line for line in content.decode().splitlines() if pattern.fullmatch(line)]
    grid: Grid = {}
    for line in found:
        match = pattern.fullmatch(line)
        assert match is not None
        row, _, column = match[1].rpartition("/")
        grid[row, column] = match[2]
    return grid


class _Tables(HTMLParser):
    """The cells of a page's tables, each by the table's id, its row's first cell and its column's heading; and by what rows are sorted."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.grid: Grid = {}
        self.name, self.row, self.head = "", [""], [""]
        self.sorted_by: dict[int, str] = {}
        self.inside, self.body = False, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.name, self.head, self.body = dict(attrs).get("id") or "", [], False
        elif tag == "tbody":
            self.body = True
        elif tag == "tr":
            self.row, self.sorted_by = [], {}
        elif tag in ("td", "th"):
            if value := dict(attrs).get("data-value"):
                self.sorted_by[len(self.row)] = value
            self.row.append("")
            self.inside = True

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.row[-1] += f" {data.strip()}"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False
            self.row[-1] = self.row[-1].strip()
        elif tag == "tr" and not self.body:
            self.head = self.row
        elif tag == "tr" and self.row:
            for place, cell in enumerate(self.row):
                title = self.head[place] if place < len(self.head) else str(place + 1)
                row = f"{self.name}: {self.row[0]}" if self.name else self.row[0]
                self.grid[row, title] = cell
                if place in self.sorted_by:
                    self.grid[row, f"{title} (data-value)"] = self.sorted_by[place]


def _html(content: bytes) -> Grid:
    page = _Tables()
    page.feed(content.decode())
    page.close()
    return page.grid


READERS: Mapping[str, Callable[[bytes], Grid]] = {
    CSV: _results,
    PARQUET: _result_rows,
    "images.parquet": _image_rows,
    NUMBERS: _numbers,
    "csv": table_csv,
    "json": _json,
    "md": _pipes,
    "tex": _ampersands,
    "html": _html,
}
