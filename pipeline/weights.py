"""Stage ``weights``: which of the networks that evaluation looks through can be had → ``data/weights.json``.

Each is there already, or downloaded, or not to be had, with the reason. ``reference`` and ``evaluate`` depend on what is written, so
weights that come later run these again, and nothing else. One that an experiment names without ``auto`` and that can't be had is an error.

The stage runs again when :func:`prospects` change: when weights have come, or are within reach that were not.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cgm.core.download import Patience, within_reach
from cgm.core.errors import NotToBeHad
from cgm.core.files import read_json, write_json
from cgm.experiment import paths
from cgm.experiment.params import Params
from cgm.experiment.settings import Evaluation
from cgm.networks.fixed import weights
from cgm.networks.fixed.lpips import TRUNKS
from pipeline.stage_command import main

QUICK = Patience(connect=3.0, read=10.0, attempts=1)
"""With a file that may be missing: nobody without a network shall wait for it."""
REACH = 3.0
"""Seconds in which the server of such a file must answer."""


def wanted(config: Evaluation) -> dict[str, bool]:
    """The networks that evaluation looks through; True for those that may be missing."""
    judges = {each.name: each.auto for each in config.judges}
    trunks = {TRUNKS[each.name]: each.auto and judges.get(TRUNKS[each.name], True) for each in config.lpips}
    return judges | trunks


def prospects(params: Params, root: Path = Path()) -> dict[str, str]:
    """What is to be expected of each network that may be missing, before anything is downloaded.

    ``to be had``: there, or its server answers; ``refused``: the server answers, and didn't give the file at the last attempt;
    ``out of reach``; or what is wrong with the file that is there.
    """
    if params.weights is not None:
        weights.use_folder(params.weights)
    found = {}
    before = read_json(root / paths.WEIGHTS) if (root / paths.WEIGHTS).is_file() else {}
    for name in (name for name, may_be_missing in wanted(params.evaluation).items() if may_be_missing):
        try:
            if weights.verified(name) is not None:
                found[name] = "to be had"
                continue
        except NotToBeHad as error:
            found[name] = error.reason
            continue
        if not within_reach(weights.entry(name).url, REACH):
            found[name] = "out of reach"
        else:
            found[name] = "refused" if before.get(name, {}).get("tried") else "to be had"
    return found


def run(params: Params) -> None:
    found: dict[str, dict[str, str | bool]] = {}
    for name, may_be_missing in wanted(params.evaluation).items():
        try:
            if may_be_missing and weights.verified(name) is None and not within_reach(url := weights.entry(name).url, REACH):
                reason = f"no answer from {url.split('/')[2]}"
                print(f"{name}: {reason}; its columns stay empty; `cgm weights` says where a file may be placed", file=sys.stderr)
                found[name] = {"reason": reason}
            else:
                found[name] = {"sha256": weights.fetch(name, QUICK if may_be_missing else None)[1]}
        except NotToBeHad as error:
            if not may_be_missing:
                raise
            print(f"{name}: {error}; its columns stay empty", file=sys.stderr)
            found[name] = {"reason": error.reason, "tried": True}
    write_json(paths.WEIGHTS, found)


if __name__ == "__main__":
    main(run)
