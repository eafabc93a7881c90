"""Whether a report still says what the runs' files say: what differs, by file, row and column.

:func:`alone` holds a report against itself. JSON holds all of a table, so the other formats are made of it again and compared; means are
those of ``results.csv``; a table's key is a hash of its content; the manifest has a hash of every file. Beside the runs' files everything
is rendered anew (:func:`cgm.report.build.build`), and :func:`between` compares.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cgm.report import origin
from cgm.report.build import MANIFEST, of_tables
from cgm.report.grids import CSV, PARQUET, READERS, csv_rows, table_csv
from cgm.report.origin import Origin
from cgm.report.parquet import read_rows
from cgm.report.table_format import UNREADABLE, Table, from_json, to_csv, to_json

Files = Mapping[str, bytes]
ROUNDING = 1e-9
"""Relative: a mean of the same numbers, added up in another order, differs by less."""
AROUND = 40
"""Characters that are shown on each side of a difference in running text."""
NOTHING = "nothing"
TABLES = "tables/"


@dataclass(frozen=True, kw_only=True)
class Difference:
    file: str
    where: str
    """``row pix2pix, column kid``; empty for the file as a whole."""
    found: str
    expected: str
    because: str = ""
    """By what that is expected: another file, or the hash that it should have."""

    def __str__(self) -> str:
        because = f" ({self.because})" if self.because else ""
        return f"{self.file}: {f'{self.where}: ' if self.where else ''}found {self.found}, expected {self.expected}{because}"


def alone(files: Files) -> list[Difference]:
    """What contradicts what in a report: every file, by its path in the report's folder."""
    listed, found = _by_manifest(files)
    tables: dict[str, Table] = {}
    made: dict[str, dict[str, bytes]] = {}
    for name in sorted(name for name in listed if name.startswith(TABLES) and name.endswith(".json") and name in files):
        try:
            table = from_json(files[name].decode())
            stated, key, again = json.loads(files[name])["key"], table.key, to_json(table).encode()
            made[name] = of_tables([table], Origin())
        except UNREADABLE as error:
            found.append(Difference(file=name, where="", found=f"{type(error).__name__} {error}", expected="a table as JSON"))
            continue
        if stated != key:
            found += _changed_content(name, table, stated, files)
        elif again != files[name]:
            found += differences(name, files[name], again, "its own numbers")
        else:
            tables[name] = table
    if len(tables) == sum(name.startswith(TABLES) and name.endswith(".json") for name in listed):
        found += _made_of_tables(files, list(tables.values()))
    else:  # each of those that are whole can still be compared
        for name in tables:
            found += [
                each
                for other, content in made[name].items()
                if other.startswith(TABLES) and other != name
                for each in differences(other, files.get(other, b""), content, f"as {name} has it")
            ]
    wrong = {each.file for each in found}
    right = PARQUET if CSV in wrong and PARQUET not in wrong else CSV  # the one that is still what the manifest says
    try:
        values = read_rows(files[PARQUET]) if right == PARQUET else csv_rows(files.get(CSV, b""))
        for name, table in tables.items():
            found += _means(name, table, values, right)
    except UNREADABLE as error:
        found.append(Difference(file=right, where="values", found=str(error).partition("\n")[0], expected="a row a run and measure"))
    return _finest([*found, *_parquet(files, right)])


def between(files: Files, expected: Files) -> list[Difference]:
    """What differs from the report as the runs' files make it, and from its own manifest.

    Parquet files are compared by their rows: their bytes are those of a version of pyarrow.
    """
    found = _by_manifest(files)[1]
    found += [Difference(file=name, where="", found=NOTHING, expected="the file") for name in sorted(expected.keys() - files.keys())]
    found += [Difference(file=name, where="", found="a file", expected=NOTHING) for name in sorted(files.keys() - expected.keys())]
    for name in sorted(files.keys() & expected.keys() - {MANIFEST}):
        found += differences(name, files[name], expected[name], "as the runs' files have it")
    return _finest(found)


def differences(name: str, found: bytes, expected: bytes, because: str = "") -> list[Difference]:
    """Of one file: cells by row and column, where its format has any, else the place where its text begins to differ."""
    if found == expected:
        return []
    suffix = name.rpartition(".")[2]
    read = READERS.get(name) or READERS.get(suffix)
    if read is not None:
        try:
            one, other = read(found), read(expected)
        except UNREADABLE:
            one, other = {}, {}
        cells = [
            Difference(
                file=name,
                where=_where(place),
                found=one.get(place, NOTHING) or "an empty cell",
                expected=other.get(place, NOTHING) or "an empty cell",
                because=because,
            )
            for place in dict.fromkeys([*other, *one])
            if one.get(place) != other.get(place)
        ]
        if cells or (suffix == "parquet" and one):  # the same rows as other bytes: written by another version of pyarrow
            return cells
    return [_in_text(name, found, expected, because)]


def _where(place: tuple[str, str]) -> str:
    row, column = place
    return ", ".join(part for part in (f"row {row}" if row else "", f"column {column}" if column else "") if part)


