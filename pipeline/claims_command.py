"""``cgm claims``: the verdicts on ``claims.yaml`` that the results so far allow, without a report."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from pathlib import Path
from typing import Any

from cgm.claims.ledger import LEDGER, load_ledger
from cgm.core.errors import UserError
from cgm.core.words import plural
from cgm.experiment.reading import load_params

WIDEST = 120
"""Characters a line, on terminals that are wider."""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("claims", help=f"the verdicts on {LEDGER} that the results so far allow")
    parser.add_argument("--check", action="store_true", help="only look for mistakes in the file")


def main(arguments: argparse.Namespace, params_path: Path) -> None:
    """Raises :class:`UserError` for a mistake in either file, or a metric that nothing has."""
    params, ledger = load_params(params_path), load_ledger(LEDGER)
    if not ledger.claims:
        raise UserError(f"{LEDGER}: found no claims; docs/claims.md says how to state one")
    from cgm.report.results import collect
    from cgm.report.tables.verdicts import counts
    from cgm.report.verdicts import unknown_metrics, verdicts

    results = collect(params)
    if unknown := unknown_metrics(results, ledger):
        raise UserError(f"{LEDGER}: {unknown[0]}")
    if arguments.check:
        print(f"{LEDGER}: {plural(len(ledger.claims), 'claim')}, sha256 {ledger.sha256}")
        return
    found = verdicts(results, ledger)
    width = min(WIDEST, shutil.get_terminal_size().columns)
    for verdict in found:
        itself = "" if verdict.unadjusted == verdict.kind else f" ({verdict.unadjusted} by itself)"
        print(f"{verdict.kind}{itself}: {verdict.claim.id}")
        for text in (verdict.claim.sentence, verdict.reason):
            print(textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    "))
    print(f"{LEDGER}: {counts(found)}")
