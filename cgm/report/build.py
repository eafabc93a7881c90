"""All of ``reports/`` from the runs' files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from cgm.config import Params
from cgm.report.content import all_tables
from cgm.report.digest import digest
from cgm.report.figures import all_figures
from cgm.report.html import index_page, table_page
from cgm.report.pictures import all_pictures
from cgm.report.results import collect, tidy_csv
from cgm.report.tables import to_csv, to_latex, to_markdown

MANIFEST = "manifest.json"


def build(params: Params, root: str | Path = ".", without: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Every file of the report, by its path below ``reports/``: the same inputs give the same bytes.

    Runs that are missing, failed or diverged are marked; ``without`` as for :func:`cgm.report.results.collect`.
    Raises :class:`cgm.errors.UserError` for an input file that can't be read.
    """
    results = collect(params, root, without)
    tables = all_tables(results)
    figures = all_figures(results)
    pictures = [*figures, *all_pictures(results)]
    results_csv = tidy_csv(results)

    files = {"results.csv": results_csv.encode(), **digest(results, figures)}
    for table in tables:
        for suffix, text in (("csv", to_csv(table)), ("md", to_markdown(table)), ("tex", to_latex(table)), ("html", table_page(table))):
            files[f"tables/{table.name}.{suffix}"] = text.encode()
    for picture in pictures:
        for suffix, content in picture.files.items():
            files[f"{picture.folder}/{picture.name}.{suffix}"] = content
    files["index.html"] = index_page(results, tables, pictures, results_csv).encode()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    files[MANIFEST] = (json.dumps({"sha256": digests}, indent=2) + "\n").encode()
    return files
