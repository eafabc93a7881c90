"""Stage ``prepare``: ``python -m pipeline.prepare dataset=… [processes=…]`` → ``data/prepared/<dataset>/``.

``processes``: how many rasterise at once (default and maximum: the processors that this process may use); no result depends on it.
"""

from __future__ import annotations

import sys

from cgm.core.errors import UserError
from cgm.core.processes import processors
from cgm.data.prepare import prepare
from cgm.experiment import paths
from cgm.experiment.params import Params
from pipeline.stage_command import main


def stage(params: Params, dataset: str, processes: str | None) -> None:
    available = processors()
    if processes is not None and not (processes.isdecimal() and int(processes) >= 1):
        raise UserError(f"argument processes={processes}: expected a whole number from 1 on")
    prepare(
        params.all_datasets[dataset],
        paths.raw(dataset),
        paths.prepared(dataset),
        name=dataset,
        paired=params.is_paired(dataset),
        processes=min(available, int(processes)) if processes else available,
    )


if __name__ == "__main__":
    optional = [argument for argument in sys.argv[1:] if argument.startswith("processes=")]
    given = optional[-1].partition("=")[2] if optional else None
    main(
        lambda params, dataset: stage(params, dataset, given),
        ["dataset"],
        [argument for argument in sys.argv[1:] if argument not in optional],
    )
