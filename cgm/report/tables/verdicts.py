"""The claims and their verdicts: a row a claim, and a row a test."""

from __future__ import annotations

from collections.abc import Sequence

from cgm.claims.effect import Effect
from cgm.claims.ledger import Ledger
from cgm.claims.verdict import KINDS, Outcome, Verdict, p_text
from cgm.evaluation import stats
from cgm.report import labels
from cgm.report.results import Results
from cgm.report.table_format import Cell, Column, Row, Table

EXPECTED = {"higher": "above δ", "lower": "below −δ", "nearer": "nearer by δ", "same": "within ±δ"}


def counts(verdicts: Sequence[Verdict]) -> str:
    """``5 supported, 1 contradicted``; those kinds that there are."""
    found = {kind: sum(verdict.kind == kind for verdict in verdicts) for kind in KINDS}
    return ", ".join(f"{count} {kind.lower()}" for kind, count in found.items() if count)


def in_deltas(outcome: Outcome) -> stats.Interval | None:
    """A test's effect as a multiple of δ, above 0 where it goes as predicted; None where nothing was tested."""
    if outcome.estimate is None:
        return None
    sign = -1 if outcome.test.expect in ("lower", "nearer") else 1
    half_width = None if outcome.estimate.half_width is None else outcome.estimate.half_width / outcome.delta
    return stats.Interval(mean=sign * outcome.estimate.mean / outcome.delta, half_width=half_width, n=outcome.estimate.n_seeds)


def verdicts_table(results: Results, ledger: Ledger, verdicts: Sequence[Verdict]) -> Table:
    """A row a claim."""
    columns = (
        Column(key="claim", title="Claim", numeric=False),
        Column(key="verdict", title="Verdict", numeric=False),
        Column(key="unadjusted", title="By itself", numeric=False),
        Column(key="p", title="p", detail="adjusted"),
        Column(key="reason", title="Why", numeric=False),
    )
    rows = [
        Row(
            key=verdict.claim.id,
            cells=(
                Cell(text=verdict.claim.sentence),
                Cell(text=verdict.kind),
                Cell(text="" if verdict.unadjusted == verdict.kind else verdict.unadjusted),
                Cell(text=p_text(verdict.p)),
                Cell(text=verdict.reason),
            ),
        )
        for verdict in verdicts
    ]
    return Table(
        kind="verdicts",
        dataset="",
        title="Verdicts on the claims",
        columns=columns,
        rows=tuple(rows),
        footnotes=(
            f"{counts(verdicts)[:1].upper()}{counts(verdicts)[1:]}. {ledger.name}, sha256 {ledger.sha256[:12]}.",
            "A claim is SUPPORTED if the 95% intervals of all of its tests lie wholly beyond δ, the smallest difference that matters, in "
            "the predicted direction, on every dataset that could be tested; CONTRADICTED if a test on each lies wholly beyond δ in the "
            "other one; NO MATERIAL DIFFERENCE if a test on each lies wholly within ±δ. Where 'the same' is predicted, within ±δ is "
            "SUPPORTED. Anything else is INCONCLUSIVE, datasets that say different things too, and what could not be measured on enough "
            "seeds is NOT TESTED.",
            "p: of the statement, the largest over its datasets and tests, adjusted by Holm's method over all claims in which chance has a "
            "part. A verdict stands if it is below 0.05. By itself: what the verdict would be without the adjustment.",
        ),
        stamp=labels.stamp(results.params),
    )


def tests_table(results: Results, verdicts: Sequence[Verdict]) -> Table:
    """A row a test and dataset."""
    columns = (
        Column(key="claim", title="Claim", numeric=False),
        Column(key="dataset", title="Dataset", numeric=False),
        Column(key="compared", title="Compared", numeric=False),
        Column(key="effect", title="Effect", numeric=False),
        Column(key="delta", title="δ", numeric=False),
        Column(key="expected", title="Predicted", numeric=False),
        Column(key="in_deltas", title="Effect ÷ δ", places=2),
        Column(key="over", title="Interval over", numeric=False),
        Column(key="p", title="p"),
        Column(key="outcome", title="Outcome", numeric=False),
    )
    rows = []
    for verdict in verdicts:
        for finding in verdict.findings:
            for place, outcome in enumerate(finding.outcomes, start=1):
                evidence, effect = outcome.evidence, outcome.estimate
                texts = (evidence.compared, evidence.amount, evidence.limit) if effect else (evidence.why_not, "", "")
                interval = in_deltas(outcome)
                rows.append(
                    Row(
                        key=f"{verdict.claim.id}/{finding.dataset}/{place}",
                        cells=(
                            Cell(text=verdict.claim.id),
                            Cell(text=finding.dataset),
                            *(Cell(text=text) for text in texts),
                            Cell(text=EXPECTED[outcome.test.expect]),
                            Cell() if interval is None else Cell(interval=interval),
                            Cell(text="" if effect is None else _over(effect)),
                            Cell(text=p_text(outcome.p)),
                            Cell(text=outcome.kind),
                        ),
                    )
                )
    return Table(
        kind="tests",
        dataset="",
        title="The claims' tests",
        columns=columns,
        rows=tuple(rows),
        footnotes=(
            "Each test by its own 95% interval, as in the tables of metrics, and its own p-value: 1 − the level of the largest interval "
            "that lies wholly on one side of δ. Neither is adjusted for the other tests; the verdicts are.",
            "Effect ÷ δ: above 0 as predicted, beyond 1 material. Of ratios, of the logarithms.",
        ),
        stamp=labels.stamp(results.params),
    )


def _over(effect: Effect) -> str:
    """``3 seeds and images``, ``48 filters``."""
    if effect.over is None:
        return "no chance"
    if effect.over == "filters":
        return labels.plural(effect.n_seeds, "filter")
    return labels.plural(effect.n_seeds, "seed") + (" and images" if effect.over == "seeds and images" else "")
