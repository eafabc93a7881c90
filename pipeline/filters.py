"""Stage ``filters``: the first layers of the frozen networks that the experiment looks through → ``data/filters.npz``.

Those are its loss networks, judges and LPIPS's trunks. The report shows and measures what the layers look for
(:mod:`cgm.evaluation.filters`), and reads no weights. A network whose weights can't be had is left out.
"""

from __future__ import annotations

import sys

import numpy as np

from cgm.core.errors import UserError
from cgm.core.files import read_json
from cgm.core.registry import places
from cgm.evaluation import filters
from cgm.experiment import paths
from cgm.experiment.params import Params
from cgm.networks.fixed import FIXED, weights
from pipeline.stage_command import main
from pipeline.weights import QUICK, wanted


def networks(params: Params) -> list[str]:
    """Those that methods name, then those of the evaluation; each once."""
    named = places(*(params.method(run.dataset, run.method) for run in params.runs()))
    return list(dict.fromkeys([*(name for name in FIXED if FIXED.place(name) in named), *wanted(params.evaluation)]))


def identity(params: Params) -> dict[str, str]:
    """The networks with the hashes of their weights: what decides the stage's outcome beside its code."""
    files = {name: FIXED[name].package or FIXED[name].published for name in networks(params)}
    return {name: file.sha256 if file else "" for name, file in files.items()}


def run(params: Params) -> None:
    had = read_json(paths.WEIGHTS)
    layers = {}
    for name in networks(params):
        if "reason" in had.get(name, {}):
            continue
        try:
            weights.fetch(name, QUICK)  # trainings wait for it longer
            state = weights.read(FIXED[name])[0]
        except UserError as error:
            print(f"{name}: {error}; its filters are not shown", file=sys.stderr)
            continue
        # torch's order of a state dictionary is that of the network's layers
        layers[name] = next(np.asarray(value, np.float32) for value in state.values() if value.ndim == 4 and value.shape[1] == 3)
    filters.save(paths.FILTERS, layers)


if __name__ == "__main__":
    main(run)
