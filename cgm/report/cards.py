"""What the cards of the page show of verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from cgm.claims.verdict import KINDS, Kind, Outcome, Verdict
from cgm.report.tables.verdicts import in_deltas

REACH = 4.0
"""How many δ a drawing reaches to either side; an interval that goes further ends in an arrow."""


def by_kind(verdicts: Sequence[Verdict]) -> list[tuple[Kind, list[Verdict]]]:
    """The verdicts of each kind that there are, the decided ones first, each in the ledger's order."""
    found = {kind: [verdict for verdict in verdicts if verdict.kind == kind] for kind in KINDS}
    return [(kind, alike) for kind, alike in found.items() if alike]


def slug(kind: Kind) -> str:
    """``no-material-difference``: a class of the style sheet."""
    return kind.lower().replace(" ", "-")


def p_value(p: float | None) -> str:
    """As papers print it."""
    return "–" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def drawing(outcome: Outcome) -> Markup:
    """The interval beside the zone of ±δ, in which nothing matters; to the right is as claimed. Empty where nothing was tested."""
    interval = in_deltas(outcome)
    if interval is None:
        return Markup("")
    middle, half = interval.mean, interval.half_width or 0.0
    low, high, dot = (max(-REACH, min(REACH, value)) for value in (middle - half, middle + half, middle))
    arrows = [end for end, beyond in ((REACH, middle + half > REACH), (-REACH, middle - half < -REACH)) if beyond]
    tips = "".join(f'<path d="M{end * 0.88:.2f},-.6L{end},0L{end * 0.88:.2f},.6"/>' for end in arrows)
    return Markup(
        f'<svg class="interval" viewBox="{-REACH - 0.3} -1 {2 * REACH + 0.6} 2" aria-hidden="true">'
        f'<rect x="-1" y="-1" width="2" height="2"/><path class="zero" d="M0,-1V1"/><path d="M{low:.2f},0H{high:.2f}"/>{tips}'
        f'<circle cx="{dot:.2f}" cy="0" r=".28"/></svg>'
    )
