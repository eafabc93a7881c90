"""What a figure of the report is: how it is made, and what it looks like once it is made. Imports no matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cgm.report.groups import Group

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from cgm.report.charts import Chart
    from cgm.report.plotting import Theme
    from cgm.report.results import DatasetResult, Results

    Draw = Callable[[Canvas, Theme], None]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of each dataset: the record of a file in this folder."""

    kind: str
    """File names begin with it: ``plane-openmoji``."""
    make: Callable[[Results, DatasetResult], Picture | None]
    """None where the results have nothing to show."""
    group: Group = "diagnostics"
    """Where on the page it stands."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure that was made: of numbers, drawn as vectors at any size, or a sheet of images."""

    kind: str
    dataset: str
    """Empty for a figure of all of them."""
    title: str
    alt: str
    takeaway: str
    """What it shows, in one sentence made from the numbers."""
    note: str = ""
    lecture: str = ""
    """The textbook's sentence that the figure is about, where it is about one."""
    claims: tuple[str, ...] = ()
    """The ids of the claims that the figure is evidence for; their verdicts stand elsewhere on the page, at ``claim-<id>``."""
    csv: bytes = b""
    """The numbers that are drawn."""
    draw: Draw | None = field(default=None, repr=False, compare=False)
    size: tuple[float, float] = (8.2, 5.4)
    """Of what :attr:`draw` draws, in inches."""
    charts: tuple[Chart, ...] = field(default=(), repr=False, compare=False)
    """The same numbers as panels that answer to the pointer, in place of what is drawn; none: the drawing stays."""
    image: bytes = field(default=b"", repr=False)
    """A sheet of images as PNG."""
    width: int = 0
    """Pixels at which a sheet is sharp."""

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.dataset}" if self.dataset else self.kind

    @property
    def is_sheet(self) -> bool:
        return bool(self.image)