def _in_text(name: str, found: bytes, expected: bytes, because: str) -> Difference:
    try:
        one, other = found.decode(), expected.decode()
    except UnicodeDecodeError:
        one, other = (f"SHA-256 {hashlib.sha256(content).hexdigest()}" for content in (found, expected))
        return Difference(file=name, where="", found=one, expected=other, because=because)
    place = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    line = other.count("\n", 0, place) + 1
    begin = max(0, place - AROUND)
    one, other = (repr(text[begin : place + AROUND]) for text in (one, other))
    return Difference(file=name, where=f"line {line}", found=one, expected=other, because=because)


def _finest(found: list[Difference]) -> list[Difference]:
    """Each once. That a file's hash differs is left out where its differing cells are named."""
    named = {each.file for each in found if each.where}
    return [each for each in dict.fromkeys(found) if each.where or each.file not in named]


def _by_manifest(files: Files) -> tuple[dict[str, str], list[Difference]]:
    try:
        listed = {str(name): str(digest) for name, digest in json.loads(files[MANIFEST])["sha256"].items()}
    except UNREADABLE:
        return dict.fromkeys(files, ""), [Difference(file=MANIFEST, where="", found="no list of hashes", expected="one of every file")]
    found = []
    for name in sorted({*listed, *files} - {MANIFEST}):
        digest = hashlib.sha256(files[name]).hexdigest() if name in files else ""
        if name not in files:
            found.append(Difference(file=name, where="", found=NOTHING, expected="the file", because=f"{MANIFEST} lists it"))
        elif name not in listed:
            found.append(Difference(file=name, where="", found="a file", expected=NOTHING, because=f"{MANIFEST} doesn't list it"))
        elif digest != listed[name]:
            found.append(
                Difference(file=name, where="", found=f"SHA-256 {digest}", expected=listed[name], because=f"{MANIFEST} has this one")
            )
    return listed, found


def _changed_content(name: str, table: Table, stated: str, files: Files) -> list[Difference]:
    """Of a table whose JSON isn't what its key was made of: the cells that its CSV has otherwise; where there are none, the key itself."""
    sibling = name.removesuffix("json") + "csv"
    try:
        grids = [table_csv(text) for text in (to_csv(table).encode(), files.get(sibling, b""))]
    except UNREADABLE:
        grids = [{}, {}]
    places = [place for place in dict.fromkeys([*grids[1], *grids[0]]) if grids[0].get(place) != grids[1].get(place)]
    cells = [
        Difference(
            file=name,
            where=_where(place),
            found=grids[0].get(place, NOTHING) or "an empty cell",
            expected=grids[1].get(place, NOTHING) or "an empty cell",
            because=f"as {sibling} has it",
        )
        for place in places
        if place[1] != "cite"
    ]
    return cells or [
        Difference(file=name, where="key", found=str(stated), expected=table.key, because="which is the hash of what the table says")
    ]


def _made_of_tables(files: Files, tables: list[Table]) -> list[Difference]:
    try:
        made_by = Origin.from_json(files[origin.FILE].decode())
    except UNREADABLE:
        return [Difference(file=origin.FILE, where="", found="no commit", expected="by which commit's code the report is")]
    return [
        each
        for name, content in of_tables(tables, made_by).items()
        if name in files
        for each in differences(name, files[name], content, "as the tables' JSON has it")
    ]


def _means(name: str, table: Table, rows: Sequence[Mapping[str, Any]], source: str) -> Iterator[Difference]:
    """Means of measures against the runs' values."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for run in rows:
        if run.get("dataset") == table.dataset and run.get("value") not in ("", None):
            values.setdefault((run["method"], run["metric"], run["judge"]), []).append(float(run["value"]))
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if not column.metric or (cell.interval is None and not cell.text and (row.key, column.metric, column.judge) not in values):
                continue
            found = values.get((row.key, column.metric, column.judge), [])
            mean = math.fsum(found) / len(found) if found else None
            shown = cell.interval.mean if cell.interval is not None else None
            if mean is None or shown is None or not math.isclose(shown, mean, rel_tol=ROUNDING, abs_tol=1e-300):
                yield Difference(
                    file=name,
                    where=_where((row.key, column.key)),
                    found=NOTHING if shown is None else repr(shown),
                    expected=NOTHING if mean is None else repr(mean),
                    because=f"the mean of {len(found)} values in {source}",
                )


def _parquet(files: Files, other: str) -> list[Difference]:
    """``results.csv`` against ``results.parquet``; ``other`` is the one of them that is taken to be right."""
    name = CSV if other == PARQUET else PARQUET
    if name not in files or other not in files:
        return []
    try:
        one, right = READERS[name](files[name]), READERS[other](files[other])
    except UNREADABLE as error:
        return [Difference(file=name, where="", found=str(error).partition("\n")[0], expected=f"the rows of {other}")]
    return [
        Difference(
            file=name, where=_where(place), found=one.get(place, NOTHING), expected=right.get(place, NOTHING), because=f"as {other} has it"
        )
        for place in dict.fromkeys([*right, *one])
        if one.get(place) != right.get(place)
    ]
