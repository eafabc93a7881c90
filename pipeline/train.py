"""Stage ``train``: one run → ``model.safetensors``, ``history.csv``, ``run.json``, ``progress/``.

``torchrun --standalone --nproc-per-node N -m pipeline.train dataset=… method=… seed=…`` trains one run in N processes (N GPUs).
"""

from __future__ import annotations

import hashlib
import json
import platform

import numpy as np
import safetensors.torch
import torch

import cgm
from cgm.core.files import replacing, write_json, write_text
from cgm.data.prepared import Prepared, open_prepared
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.methods import METHODS, models
from cgm.methods.method import Elsewhere
from cgm.training.checkpoint import Checkpoint
from cgm.training.device import peak_memory, pick_device, pick_precision
from cgm.training.history import history_csv
from cgm.training.live import Live, write_no_progress
from cgm.training.parallel import World
from cgm.training.trainer import Trainer
from pipeline.code import Code, training_code
from pipeline.stage_command import main


def resolved(params: Params, run: Run) -> dict[str, object]:
    """Everything of ``params.yaml`` that this run depends on, defaults filled in."""
    return {
        "compute": params.compute.model_dump(),
        "training": params.training.model_dump(),
        "networks": params.networks_of(run.dataset, run.method).model_dump(),
        "dataset": params.all_datasets[run.dataset].model_dump(),
        "method": params.method(run.dataset, run.method).model_dump(),
    }


def train(params: Params, dataset: str, method: str, seed: int) -> None:
    run = Run(dataset=dataset, method=method, seed=seed)
    if issubclass(elsewhere := METHODS[params.method(dataset, method).implementation], Elsewhere):
        take_in(params, run, elsewhere)
        return
    device = pick_device(params.compute)
    world = World.join(device)
    prepared = open_prepared(paths.prepared(dataset))
    settings, code = resolved(params, run), training_code(params, run, Code())
    precision = pick_precision(params.compute, device)
    identity = json.dumps(
        [
            str(run), settings, prepared.data_sha256, prepared.augment, code, torch.__version__, device.type, precision, world.size,
            params.compute.deterministic, params.compute.compile,
        ],
        sort_keys=True,
    )  # fmt: skip
    checkpoint = Checkpoint(paths.checkpoint(run), hashlib.sha256(identity.encode()).hexdigest())
    live = Live(device, paths.live(run) if world.leads else None, checkpoint.fingerprint, experiment=params.experiment, **run.model_dump())
    trainer = Trainer(params, run, prepared, checkpoint, device, world, live)
    outcome = trainer.train()
    world.leave()
    if not world.leads:
        return

    folder = paths.run_folder(run)
    made = trainer.method
    with replacing(folder / "model.safetensors") as temporary, trainer.as_translated():
        safetensors.torch.save_file(models.weights(made), temporary)
    write_text(folder / "history.csv", history_csv(outcome.history))
    missing = live.result(paths.progress(run), trainer.validated)
    write_json(
        folder / "run.json",
        {
            **identity_of(run, settings, prepared, code),
            "status": outcome.status,
            "reason": outcome.reason,
            "augment": prepared.augment,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})",
            "precision": precision,
            "processes": world.size,
            "threads": params.compute.threads,
            "deterministic": params.compute.deterministic and not params.compute.compile,
            "compiled": params.compute.compile,
            "captured": params.compute.capture,
            "seconds": round(outcome.seconds, 3),
            "images_per_second": round(outcome.images / max(outcome.seconds, 1e-9), 3),
            "peak_memory_bytes": peak_memory(device),
            "parameters": models.parameters(made),
            "receptive_field": made.receptive_field,
            "steps": outcome.steps,
            "kimg": outcome.images / 1000,
            "resumed": outcome.resumed,
            "progress_missing": missing,
            "stochastic": made.stochastic,
            "supervision": made.supervision,
            "loss_network": made.loss_network,
        },
    )
    checkpoint.path.unlink(missing_ok=True)
    live.end()


def take_in(params: Params, run: Run, elsewhere: type[Elsewhere]) -> None:
    """In place of a training: what the pictures are that were made elsewhere. What nobody knows of their making is null in ``run.json``."""
    folder, prepared = paths.run_folder(run), open_prepared(paths.prepared(run.dataset))
    found = elsewhere.outputs(params.method(run.dataset, run.method), prepared, run.seed, params.seeds)
    models.write_stand_in(folder / "model.safetensors", found.sha256)
    write_text(folder / "history.csv", history_csv([]))
    write_no_progress(paths.progress(run))
    unknown = (
        "device", "precision", "processes", "threads", "seconds", "images_per_second", "peak_memory_bytes", "receptive_field", "steps",
        "kimg", "loss_network", "progress_missing",
    )  # fmt: skip
    write_json(
        folder / "run.json",
        {
            **identity_of(run, resolved(params, run), prepared, training_code(params, run, Code())),
            **dict.fromkeys(unknown),
            "status": "ok",
            "reason": "",
            "external": True,
            "outputs": {"folder": found.folder, "sha256": found.sha256, "count": len(found.test)},
            "parameters": {"generator": None, "discriminator": None},
            "stochastic": False,
            "supervision": "made elsewhere",
        },
    )


def identity_of(run: Run, settings: dict[str, object], prepared: Prepared, code: str) -> dict[str, object]:
    """What ``run.json`` says of a run, of its settings, data and code."""
    return {
        **run.model_dump(),
        "config": settings,
        "data_sha256": prepared.data_sha256,
        "code_sha256": code,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "cgm": cgm.__version__,
        },
    }


if __name__ == "__main__":
    main(train, ("dataset", "method", "seed"))
