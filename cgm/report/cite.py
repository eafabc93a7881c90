"""A number of a report as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from cgm.core.errors import UserError
from cgm.core.registry import nearest
from cgm.report import labels
from cgm.report.table_format import Cell, Column, Row, Table

T = TypeVar("T")
BETTER = {"↑": "higher is better", "↓": "lower is better"}
COUNTED = {"method": "seed", "floor": "split", "baseline": "value"}


def table_sentence(table: Table) -> str:
    """What the table is, by whose code, data and settings, and its key."""
    return f"{_stamped(table)}{table.title} (cgm, table {table.name}; {table.footer})."


def number_sentence(table: Table, row_name: str, column_name: str) -> str:
    """One number, with its interval, what that is over, and the table's key.

    Raises :class:`UserError` for a row or column that isn't there, with the nearest one, or a cell without a number.
    """
    row = _find("row", row_name, {row.key: row for row in table.rows}, table)
    column = _find("column", column_name, {column.key: column for column in table.columns if column.numeric}, table)
    cell = row.cells[table.columns.index(column)]
    if cell.interval is None:
        raise UserError(f"{table.name}: {row.key} has no number in {column.key}; found {cell.text or 'an empty cell'!r}, see the footnotes")
    where = f"On {table.dataset}, " if table.dataset else ""
    about = ", ".join(part for part in (_better(column), _interval(table, row, cell)) if part)
    return (
        f"{_stamped(table)}{where}{row.cells[0].text} has {_title(column)} {table.text(column, cell)}{f' ({about})' if about else ''} "
        f"[{table.key}]."
    )


def _find(what: str, name: str, known: Mapping[str, T], table: Table) -> T:
    if name not in known:
        raise UserError(f"{what} {name!r}: not in table {table.name}{nearest(name, known)}")
    return known[name]


def _stamped(table: Table) -> str:
    return f"{table.stamp}. " if table.stamp else ""


def _title(column: Column) -> str:
    """A group says what is measured where a column's own title is short: ``Gradient norm, G max ÷ median``."""
    title = column.title if column.metric or not column.group else f"{column.group}, {column.title}"
    return f"{title} ({column.detail})" if column.detail else title


def _better(column: Column) -> str:
    if column.arrow.startswith("→"):
        return f"best is {column.arrow[1:]}"
    return BETTER.get(column.arrow, "")


def _interval(table: Table, row: Row, cell: Cell) -> str:
    assert cell.interval is not None
    if cell.interval.half_width is None:
        return ""
    what = dict(table.provenance).get("±", "")
    over = labels.plural(cell.interval.n, COUNTED[row.kind])
    if row.kind == "floor":
        return f"mean ± half-width of the 95% interval over {over}"
    return f"mean ± half-width of the {what}; {over}" if what else f"mean over {over}"
