"""Stage ``evaluate``: every metric of one run's outputs.

``python -m pipeline.evaluate dataset=… method=… seed=…`` reads the run's ``outputs.npy`` and ``run.json`` and the dataset's reference,
writes ``metrics.json`` and ``per_image.csv`` beside them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cgm.config import Params
from cgm.data.prepared import open_prepared
from cgm.errors import UserError
from cgm.evaluation import evaluate_outputs
from cgm.files import read_json, replacing, write_json
from cgm.reference import Reference
from pipeline.stage import main


def run(params: Params, dataset: str, method: str, seed: int) -> None:
    torch.set_num_threads(params.compute.threads)
    folder = Path("results") / dataset / method / str(seed)
    try:
        outputs = np.load(folder / "outputs.npy", mmap_mode="r")
        status = read_json(folder / "run.json")["status"]
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: not found; run the stages 'train' and 'translate' of {dataset}/{method}/{seed} first") from None
    prepared = open_prepared(Path("data/prepared") / dataset)
    reference = Reference.load(Path("data/reference") / f"{dataset}.npz")
    result, table = evaluate_outputs(outputs, prepared, reference, params.evaluation)
    with replacing(folder / "per_image.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    write_json(folder / "metrics.json", {"dataset": dataset, "method": method, "seed": seed, "status": status, **result})


if __name__ == "__main__":
    main(run, keys=("dataset", "method", "seed"))
