"""Stage ``reference``: what a dataset's outputs are compared with, and what its floors and baselines score.

``python -m pipeline.reference dataset=…`` reads ``data/prepared/<dataset>/``, writes ``data/reference/<dataset>.npz`` and ``.json``.
"""

from __future__ import annotations

import torch

from cgm.core.files import write_json
from cgm.data.prepared import open_prepared
from cgm.evaluation import competence
from cgm.evaluation.baselines import reference_rows
from cgm.evaluation.judges import load_judge
from cgm.evaluation.reference import build_reference
from cgm.experiment import paths
from cgm.experiment.params import Params
from pipeline.stage_command import main


def run(params: Params, dataset: str) -> None:
    torch.set_num_threads(params.compute.threads)
    prepared = open_prepared(paths.prepared(dataset))
    judge = load_judge(params.evaluation.judge)
    reference = build_reference(prepared, params.evaluation, judge)
    rows = reference_rows(prepared, reference, params.evaluation, judge)
    reference.save(paths.reference(dataset, "npz"))
    write_json(
        paths.reference(dataset, "json"),
        {
            "dataset": dataset,
            "judge": {"name": judge.name, "sha256": judge.sha256},
            "rows": rows,
            "validation": competence.untrained(prepared, reference, judge),
        },
    )


if __name__ == "__main__":
    main(run, keys=("dataset",))
