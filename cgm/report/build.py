"""All of the report from the runs' files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cgm.claims.ledger import LEDGER, load_ledger
from cgm.experiment.params import Params
from cgm.report import citation
from cgm.report.browser import browse
from cgm.report.digest import digest
from cgm.report.figures import FIGURES
from cgm.report.figures.forest import forest
from cgm.report.origin import FILE, UNKNOWN, Origin
from cgm.report.page import index_page, table_page
from cgm.report.parquet import images_parquet, results_parquet
from cgm.report.plotting import render
from cgm.report.results import collect, tidy, tidy_csv
from cgm.report.script import script
from cgm.report.table_format import Table, to_csv, to_json, to_latex, to_markdown
from cgm.report.tables import TABLES
from cgm.report.tables.verdicts import tests_table, verdicts_table
from cgm.report.verdicts import linked_to, verdicts

MANIFEST = "manifest.json"
FORMATS: dict[str, Callable[[Table], str]] = {"csv": to_csv, "json": to_json, "md": to_markdown, "tex": to_latex, "html": table_page}


@dataclass(frozen=True)
class Report:
    """Files by their paths: what is cited and kept in git, and what is drawn from it for slides and papers."""

    cited: dict[str, bytes]
    drawn: dict[str, bytes]


def build(params: Params, root: str | Path = ".", origin: Origin = UNKNOWN) -> Report:
    """The same inputs give the same bytes; ``origin`` is one of them.

    Runs that are missing, failed or diverged are marked. Without a ``claims.yaml`` below ``root`` there are no verdicts.
    Raises :class:`cgm.core.errors.UserError` for an input file that can't be read.
    """
    results, ledger = collect(params, root, origin), load_ledger(Path(root) / LEDGER)
    judged = verdicts(results, ledger)
    unsigned = [verdicts_table(results, ledger, judged), tests_table(results, judged)] if judged else []
    unsigned += [TABLES[name].make(results, dataset) for dataset in results.datasets for name in TABLES]
    tables = [citation.sign(table, results) for table in unsigned]
    made = [forest(judged), *(FIGURES[name].make(results, dataset) for dataset in results.datasets for name in FIGURES)]
    pictures = [picture for picture in made if picture is not None]
    judged = linked_to(judged, {table.name for table in tables} | {picture.name for picture in pictures})
    watermark = citation.watermark(results)
    rendered = {picture.name: render(picture, watermark) for picture in pictures if not picture.is_sheet}
    rows = tidy(results)
    results_csv = tidy_csv(rows)

    cited = {
        "results.csv": results_csv.encode(),
        "results.parquet": results_parquet(rows),
        "images.parquet": images_parquet(results),
        **digest(results),
        **of_tables(tables, origin),
        FILE: origin.to_json().encode(),
    }
    cited.update({f"pictures/{picture.name}.png": picture.image for picture in pictures if picture.is_sheet})
    cited.update({f"figures/{picture.name}.csv": picture.csv for picture in pictures if not picture.is_sheet})
    browsed = [found for dataset in results.datasets if (found := browse(dataset))]
    for found in browsed:
        cited.update(found.files)
    drawings = {name: files["svg"] for name, files in rendered.items()}
    page = index_page(results, tables, pictures, drawings, results_csv, browsed=browsed, verdicts=judged, ledger=ledger)
    cited["index.html"], cited["page.js"] = page.encode(), script()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(cited.items())}
    cited[MANIFEST] = (json.dumps({"sha256": digests}, indent=2) + "\n").encode()

    drawn: dict[str, bytes] = {}
    for picture in pictures:
        if not picture.is_sheet:
            drawn[f"{picture.name}.csv"] = picture.csv
            drawn.update({f"{picture.name}.{suffix}": content for suffix, content in rendered[picture.name].items()})
    return Report(cited=cited, drawn=drawn)


def of_tables(tables: Sequence[Table], origin: Origin) -> dict[str, bytes]:
    """What is made of the tables alone, in whatever order: each in every format, and all of them for LaTeX and BibTeX."""
    tables = sorted(tables, key=lambda table: table.name)
    files = {f"tables/{table.name}.{suffix}": write(table).encode() for table in tables for suffix, write in FORMATS.items()}
    files[citation.NUMBERS] = citation.numbers_tex(tables).encode()
    files[citation.BIB] = citation.citation_bib(tables, origin).encode()
    return files
