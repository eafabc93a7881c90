"""Stage ``evaluate``: every metric of one run's outputs.

``python -m pipeline.evaluate dataset=… method=… seed=…`` reads the run's ``outputs.npy`` and ``run.json`` and the dataset's reference,
writes ``metrics.json`` and ``per_image.csv`` beside them.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from cgm.core.errors import UserError
from cgm.core.files import read_json, replacing, write_json
from cgm.data.prepared import open_prepared
from cgm.evaluation import competence
from cgm.evaluation.evaluate import Another, evaluate_outputs
from cgm.evaluation.judges import device_of, load_judge, missing
from cgm.evaluation.reference import Reference
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from pipeline.stage_command import main


def run(params: Params, dataset: str, method: str, seed: int) -> None:
    torch.set_num_threads(params.compute.threads)
    this = Run(dataset=dataset, method=method, seed=seed)
    folder = paths.run_folder(this)
    try:
        outputs = np.load(folder / "outputs.npy", mmap_mode="r")
        shown = np.load(folder / "validation.npy", mmap_mode="r")
        status = read_json(folder / "run.json")["status"]
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: not found; run the stages 'train' and 'translate' of {dataset}/{method}/{seed} first") from None
    prepared = open_prepared(paths.prepared(dataset))
    config, reasons = params.evaluation, missing()
    reference, judge = partial(Reference.load, paths.seen_by(dataset, config.judge)), load_judge(config.judge, device_of(config))
    others = [
        Another(name=name, reason=reasons[name])
        if name in reasons
        else Another(name=name, judge=load_judge(name, device_of(config)), reference=partial(Reference.load, paths.seen_by(dataset, name)))
        for name in (each.name for each in config.others)
    ]
    result, table = evaluate_outputs(outputs, prepared, reference, config, judge, others=others, label=f"evaluate {this}")
    result["validation"] = competence.measure(shown, prepared, reference(), judge)
    with replacing(folder / "per_image.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    write_json(folder / "metrics.json", {"dataset": dataset, "method": method, "seed": seed, "status": status, **result})


if __name__ == "__main__":
    main(run, keys=("dataset", "method", "seed"))
