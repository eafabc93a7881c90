"""All of the report from the runs' files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cgm.claims.ledger import LEDGER, load_ledger
from cgm.experiment.params import Params
from cgm.report import labels
from cgm.report.browser import browse
from cgm.report.digest import digest
from cgm.report.figures import FIGURES
from cgm.report.figures.forest import forest
from cgm.report.page import index_page, table_page
from cgm.report.plotting import render
from cgm.report.results import collect, tidy_csv
from cgm.report.script import script
from cgm.report.table_format import to_csv, to_latex, to_markdown
from cgm.report.tables import TABLES
from cgm.report.tables.verdicts import tests_table, verdicts_table
from cgm.report.verdicts import linked_to, verdicts

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Report:
    """Files by their paths: what is cited and kept in git, and what is drawn from it for slides and papers."""

    cited: dict[str, bytes]
    drawn: dict[str, bytes]


def build(params: Params, root: str | Path = ".", without: Mapping[str, str] | None = None) -> Report:
    """The same inputs give the same bytes.

    Runs that are missing, failed or diverged are marked; ``without`` as for :func:`cgm.report.results.collect`. Without a ``claims.yaml``
    below ``root`` there are no verdicts.
    Raises :class:`cgm.core.errors.UserError` for an input file that can't be read.
    """
    results, ledger = collect(params, root, without), load_ledger(Path(root) / LEDGER)
    judged = verdicts(results, ledger)
    tables = [verdicts_table(results, ledger, judged), tests_table(results, judged)] if judged else []
    tables += [TABLES[name].make(results, dataset) for dataset in results.datasets for name in TABLES]
    made = [forest(judged), *(FIGURES[name].make(results, dataset) for dataset in results.datasets for name in FIGURES)]
    pictures = [picture for picture in made if picture is not None]
    judged = linked_to(judged, {table.name for table in tables} | {picture.name for picture in pictures})
    rendered = {picture.name: render(picture, bool(labels.stamp(params))) for picture in pictures if not picture.is_sheet}
    results_csv = tidy_csv(results)

    cited = {"results.csv": results_csv.encode(), **digest(results)}
    for table in tables:
        for suffix, text in (("csv", to_csv(table)), ("md", to_markdown(table)), ("tex", to_latex(table)), ("html", table_page(table))):
            cited[f"tables/{table.name}.{suffix}"] = text.encode()
    cited.update({f"pictures/{picture.name}.png": picture.image for picture in pictures if picture.is_sheet})
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
