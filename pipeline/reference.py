"""Stage ``reference``: what a dataset's outputs are compared with, and what its floors and baselines score.

``python -m pipeline.reference dataset=…`` reads ``data/prepared/<dataset>/``, writes ``data/reference/<dataset>.npz`` and ``.json``.
"""

from __future__ import annotations

from pathlib import Path

import torch

from cgm.baselines import reference_rows
from cgm.config import Params
from cgm.data.prepared import open_prepared
from cgm.files import write_json
from cgm.metrics.judges import load_judge
from cgm.reference import build_reference
from pipeline.stage import main


def run(params: Params, dataset: str) -> None:
    torch.set_num_threads(params.compute.threads)
    prepared = open_prepared(Path("data/prepared") / dataset)
    judge = load_judge(params.evaluation.judge)
    reference = build_reference(prepared, params.evaluation, judge)
    rows = reference_rows(prepared, reference, params.evaluation, judge)
    folder = Path("data/reference")
    reference.save(folder / f"{dataset}.npz")
    write_json(folder / f"{dataset}.json", {"dataset": dataset, "judge": {"name": judge.name, "sha256": judge.sha256}, "rows": rows})


if __name__ == "__main__":
    main(run, keys=("dataset",))
