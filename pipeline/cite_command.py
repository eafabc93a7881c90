"""``cgm cite TABLE [METHOD METRIC]``: a number of the report, as a sentence that can be cited."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cgm.core.errors import UserError
from cgm.core.registry import nearest

EPILOG = """\
TABLE is a file in reports/tables without its suffix, METHOD a row's id and METRIC a column's key there, as in its CSV and JSON: for example
`cgm cite main-openmoji pix2pix kid`.
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("cite", help="a number of the report as a sentence, with interval and citation key", epilog=EPILOG)
    parser.add_argument("table", metavar="TABLE", help="main-openmoji, for example")
    parser.add_argument("method", metavar="METHOD", nargs="?", help="the row")
    parser.add_argument("metric", metavar="METRIC", nargs="?", help="the column")
    parser.add_argument("--reports", metavar="FOLDER", type=Path, default=Path("reports"), help="the report's folder (default: reports)")
    parser.add_argument("--bibtex", action="store_true", help="the BibTeX entry too")


def main(arguments: argparse.Namespace) -> None:
    """Raises :class:`UserError`, also for a table that is no longer what its key was made of."""
    from cgm.report import citation, cite

    if arguments.method is not None and arguments.metric is None:
        raise UserError(f"cite {arguments.table} {arguments.method}: a METRIC is missing; expected TABLE, or TABLE METHOD METRIC")
    table = read_table(arguments.reports, arguments.table)
    cell = (arguments.method, arguments.metric)
    said = cite.table_sentence(table) if arguments.method is None else cite.number_sentence(table, *cell)
    if arguments.bibtex:
        path = arguments.reports / citation.BIB
        entry = citation.entry_of(path.read_text(encoding="utf-8", errors="replace"), table.key) if path.is_file() else ""
        if not entry:
            raise UserError(f"{path}: no entry {table.key}; run `cgm verify {arguments.reports}`")
        said += f"\n\n{entry.rstrip()}"
    print(said)


def read_table(folder: Path, name: str) -> Any:
    """A report's table. Raises :class:`UserError` for one that isn't there, or isn't what its key was made of."""
    import json

    from cgm.report.table_format import UNREADABLE, from_json

    known = sorted(path.stem for path in (folder / "tables").glob("*.json"))
    if not known:
        raise UserError(f"{folder}/tables: no tables as JSON; expected the folder of a report, as `python -m pipeline.report` writes it")
    if name not in known:
        raise UserError(f"table {name!r}: not in {folder}/tables{nearest(name, known)}")
    path = folder / "tables" / f"{name}.json"
    try:
        text = path.read_text(encoding="utf-8")
        table, stated = from_json(text), json.loads(text)["key"]
        whole = table.key
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); run `cgm verify {folder}`") from None
    except UNREADABLE as error:
        raise UserError(f"{path}: no table ({type(error).__name__}: {error}); run `cgm verify {folder}`") from None
    if stated != whole:
        raise UserError(f"{path}: its key is {stated}, but that of what it says is {whole}; run `cgm verify {folder}`")
    return table
