"""What results say of claims: a verdict for each, made of one finding a dataset, made of one outcome a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cgm.claims.ledger import Claim, Test
from cgm.evaluation.uncertainty import Estimate

Kind = Literal["SUPPORTED", "CONTRADICTED", "NO MATERIAL DIFFERENCE", "INCONCLUSIVE", "NOT TESTED"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one test on one dataset."""

    test: Test
    kind: Kind
    estimate: Estimate | None
    """Of the arm less the other side, in the metric's unit (of a ratio: of its natural logarithm); None where nothing was tested."""
    delta: float
    """δ on the estimate's scale."""
    p: float | None
    """Adjusted over all tests of the ledger. None: nothing was tested, or chance has no part in it."""
    reason: str
    """A sentence made of the numbers."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Of one dataset. ``estimate``, ``p``: of the test that decided it (:attr:`decisive`)."""

    dataset: str
    kind: Kind
    outcomes: tuple[Outcome, ...]
    """In the order of the claim's tests; empty where the dataset was not looked at."""
    estimate: Estimate | None
    """``mean``, ``half_width``, ``n_seeds``, ``over``."""
    p: float | None
    reason: str
    links: tuple[tuple[str, str], ...]
    """(text, address) of the tables and figures behind it: ``("main results", "#main-openmoji")``."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    claim: Claim
    kind: Kind
    reason: str
    """One sentence made of the numbers."""
    findings: tuple[Finding, ...]
