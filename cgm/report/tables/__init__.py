"""The report's tables: one file each, in the order of the page."""

from cgm.core.registry import Registry
from cgm.report.tables.maker import TableMaker

TABLES: Registry[TableMaker] = Registry(
    "table",
    {
        "main": "cgm.report.tables.main:MAIN",
        "further": "cgm.report.tables.further:FURTHER",
        "effort": "cgm.report.tables.effort:EFFORT",
        "cost": "cgm.report.tables.cost:COST",
        "stability": "cgm.report.tables.stability:STABILITY",
    },
)
