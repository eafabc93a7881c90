"""The verdicts on the claims of ``claims.yaml`` that a set of results allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgm.claims.ledger import Ledger
    from cgm.claims.verdict import Verdict
    from cgm.report.results import Results


def verdicts(results: Results, ledger: Ledger) -> tuple[Verdict, ...]:
    """One for each claim, in the file's order. Raises :class:`cgm.core.errors.UserError` for a metric that nothing has."""
    raise NotImplementedError
