"""The claims' effects beside δ, all in one plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from cgm.claims.verdict import KINDS, Kind, Verdict
from cgm.evaluation import stats
from cgm.report import labels
from cgm.report.figures.figure import Picture
from cgm.report.plotting import Theme, csv_bytes
from cgm.report.tables.verdicts import counts, in_deltas

COLOURS: dict[Kind, int] = {"SUPPORTED": 2, "CONTRADICTED": 1, "NO MATERIAL DIFFERENCE": 0}
"""Places in the palette; anything else is muted."""
MARKS: dict[Kind, str] = {"SUPPORTED": "o", "CONTRADICTED": "X", "NO MATERIAL DIFFERENCE": "s", "INCONCLUSIVE": "D"}
LINEAR = 2.0
"""Up to so many δ the scale is linear, and logarithmic beyond."""
ROW = 0.17
"""Inches."""


def forest(verdicts: Sequence[Verdict]) -> Picture | None:
    """Every test's effect as a multiple of δ with its 95% interval, above 0 where it goes as predicted. None where nothing was tested."""
    rows: list[tuple[str, str, int, Kind, stats.Interval, bool, float | None]] = [
        (verdict.claim.id, finding.dataset, place, outcome.kind, interval, outcome.test.expect == "same", outcome.p)
        for verdict in verdicts
        for finding in verdict.findings
        for place, outcome in enumerate(finding.outcomes, start=1)
        if (interval := in_deltas(outcome)) is not None
    ]
    if not rows:
        return None
    twice = {key for key, count in Counter((claim, dataset) for claim, dataset, *_ in rows).items() if count > 1}

    def name(claim: str, dataset: str, place: int) -> str:
        return f"{claim} · {dataset}" + (f" ({place})" if (claim, dataset) in twice else "")

    def draw(figure: Canvas, theme: Theme) -> None:
        axes = figure.add_subplot()
        axes.axvspan(-1, 1, color=theme.grid, linewidth=0)
        axes.axvline(0, color=theme.muted, linewidth=0.8)
        for height, (_, _, _, kind, found, same, _) in enumerate(rows):
            colour = theme.colour(COLOURS[kind]) if kind in COLOURS else theme.muted
            half = found.half_width or 0.0
            axes.plot([found.mean - half, found.mean + half], [height, height], color=colour, linewidth=1.2, solid_capstyle="butt")
            fill = theme.ground if same else colour
            axes.plot(found.mean, height, MARKS[kind], color=colour, markerfacecolor=fill, markersize=4.5)
        axes.set_xscale("symlog", linthresh=LINEAR)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: stats.format_number(value, 0)))
        axes.set_yticks(range(len(rows)), [name(*row[:3]) for row in rows], fontsize=7)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"effect ÷ δ, above 0 as predicted (linear to ±{LINEAR:g}, logarithmic beyond; grey: less than δ)")
        shown = [kind for kind in KINDS if kind in {row[3] for row in rows}]
        handles = [
            Line2D([], [], color=theme.colour(COLOURS[kind]) if kind in COLOURS else theme.muted, marker=MARKS[kind], label=kind.lower())
            for kind in shown
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))

    takeaway = f"Of {labels.plural(len(verdicts), 'claim')}: {counts(verdicts)}."
    return Picture(
        kind="forest",
        dataset="",
        title="Effects of the claims' tests",
        takeaway=takeaway,
        note="A line a test and dataset, with its own 95% interval, which the verdict adjusts for all claims. Open marks: 'the same' is "
        "predicted, and within the grey is as predicted.",
        alt=f"Forest plot: {labels.plural(len(rows), 'effect')} as multiples of the smallest difference that matters. {takeaway}",
        csv=csv_bytes(
            ("claim", "dataset", "test", "outcome", "effect_in_deltas", "half_width", "n", "p"),
            [
                (*row[:4], row[4].mean, "" if row[4].half_width is None else row[4].half_width, row[4].n, "" if row[6] is None else row[6])
                for row in rows
            ],
        ),
        draw=draw,
        size=(8.2, 1.1 + ROW * len(rows)),
    )
