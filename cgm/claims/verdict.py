"""From evidence to verdicts: an outcome for each test, a finding for each dataset, a verdict on each claim.

Pure: evidence comes in as numbers and words, of whatever made them. ``docs/claims.md`` says how a verdict comes about, for readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cgm.claims.effect import Effect, Region
from cgm.claims.ledger import Claim, Expected, Test
from cgm.core.words import plural
from cgm.evaluation import stats

Kind = Literal["SUPPORTED", "CONTRADICTED", "NO MATERIAL DIFFERENCE", "INCONCLUSIVE", "NOT TESTED"]
KINDS: tuple[Kind, ...] = ("SUPPORTED", "CONTRADICTED", "NO MATERIAL DIFFERENCE", "INCONCLUSIVE", "NOT TESTED")
ALPHA = 0.05
PREDICTED: Mapping[Expected, Region] = {"higher": "above", "lower": "below", "nearer": "below", "same": "within"}
"""``nearer``: of distances from the target."""
WEAKEST: tuple[Kind, ...] = ("CONTRADICTED", "NOT TESTED", "NO MATERIAL DIFFERENCE", "INCONCLUSIVE", "SUPPORTED")
"""All tests of a claim have to hold. So the kind of a dataset's finding is the first of these that any of its tests has."""
Links = tuple[tuple[str, str], ...]
"""(text, address) of tables and figures: ``("main results", "#main-openmoji")``."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What results hold of one test on one dataset."""

    effect: Effect | None = None
    delta: float = 0.0
    """On the effect's scale."""
    compared: str = ""
    """In words: ``MAE, Pix2Pix − cGAN (no L1)``."""
    amount: str = ""
    """The effect with its interval, as one reads it."""
    limit: str = ""
    """δ, likewise."""
    left_out: tuple[str, ...] = ()
    """Runs without values: ``Pix2Pix: 1 seed diverged``."""
    untrained: tuple[str, ...] = ()
    """Arms that were not trained to competence."""
    why_not: str = ""
    """Where there is no effect: why nothing was tested."""


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What was found on one dataset: evidence for each test of a claim, or why the dataset could not be looked at."""

    dataset: str
    evidence: tuple[Evidence, ...] = ()
    why_not: str = ""
    links: Links = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one test on one dataset, by its own 95% interval."""

    test: Test
    kind: Kind
    evidence: Evidence
    p: float | None
    """Of saying so (:meth:`Effect.region`). None: nothing was tested, or chance has no part in it."""
    reason: str
    """A clause made of the numbers."""

    @property
    def estimate(self) -> Effect | None:
        """Of the arm less the other side, in the metric's unit (of a ratio: of its natural logarithm); None where nothing was tested."""
        return self.evidence.effect

    @property
    def delta(self) -> float:
        """δ on the estimate's scale."""
        return self.evidence.delta


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Of one dataset, by its own 95% intervals: not adjusted for the ledger's other claims, as the verdict is."""

    dataset: str
    kind: Kind
    outcomes: tuple[Outcome, ...]
    """In the order of the claim's tests; empty where the dataset could not be looked at."""
    p: float | None
    """Of saying so. None: nothing was tested, or chance has no part in it."""
    reason: str
    """A clause made of the numbers."""
    links: Links = ()
    """Behind it."""

    @property
    def decisive(self) -> Outcome | None:
        """The test that the finding hangs on: of those of its kind the least certain; None where nothing was tested."""
        same = [outcome for outcome in self.outcomes if outcome.kind == self.kind] or self.outcomes
        return max(same, key=lambda outcome: outcome.p or 0.0, default=None)

    @property
    def estimate(self) -> Effect | None:
        """The decisive test's effect: ``mean``, ``half_width``, ``n_seeds``, ``over``."""
        return None if self.decisive is None else self.decisive.estimate


@dataclass(frozen=True, kw_only=True)
class Verdict:
    claim: Claim
    kind: Kind
    unadjusted: Kind
    """What it would be if the claim were the only one in the ledger."""
    p: float | None
    """Of the statement, adjusted over the claims of the ledger. None: there is none, since nothing was tested or datasets disagree, or
    chance has no part in it."""
    reason: str
    """One sentence made of the numbers."""
    findings: tuple[Finding, ...]


def judge(looked_at: Iterable[tuple[Claim, Sequence[Looked]]]) -> tuple[Verdict, ...]:
    """The verdict on each claim.

    A claim holds if all of its tests do, on all datasets that could be tested, so that its p-value is the largest of theirs (the
    intersection–union test, Berger, Technometrics 1982). It is contradicted if at least one test is, on each of these datasets. Of a
    dataset the smallest p-value of such tests then counts, times the number of tests. These p-values, one for each claim, are adjusted by
    Holm's method. A verdict stands if its adjusted p-value is below 5%.
    """
    every = [(claim, tuple(_finding(claim, each) for each in looked)) for claim, looked in looked_at]
    said = [_agreed(findings) for _, findings in every]
    chancy = [place for place, (kind, _) in enumerate(said) if _tested(every[place][1])]
    adjusted = dict(zip(chancy, stats.holm([1.0 if (p := said[place][1]) is None else p for place in chancy]), strict=True))
    found = []
    for place, (claim, findings) in enumerate(every):
        kind, own = said[place]
        p = adjusted[place] if own is not None else None
        stands: Kind = "INCONCLUSIVE" if p is not None and p >= ALPHA else kind
        reason = _sentence(findings, stands, kind, p, len(chancy))
        found.append(Verdict(claim=claim, kind=stands, unadjusted=kind, p=p, reason=reason, findings=findings))
    return tuple(found)


