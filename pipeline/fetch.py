"""Stage ``fetch``: ``python -m pipeline.fetch dataset=…`` → ``data/raw/<dataset>/``, verified."""

from __future__ import annotations

from cgm.config import Params
from cgm.data.sources import fetch
from pipeline.stage import main


def stage(params: Params, dataset: str) -> None:
    fetch(params.all_datasets[dataset], f"data/raw/{dataset}", paired=params.is_paired(dataset), archives="data/embedded")


if __name__ == "__main__":
    main(stage, ["dataset"])
