"""``cgm claims``: the verdicts on ``claims.yaml`` that the results so far allow, without a report."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from pathlib import Path
from typing import Any

from cgm.claims.ledger import LEDGER, Ledger, load_ledger
from cgm.core.errors import UserError
from cgm.core.words import plural
from cgm.experiment.params import Params
from cgm.experiment.reading import load_params

WIDEST = 120
"""Characters a line, on terminals that are wider."""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("claims", help=f"the verdicts on {LEDGER} that the results so far allow")
    parser.add_argument("--check", action="store_true", help="only look for mistakes in the file")


def main(arguments: argparse.Namespace, params_path: Path) -> None:
    """Raises :class:`UserError` for a mistake in either file."""
    from cgm.report.results import collect
    from cgm.report.tables.verdicts import counts
    from cgm.report.verdicts import mistakes, verdicts

    params, ledger = load_params(params_path), load_ledger(LEDGER)
    if not ledger.sha256:
        raise UserError(f"{LEDGER}: not found; docs/claims.md says how to state a claim")
    if wrong := mistakes(ledger):
        raise UserError(f"{LEDGER}: {wrong[0]}")
    if arguments.check or not ledger.claims:
        print(f"{LEDGER}: {plural(len(ledger.claims), 'claim')}, sha256 {ledger.sha256}")
        for line in elsewhere(ledger, params):
            print(line)
        return
    found = verdicts(collect(params), ledger)
    width = min(WIDEST, shutil.get_terminal_size().columns)
    for verdict in found:
        itself = "" if verdict.unadjusted == verdict.kind else f" ({verdict.unadjusted} by itself)"
        print(f"{verdict.kind}{itself}: {verdict.claim.id}")
        for text in (verdict.claim.sentence, verdict.reason):
            print(textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    "))
    print(f"{LEDGER}: {counts(found)}")


def elsewhere(ledger: Ledger, params: Params) -> list[str]:
    """What claims name and this experiment doesn't have. Another one may; or it is misspelt."""
    from cgm.report.verdicts import GROUPS, RANDOM, TRAINED

    arms = {method for dataset in params.all_datasets for method in params.methods_of(dataset)} | {TRAINED, RANDOM}
    named = {
        "dataset": {name for claim in ledger.claims for name in (*claim.datasets, *claim.not_on)} - {*GROUPS, *params.all_datasets},
        "arm": {arm for claim in ledger.claims for arm in claim.arms} - arms,
    }
    return [
        f"not in experiment {params.experiment}: {plural(len(names), what)} ({', '.join(sorted(names))})"
        for what, names in named.items()
        if names
    ]
