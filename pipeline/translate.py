"""Stage ``translate``: a trained generator and the test conditions → ``outputs.npy``, ``validation.npy``, ``grid.png``.

Of a run that was made elsewhere the outputs are the user's pictures.
"""

from __future__ import annotations

import numpy as np

from cgm.core import seeds
from cgm.core.errors import UserError
from cgm.core.files import replacing
from cgm.data.images import contact_sheet
from cgm.data.listing import VALIDATED, hash_order
from cgm.data.prepared import Prepared, open_prepared
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.methods import METHODS, models
from cgm.methods.method import Elsewhere
from cgm.training.device import pick_device
from pipeline.stage_command import main

GRID_ROWS = 8


def translate(params: Params, dataset: str, method: str, seed: int) -> None:
    run = Run(dataset=dataset, method=method, seed=seed)
    prepared = open_prepared(paths.prepared(dataset))
    folder = paths.run_folder(run)
    elsewhere = METHODS[params.method(dataset, method).implementation]
    made = made_elsewhere(params, run, prepared, elsewhere) if issubclass(elsewhere, Elsewhere) else translated(params, run, prepared)
    outputs, validation = made
    with replacing(folder / "outputs.npy") as temporary:
        np.save(temporary, outputs)
    with replacing(folder / "validation.npy") as temporary:
        np.save(temporary, validation)

    x = prepared.images("test", "A")
    # Which rows the grid shows is fixed by a hash of the image's id: nobody picks them.
    ids = prepared.ids("test", "A")
    shown = [ids.index(name) for name in hash_order(ids)[:GRID_ROWS]]
    columns = [x, *([prepared.images("test", "B")] if prepared.aligned else []), *outputs]
    cells = np.stack([column[index] for index in shown for column in columns])
    with replacing(folder / "grid.png") as temporary:
        contact_sheet(cells, len(columns)).save(temporary)


def translated(params: Params, run: Run, prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """What the trained generator makes of the test conditions, K×N×H×W×C, and of the first validation conditions, N×H×W×C."""
    device = pick_device(params.compute)
    data = params.all_datasets[run.dataset]
    settings = params.method(run.dataset, run.method)
    made = models.build(settings, params.networks, data.height_width, params.is_paired(run.dataset), data.channels)
    models.read_weights(made, paths.run_folder(run) / "model.safetensors", str(run), device)
    noise = seeds.torch_generator(run.dataset, run.method, run.seed, "translate", device)
    count = params.evaluation.samples if made.stochastic else 1
    x = prepared.images("test", "A")
    outputs = np.stack([models.translate(made, x, noise, models.BATCH, device) for _ in range(count)])
    # Whether a method was trained to competence is decided on validation images.
    noise = seeds.torch_generator(run.dataset, run.method, run.seed, "translate validation", device)
    return outputs, models.translate(made, prepared.images("val", "A")[:VALIDATED], noise, models.BATCH, device)


def made_elsewhere(params: Params, run: Run, prepared: Prepared, elsewhere: type[Elsewhere]) -> tuple[np.ndarray, np.ndarray]:
    """The user's pictures, in the shapes of :func:`translated`; those that the stage ``train`` has seen."""
    found = elsewhere.outputs(params.method(run.dataset, run.method), prepared, run.seed, params.seeds)
    if models.stands_for(paths.run_folder(run) / "model.safetensors") != found.sha256:
        raise UserError(f"{found.folder}: changed since the stage 'train' of {run} looked at it; start Snakemake or DVC again")
    return found.test[None], found.validation


if __name__ == "__main__":
    main(translate, ("dataset", "method", "seed"))
