"""What a report needs to be cited: the footer and key of each table, the stamp of what must not be cited, ``numbers.tex`` and
``citation.bib``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from cgm.evaluation import stats
from cgm.report import footnotes, labels
from cgm.report.origin import Origin
from cgm.report.results import DatasetResult, Results
from cgm.report.table_format import Table, escape_latex

NUMBERS, BIB = "numbers.tex", "citation.bib"
NOT_CITABLE = "NOT CITABLE"
SHORT = 8
"""Digits of a hash, where people read it."""
NAMED = 3
"""How many of the runs and files behind a reason are named; provenance.json and results.csv have all."""
TITLE = "cgm: a reproducible benchmark of conditional generative models"


def stamp(results: Results) -> str:
    """``NOT CITABLE`` and why, over everything that is made of these results; empty where nothing speaks against it.

    A diverged run is a result. A run that is missing or failed is none, and what it would have shown is not known.
    """
    found = [*reasons(results)]
    return f"{NOT_CITABLE} – {'; '.join(found)}" if found else ""


def watermark(results: Results) -> str:
    """:func:`stamp` as it fits over a figure: with the first reason alone."""
    first = next(iter(reasons(results)), "")
    return f"{NOT_CITABLE} – {first}" if first else ""


def reasons(results: Results) -> Iterable[str]:
    if results.params.experiment == "smoke":
        yield labels.SMOKE
    for status in ("failed", "missing"):
        if runs := [str(run.run) for run in results.all_runs if run.status == status]:
            yield f"{labels.plural(len(runs), 'run')} {status} ({_some(runs)})"
    origin = results.origin
    if not origin.commit:
        yield "the code's commit is not known (git names none)"
    if origin.changed:
        yield f"the code had changes that were not committed ({_some(origin.changed)})"
    if origin.other_code:
        yield f"{labels.plural(len(origin.other_code), 'run')} trained by other code than the commit's ({_some(origin.other_code)})"


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def sign(table: Table, results: Results) -> Table:
    """The table with its stamp, and where its numbers come from."""
    datasets = [dataset for dataset in results.datasets if table.dataset in ("", dataset.name)]
    return replace(table, stamp=stamp(results), provenance=tuple(_provenance(table, results, datasets)))


def _provenance(table: Table, results: Results, datasets: list[DatasetResult]) -> Iterable[tuple[str, str]]:
    """From the runs' own records. Data, code and settings are SHA-256 over those of each method or dataset. Where there are several of
    anything, such as devices, all are named."""
    records = [record for dataset in datasets for record in dataset.records]
    versions = [record["versions"] for record in records]
    yield "cgm", _each(footnotes.distinct(versions, "cgm"))
    origin = results.origin
    yield "commit", f"{origin.commit[:12]} ({'clean' if origin.clean else 'not clean'})" if origin.commit else "not known"
    yield "data", _each([digest[:SHORT] for digest in footnotes.distinct(records, "data_sha256")])
    for name, key in (("code", "code_sha256"), ("config", "config")):
        yield name, _digest(sorted({json.dumps([record["method"], record[key]], sort_keys=True) for record in records}))
    yield "seeds", ", ".join(map(str, results.params.seeds))
    if any(cell.interval is not None and cell.interval.half_width is not None for row in table.rows for cell in row.cells):
        images = any(len(dataset.group_sizes) > 1 for dataset in datasets)
        yield "±", f"{100 * stats.LEVEL:g}% interval, Student's t over {'seeds and images' if images else 'seeds'}"
    yield "torch", _each(footnotes.distinct(versions, "torch"))
    yield "on", _each(footnotes.distinct(records, "device"))


def _each(found: list[str]) -> str:
    return " and ".join(found) or "not known"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:SHORT] if value else "not known"


LOOKUP = r"""% Numbers by name. In the preamble:  \input{numbers}
%   \cgm{TABLE/ROW/COLUMN}      as the table shows it: mean, and the half-width where there is one
%   \cgmmean{...} \cgmhalf{...} \cgmn{...}      each alone (n: over how many values)
%   \cgmkey{TABLE}             the table's citation key
% Rows and columns are called as in the tables' JSON and CSV. An unknown name is an error.
\makeatletter
\def\cgm@set#1#2#3#4#5{\expandafter\def\csname cgm@\detokenize{#1}\endcsname{{#2}{#3}{#4}{#5}}}
\def\cgm@get#1#2{\ifcsname cgm@\detokenize{#2}\endcsname
  \expandafter\expandafter\expandafter#1\csname cgm@\detokenize{#2}\endcsname\else
  \PackageError{cgm}{No number \detokenize{#2}}{Names are TABLE/ROW/COLUMN, as in the tables' JSON files.}\fi}
\def\cgm@whole#1#2#3#4{#1}\def\cgm@mean#1#2#3#4{#2}\def\cgm@half#1#2#3#4{#3}\def\cgm@n#1#2#3#4{#4}
\protected\def\cgm{\cgm@get\cgm@whole}
\protected\def\cgmmean{\cgm@get\cgm@mean}
\protected\def\cgmhalf{\cgm@get\cgm@half}
\protected\def\cgmn{\cgm@get\cgm@n}
\protected\def\cgmkey#1{\cgm{#1}}
"""


def numbers_tex(tables: Sequence[Table]) -> str:
    """Every number by its name: ``\\cgm{main-openmoji/pix2pix/kid}``.

    Not a command for each, ``\\cgmMainOpenmojiPixtwopixKid``: TeX's command names are letters alone, so the digits of ``pix2pix_l10`` would
    have to be spelled out, and two names could become one. These names are those in the table's files, can be searched for, and a wrong
    one is an error. ``\\detokenize`` lets them hold any character: ``_``, and what babel makes active.
    """
    lines = [LOOKUP]
    if tables and tables[0].stamp:
        lines.append(f"\\PackageWarningNoLine{{cgm}}{{\\detokenize{{{_plain(tables[0].stamp)}}}}}\n")
    for table in tables:
        lines.append(f"\\cgm@set{{{table.name}}}{{{escape_latex(table.key)}}}{{}}{{}}{{}}\n")
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                if cell.interval is not None:
                    mean, half = (escape_latex(part) for part in table.show(column, cell))
                    name, text = f"{table.name}/{row.key}/{column.key}", f"{mean}~$\\pm$~{half}" if half else mean
                    lines.append(f"\\cgm@set{{{name}}}{{{text}}}{{{mean}}}{{{half}}}{{{cell.interval.n}}}\n")
    lines.append("\\makeatother\n")
    return "".join(lines)


def _plain(text: str) -> str:
    """For TeX's log, which takes ASCII."""
    return text.replace("–", "-").encode("ascii", "replace").decode().translate({ord(brace): "?" for brace in "{}"})


def citation_bib(tables: Sequence[Table], origin: Origin) -> str:
    """An entry for the software, and one for each table with the hashes that identify it. ``@misc``, which every style knows."""
    version = dict(tables[0].provenance)["cgm"] if tables else ""
    made_by = f"Version {version}" + (f", commit {origin.commit[:12]}" if origin.commit else "")
    entries = [_entry("cgm", TITLE, origin, {"note": escape_latex(made_by)})]
    for table in tables:
        note = f"{made_by}, data {dict(table.provenance)['data']}, content SHA-256 {table.sha256[:16]}"
        fields = {
            "howpublished": f"Table {escape_latex(table.name)}",
            "note": escape_latex(f"{table.stamp}. {note}" if table.stamp else note),
        }
        entries.append(_entry(table.key, f"cgm. {table.title}", origin, fields))
    return "\n".join(entries)


def _entry(key: str, title: str, origin: Origin, more: dict[str, str]) -> str:
    fields = {
        "title": f"{{{escape_latex(title)}}}",
        "author": "{the cgm authors}",
        **({"year": origin.date[:4]} if origin.date else {}),
        **more,
    }
    return "\n".join([f"@misc{{{key},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"]) + "\n"


def entry_of(bib: str, key: str) -> str:
    """One entry of :func:`citation_bib`; empty where it isn't there."""
    return next((f"{entry.strip()}\n" for entry in bib.split("\n\n") if f"{{{key},\n" in entry), "")
