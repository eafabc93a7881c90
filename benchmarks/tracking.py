"""What MLflow's store costs: ``python -m benchmarks.tracking --runs 10 100 1000 --write``.

The stage ``track`` runs as a process of its own in a folder with so many finished runs: into an empty store, again with nothing new, and
after one run has changed. The runs' files are made up, as large as the default experiment's; MLflow and its SQLite database are real.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.checkout import environment
from benchmarks.page import ROOT, heading, number, progress, run_command, table
from cgm.core.errors import UserError
from cgm.core.files import write_json, write_text
from cgm.evaluation.measures import planned
from cgm.evaluation.uncertainty import GROUPS
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import parse_params, read_yaml

SHAPES = {10: (1, 2, 5), 100: (2, 10, 5), 1000: (5, 20, 10)}
"""Runs: datasets, methods, seeds."""
LOSSES = ("D/real", "D/fake", "G/adversarial", "G/l1", "accuracy/D", "gradient/D", "gradient/G")
VALIDATION = ("val/mae", "val/ssim", "val/pd", "val/highfreq_ratio")
ROWS, VALIDATIONS = 100, 5
GRID_BYTES, MODEL_BYTES = 200_000, 500_000
LIMITS = {"from nothing": 300.0, "nothing new": 5.0}
"""Seconds, for 1,000 runs."""


def make(folder: Path, runs: int) -> Params:
    """``params.yaml`` and the files of so many finished runs."""
    raw: dict[str, Any] = read_yaml(ROOT / "experiments/default.yaml", remedy="run the command in a checkout of the project")
    datasets, methods, seeds = SHAPES[runs]
    raw["seeds"] = list(range(seeds))
    raw["datasets"] = {f"openmoji_{place}": {"source": "openmoji", "image_size": 64, "kimg": 8.0} for place in range(datasets)}
    raw["methods"] = {f"pix2pix_{place}": {"implementation": "pix2pix", "l1_weight": 100.0} for place in range(methods)}
    raw["unpaired"] = {"datasets": {}, "methods": {}}
    write_text(folder / "params.yaml", yaml.safe_dump(raw, sort_keys=False))
    params, chance = parse_params(raw), random.Random(0)
    for run in params.runs():
        write(folder, params, run, chance)
    return params


def write(folder: Path, params: Params, run: Run, chance: random.Random) -> None:
    place, names = folder / paths.run_folder(run), list(planned(params.evaluation))
    lines = [",".join(["kimg", "step", "learning_rate", *LOSSES, *VALIDATION])]
    for row in range(ROWS):
        losses = [repr(chance.random()) for _ in LOSSES]
        validation = [repr(chance.random()) if row % (ROWS // VALIDATIONS) == 0 else "" for _ in VALIDATION]
        lines.append(",".join([repr(0.08 * (row + 1)), str(10 * (row + 1)), "0.0005", *losses, *validation]))
    write_text(place / "history.csv", "\n".join(lines) + "\n")
    settings = {
        "method": params.method(run.dataset, run.method).model_dump(),
        "dataset": params.all_datasets[run.dataset].model_dump(),
        "training": params.training.model_dump(),
        "networks": params.networks.model_dump(),
    }
    record = {
        "config": json.loads(json.dumps(settings, default=str)),
        "status": "ok",
        "reason": "",
        "supervision": "paired",
        "device": "CPU",
    }
    numbers = {"seconds": 100.0, "images_per_second": 80.0, "kimg": 8.0, "data_sha256": "0" * 64, "code_sha256": "0" * 64}
    write_json(place / "run.json", {**run.model_dump(), **record, **numbers, "parameters": {"generator": 1, "discriminator": 1}})
    scores = {
        "status": "ok",
        "metrics": {name: chance.random() for name in names},
        "left_out": {name: [chance.random() for _ in range(GROUPS)] for name in names},
        "group_sizes": [10] * GROUPS,
        "n_real": dict.fromkeys(names, 200),
        "n_fake": dict.fromkeys(names, 200),
    }
    write_json(place / "metrics.json", scores)
    (place / "grid.png").write_bytes(chance.randbytes(GRID_BYTES))
    (place / "model.safetensors").write_bytes(chance.randbytes(MODEL_BYTES))


def timed(folder: Path) -> float:
    """Seconds that the stage takes, its start included. Raises :class:`UserError` where it fails."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.track"], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"track: exit code {done.returncode}, expected 0: {' '.join(done.stderr.split())[-500:]}")
    return time.perf_counter() - start


def measure(arguments: argparse.Namespace) -> tuple[str, str]:
    rows = []
    for runs in arguments.runs:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            params = make(folder, runs)
            seconds = [timed(folder), timed(folder)]
            write(folder, params, next(params.runs()), random.Random(1))
            seconds.append(timed(folder))
            megabytes = (folder / "mlflow.db").stat().st_size / 1e6
        rows.append([str(runs), *(number(each) for each in seconds), number(megabytes)])
        progress(*rows[-1])
    counts = len(LOSSES) + 1 + len(VALIDATION) * VALIDATIONS / ROWS
    options = f"--runs {' '.join(map(str, arguments.runs))}"
    text = [
        heading("MLflow", f"benchmarks.tracking {options}", ("mlflow",)),
        "`python -m pipeline.track` with so many finished runs, its start included; one call each, seconds. SQLite. Each run has "
        f"{round(counts * ROWS)} points of curves, its final metrics, and {(GRID_BYTES + MODEL_BYTES) / 1e6:.1f} MB of pictures and "
        f"weights. Wanted of 1,000 runs: {LIMITS['from nothing']:.0f} s from nothing, {LIMITS['nothing new']:.0f} s with nothing new.",
        table(["runs", "from nothing", "nothing new", "one run changed", "database, MB"], rows),
    ]
    return "tracking", "\n\n".join(text)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", choices=SHAPES, default=[10, 100, 1000])
    run_command(parser, measure, argv)


if __name__ == "__main__":
    main()
