"""How a table of the report is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgm.report.groups import Group

if TYPE_CHECKING:
    from cgm.report.results import DatasetResult, Results
    from cgm.report.table_format import Table


@dataclass(frozen=True, kw_only=True)
class TableMaker:
    """One table of each dataset: the record of a file in this folder."""

    kind: str
    """File names begin with it: ``main-openmoji``."""
    heading: str
    """Over the table on the page; empty: none, its group's stands there."""
    make: Callable[[Results, DatasetResult], Table]
    group: Group = "diagnostics"
    """Where on the page it stands."""
