"""Stage ``translate``: a trained generator and the test conditions → ``outputs.npy``, ``validation.npy``, ``grid.png``."""

from __future__ import annotations

import numpy as np
import safetensors.torch

from cgm.core import seeds
from cgm.core.errors import UserError
from cgm.core.files import replacing
from cgm.data.images import contact_sheet
from cgm.data.listing import hash_order
from cgm.data.prepared import open_prepared
from cgm.evaluation import competence
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.methods import left_weights, models
from cgm.training.device import pick_device
from pipeline.stage_command import main

BATCH = 16
GRID_ROWS = 8


def translate(params: Params, dataset: str, method: str, seed: int) -> None:
    run = Run(dataset=dataset, method=method, seed=seed)
    device = pick_device(params.compute)
    prepared = open_prepared(paths.prepared(dataset))
    folder = paths.run_folder(run)
    settings = params.all_datasets[dataset]
    made = models.build(
        params.method(dataset, method), params.networks, settings.height_width, params.is_paired(dataset), settings.channels
    )
    model = folder / "model.safetensors"
    if (digest := left_weights.left(model)) is not None:
        raise UserError(
            f"{model}: the weights of {run} were left on the machine where it was trained (SHA-256 {digest[:12]}…); remove the file and "
            "start Snakemake or DVC again, which trains the run here"
        )
    models.load_weights(made, safetensors.torch.load_file(model), device)

    x = prepared.images("test", "A")
    noise = seeds.torch_generator(dataset, method, seed, "translate", device)
    count = params.evaluation.samples if made.stochastic else 1
    outputs = np.stack([models.translate(made, x, noise, BATCH, device) for _ in range(count)])
    with replacing(folder / "outputs.npy") as temporary:
        np.save(temporary, outputs)
    # Whether a method was trained to competence is decided on validation images.
    noise = seeds.torch_generator(dataset, method, seed, "translate validation", device)
    conditions = prepared.images("val", "A")[: competence.IMAGES]
    with replacing(folder / "validation.npy") as temporary:
        np.save(temporary, models.translate(made, conditions, noise, BATCH, device))

    # Which rows the grid shows is fixed by a hash of the image's id: nobody picks them.
    ids = prepared.ids("test", "A")
    shown = [ids.index(name) for name in hash_order(ids)[:GRID_ROWS]]
    columns = [x, *([prepared.images("test", "B")] if prepared.aligned else []), *outputs]
    cells = np.stack([column[index] for index in shown for column in columns])
    with replacing(folder / "grid.png") as temporary:
        contact_sheet(cells, len(columns)).save(temporary)


if __name__ == "__main__":
    main(translate, ("dataset", "method", "seed"))
