"""What MLflow's store costs: ``python -m benchmarks.tracking --runs 10 100 1000 --write``.

The stage ``track`` runs as a process of its own in a folder with so many finished runs: into an empty store, again with nothing new, and
after one run has changed. One run is trained, for two steps, with a small generator; the others have its weights and pictures, and made-up
curves and metrics, as many as in the default experiment. Datasets, models and versions are written as ever.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import chdir, closing, redirect_stderr
from pathlib import Path
from typing import Any

import yaml

from benchmarks.checkout import environment
from benchmarks.page import ROOT, heading, number, progress, run_command, table
from cgm.core.errors import UserError
from cgm.core.files import read_json, write_json, write_text
from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.sources import SOURCES
from cgm.evaluation.measures import planned
from cgm.evaluation.uncertainty import GROUPS
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import parse_params, read_yaml
from pipeline.train import train
from pipeline.translate import translate

SHAPES = {10: (1, 2, 5), 100: (2, 10, 5), 1000: (5, 20, 10)}
"""Runs: datasets, methods, seeds."""
LOSSES = ("D/real", "D/fake", "G/adversarial", "G/l1", "accuracy/D", "gradient/D", "gradient/G")
VALIDATION = ("val/mae", "val/ssim", "val/pd", "val/highfreq_ratio")
ROWS, VALIDATIONS = 100, 5
WIDTH, IMAGES = 8, 20
"""Of the U-Net, and a split's pictures: what MLflow has to do with them hardly hangs on how many there are."""
LIMITS = {"from nothing": 300.0, "nothing new": 5.0}
"""Seconds, for 1,000 runs."""


def make(folder: Path, runs: int) -> Params:
    """``params.yaml``, prepared data, and the files of so many finished runs, of which the first is trained: for two steps."""
    for name in ("cgm", "pipeline", "data/embedded", "dvc.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    raw: dict[str, Any] = read_yaml(ROOT / "experiments/default.yaml", remedy="run the command in a checkout of the project")
    datasets, methods, seeds = SHAPES[runs]
    raw["seeds"] = list(range(seeds))
    raw["compute"]["device"] = "cpu"
    raw["networks"]["unet"]["width"] = WIDTH
    data = {"source": "openmoji", "image_size": 64, "kimg": 2 * raw["training"]["batch_size"] / 1000, "limit": IMAGES}
    raw["datasets"] = {f"openmoji_{place}": data for place in range(datasets)}
    raw["methods"] = {f"pix2pix_{place}": {"implementation": "pix2pix", "l1_weight": 100.0} for place in range(methods)}
    raw["unpaired"] = {"datasets": {}, "methods": {}}
    write_text(folder / "params.yaml", yaml.safe_dump(raw, sort_keys=False))
    params, chance = parse_params(raw), random.Random(0)
    for name, settings in params.datasets.items():
        SOURCES[settings.source].fetch(settings, folder / paths.raw(name), paired=True, root=ROOT)
        prepare(settings, folder / paths.raw(name), folder / paths.prepared(name), name=name, paired=True)
    first = next(params.runs())
    with chdir(folder), redirect_stderr(io.StringIO()):
        train(params, first.dataset, first.method, first.seed)
        translate(params, first.dataset, first.method, first.seed)
    trained = Path(shutil.move(folder / paths.run_folder(first), folder / "trained"))
    for run in params.runs():
        write(folder, params, run, chance, trained)
    return params


def write(folder: Path, params: Params, run: Run, chance: random.Random, trained: Path) -> None:
    """The trained run's files with numbers of their own."""
    place, names = folder / paths.run_folder(run), list(planned(params.evaluation))
    if not place.exists():
        shutil.copytree(trained, place, copy_function=os.link)  # written anew below, never in place
    lines = [",".join(["kimg", "step", "learning_rate", *LOSSES, *VALIDATION])]
    for row in range(ROWS):
        losses = [repr(chance.random()) for _ in LOSSES]
        validation = [repr(chance.random()) if row % (ROWS // VALIDATIONS) == 0 else "" for _ in VALIDATION]
        lines.append(",".join([repr(0.08 * (row + 1)), str(10 * (row + 1)), "0.0005", *losses, *validation]))
    write_text(place / "history.csv", "\n".join(lines) + "\n")
    data = open_prepared(folder / paths.prepared(run.dataset)).data_sha256
    write_json(place / "run.json", read_json(trained / "run.json") | run.model_dump() | {"data_sha256": data})
    scores = {
        "status": "ok",
        "metrics": {name: chance.random() for name in names},
        "validation": {name: chance.random() for name in names},
        "left_out": {name: [chance.random() for _ in range(GROUPS)] for name in names},
        "group_sizes": [10] * GROUPS,
        "n_real": dict.fromkeys(names, 200),
        "n_fake": dict.fromkeys(names, 200),
    }
    write_json(place / "metrics.json", scores)


def timed(folder: Path) -> float:
    """Seconds that the stage takes, its start included. Raises :class:`UserError` where it fails."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.track"], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"track: exit code {done.returncode}, expected 0: {' '.join(done.stderr.split())[-500:]}")
    return time.perf_counter() - start


def check_registered(folder: Path, runs: int) -> None:
    """Raises :class:`UserError` unless each run has a version of its generator, and the changed one another."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as store:
        (versions,) = store.execute("SELECT count(*) FROM model_versions").fetchone()
    if versions != runs + 1:
        raise UserError(f"mlflow.db: found {versions} versions of models, expected {runs + 1}")


def measure(arguments: argparse.Namespace) -> tuple[str, str]:
    rows = []
    for runs in arguments.runs:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            params = make(folder, runs)
            seconds = [timed(folder), timed(folder)]
            write(folder, params, next(params.runs()), random.Random(1), folder / "trained")
            seconds.append(timed(folder))
            megabytes = (folder / "mlflow.db").stat().st_size / 1e6
            check_registered(folder, runs)
        rows.append([str(runs), *(number(each) for each in seconds), number(megabytes)])
        progress(*rows[-1])
    counts = len(LOSSES) + 1 + len(VALIDATION) * VALIDATIONS / ROWS
    options = f"--runs {' '.join(map(str, arguments.runs))}"
    text = [
        heading("MLflow", f"benchmarks.tracking {options}", ("mlflow",)),
        "`python -m pipeline.track` with so many finished runs, its start included; one call each, seconds. SQLite. Each run has "
        f"{round(counts * ROWS)} points of curves, its final metrics, its dataset, its grids, and its generator as a registered model. "
        f"Wanted of 1,000 runs: {LIMITS['from nothing']:.0f} s from nothing, {LIMITS['nothing new']:.0f} s with nothing new.",
        table(["runs", "from nothing", "nothing new", "one run changed", "database, MB"], rows),
    ]
    return "tracking", "\n\n".join(text)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking", description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", choices=SHAPES, default=[10, 100, 1000])
    run_command(parser, measure, argv)


if __name__ == "__main__":
    main()
