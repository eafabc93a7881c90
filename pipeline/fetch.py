"""Stage ``fetch``: ``python -m pipeline.fetch dataset=…`` → ``data/raw/<dataset>/``, verified."""

from __future__ import annotations

from cgm.data.sources import SOURCES
from cgm.experiment import paths
from cgm.experiment.params import Params
from pipeline.stage_command import main


def stage(params: Params, dataset: str) -> None:
    settings = params.all_datasets[dataset]
    SOURCES[settings.source].fetch(settings, paths.raw(dataset), paired=params.is_paired(dataset))


if __name__ == "__main__":
    main(stage, ["dataset"])