def settle(expected: Expected, region: Region, p: float | None) -> Kind:
    """What a test shows. ``p``: of saying so; None where chance has no part."""
    if p is not None and p >= ALPHA:
        return "INCONCLUSIVE"
    if region == PREDICTED[expected]:
        return "SUPPORTED"
    return "NO MATERIAL DIFFERENCE" if region == "within" else "CONTRADICTED"


def p_text(p: float | None) -> str:
    """``0.012``, ``<0.001``; nothing for None."""
    return "" if p is None else "<0.001" if p < 0.001 else stats.format_number(p, 3 if p < 0.1 else 2)


def _outcome(test: Test, evidence: Evidence) -> Outcome:
    if evidence.effect is None:
        return Outcome(test=test, kind="NOT TESTED", evidence=evidence, p=None, reason=evidence.why_not)
    region, p = evidence.effect.region(evidence.delta)
    kind = settle(test.expect, region, p)
    where = f"within ±{evidence.limit}" if region == "within" else f"beyond δ = {evidence.limit}"
    if kind == "INCONCLUSIVE":
        where = f"across δ = {evidence.limit}"
    return Outcome(test=test, kind=kind, evidence=evidence, p=p, reason=f"{evidence.compared}: {evidence.amount}, {where}")


def _finding(claim: Claim, looked: Looked) -> Finding:
    if looked.why_not:
        return Finding(dataset=looked.dataset, kind="NOT TESTED", outcomes=(), p=None, reason=looked.why_not, links=looked.links)
    outcomes = tuple(_outcome(*each) for each in zip(claim.tests, looked.evidence, strict=True))
    kind = next(kind for kind in WEAKEST if any(outcome.kind == kind for outcome in outcomes))
    chances = [outcome.p for outcome in outcomes if outcome.kind == kind and outcome.p is not None]
    p = None
    if chances and kind == "SUPPORTED":
        p = max(chances)
    elif chances and kind in ("CONTRADICTED", "NO MATERIAL DIFFERENCE"):
        p = min(1.0, len(outcomes) * min(chances))
    shown = [outcome for outcome in outcomes if outcome.kind == kind]
    if p is not None and p >= ALPHA:
        kind, p = "INCONCLUSIVE", None
    notes = list(dict.fromkeys(f"{note}, left out" for evidence in looked.evidence for note in evidence.left_out))
    if untrained := list(dict.fromkeys(arm for evidence in looked.evidence for arm in evidence.untrained)):
        notes.append(f"not trained to competence: {', '.join(untrained)}")
    reason = "; ".join(dict.fromkeys(outcome.reason for outcome in shown)) + (f" ({'; '.join(notes)})" if notes else "")
    return Finding(dataset=looked.dataset, kind=kind, outcomes=outcomes, p=p, reason=reason, links=looked.links)


def _tested(findings: Sequence[Finding]) -> bool:
    """Whether chance had a part in any of a claim's tests, so that the claim counts in the adjustment."""
    return any(outcome.p is not None for finding in findings for outcome in finding.outcomes)


def _agreed(findings: Sequence[Finding]) -> tuple[Kind, float | None]:
    """What all datasets that were tested say, and the p-value of that; INCONCLUSIVE where they don't say the same."""
    tested = [finding for finding in findings if finding.kind != "NOT TESTED"]
    if not tested:
        return "NOT TESTED", None
    if len({finding.kind for finding in tested}) > 1:
        return "INCONCLUSIVE", None
    return tested[0].kind, max((finding.p for finding in tested if finding.p is not None), default=None)


def _sentence(findings: Sequence[Finding], kind: Kind, unadjusted: Kind, p: float | None, claims: int) -> str:
    if not findings:
        return "It speaks of no data of this experiment."
    by_kind: dict[Kind, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    parts = []
    for each in (each for each in KINDS if each in by_kind):
        by_reason: dict[str, list[str]] = {}
        for finding in by_kind[each]:
            by_reason.setdefault(finding.reason, []).append(finding.dataset)
        clauses = "; ".join(f"on {_and(datasets)}: {reason}" for reason, datasets in by_reason.items())
        parts.append(f"{each.lower()} {clauses}" if len(by_kind) > 1 else clauses)
    text = "; ".join(parts)
    if kind != unadjusted:
        text += f"; {unadjusted.lower()} by itself, but not after adjustment for {plural(claims, 'claim')} (p {_sign(p)})"
    elif p is not None:
        text += f"; after adjustment for {plural(claims, 'claim')} p {_sign(p)}"
    elif kind not in ("INCONCLUSIVE", "NOT TESTED"):
        text += "; so by construction, without chance"
    return f"{text[:1].upper()}{text[1:]}."


def _sign(p: float | None) -> str:
    """``= 0.012``, ``< 0.001``."""
    text = p_text(p)
    return f"< {text[1:]}" if text.startswith("<") else f"= {text}"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
