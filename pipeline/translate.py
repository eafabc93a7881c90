"""Stage ``translate``: a trained generator and the test conditions → ``outputs.npy``, ``grid.png``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import safetensors.torch

from cgm import seeds, training
from cgm.compute import pick_device
from cgm.config import Params, Run
from cgm.data.prepared import open_prepared
from cgm.files import replacing
from cgm.images import contact_sheet
from pipeline.stage import main

BATCH = 16
GRID_ROWS = 8


def translate(params: Params, dataset: str, method: str, seed: int) -> None:
    run = Run(dataset=dataset, method=method, seed=seed)
    device = pick_device(params.compute)
    prepared = open_prepared(Path("data/prepared") / dataset)
    folder = Path("results") / dataset / method / str(seed)
    made = training.build_method(params, run)
    training.load_weights(made, safetensors.torch.load_file(folder / "model.safetensors"), device)

    x = prepared.images("test", "A")
    noise = seeds.torch_generator(dataset, method, seed, "translate", device)
    count = params.evaluation.samples if made.stochastic else 1
    outputs = np.stack([training.translate(made, x, noise, BATCH, device) for _ in range(count)])
    with replacing(folder / "outputs.npy") as temporary:
        np.save(temporary, outputs)

    # Which rows the grid shows is fixed by a hash of the image's id: nobody picks them.
    ids = prepared.ids("test", "A")
    shown = sorted(range(len(ids)), key=lambda index: hashlib.sha256(ids[index].encode()).digest())[:GRID_ROWS]
    columns = [x, *([prepared.images("test", "B")] if prepared.aligned else []), *outputs]
    cells = np.stack([column[index] for index in shown for column in columns])
    with replacing(folder / "grid.png") as temporary:
        contact_sheet(cells, len(columns)).save(temporary)


if __name__ == "__main__":
    main(translate, ("dataset", "method", "seed"))
