"""What following costs the trainings that are followed: ``python -m benchmarks.following --write``.

The default Pix2Pix trains with and without the folder that shows it while it runs, in turn. ``cgm follow`` is at work beside both, in a
folder with so many finished runs: it has a training to follow in every other turn. Seconds are the processor's.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks import tracking
from benchmarks.checkout import environment
from benchmarks.page import ROOT, heading, progress, run_command, table
from cgm.core.errors import UserError
from cgm.core.files import remove
from cgm.data.prepare import prepare
from cgm.data.prepared import Prepared, open_prepared
from cgm.data.sources import SOURCES
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import parse_params, read_yaml
from cgm.training.checkpoint import Checkpoint
from cgm.training.live import Live
from cgm.training.trainer import Trainer
from pipeline.tracking.follow import LOG, SECONDS

IMAGES = 256
SETTLED = 15.0
"""Seconds after its start in which the follower has written what it finds."""
CPU = torch.device("cpu")


class Timed(Live):
    """Sums up what a training spends on being followed."""

    def __init__(self, *arguments: Any, **about: Any) -> None:
        self.spent = 0.0
        super().__init__(*arguments, **about)

    def begin(self, *arguments: Any) -> None:
        self._timed(super().begin, *arguments)

    def show(self, *arguments: Any) -> None:
        self._timed(super().show, *arguments)

    def after_step(self, *arguments: Any, **options: Any) -> None:
        self._timed(super().after_step, *arguments, **options)

    def _timed(self, method: Callable[..., None], *arguments: Any, **options: Any) -> None:
        start = time.process_time()
        method(*arguments, **options)
        self.spent += time.process_time() - start


def default(folder: Path, steps: int) -> tuple[Params, Run, Prepared]:
    """Pix2Pix of the default experiment on its 64 px drawings, for so many steps and with as many validations as it has."""
    raw: dict[str, Any] = read_yaml(ROOT / "experiments/default.yaml", remedy="run the command in a checkout of the project")
    raw["compute"]["device"] = "cpu"
    raw["datasets"] = {"openmoji": raw["datasets"]["openmoji"] | {"kimg": steps * raw["training"]["batch_size"] / 1000, "limit": IMAGES}}
    params = parse_params(raw)
    (settings,) = params.datasets.values()
    SOURCES[settings.source].fetch(settings, folder / "raw", paired=True, root=ROOT)
    prepare(settings, folder / "raw", folder / "prepared", name="openmoji", paired=True)
    return params, Run(dataset="openmoji", method="pix2pix", seed=0), open_prepared(folder / "prepared")


@contextmanager
def following(folder: Path) -> Iterator[psutil.Process]:
    """The command, once it has nothing left to do but to look."""
    command = [sys.executable, "-m", "pipeline.cli", "follow"]
    with subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL) as process:
        try:
            time.sleep(SETTLED)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(arguments: argparse.Namespace) -> tuple[str, str]:
    torch.set_num_threads(1)
    own: dict[bool, list[float]] = {False: [], True: []}
    share: list[float] = []
    beside: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as temporary:
        folder, data = Path(temporary, "project"), Path(temporary, "data")
        folder.mkdir()
        watched = list(tracking.make(folder, arguments.runs).runs())[-1]
        tracking.timed(folder)
        remove(folder / paths.run_folder(watched))
        params, run, prepared = default(data, arguments.steps)
        with following(folder) as follower:
            for turn in range(2 * arguments.rounds):
                followed = turn % 4 in (1, 2)
                checkpoint = Checkpoint(data / f"{turn}.pt", "benchmark")
                live = Timed(CPU, folder / paths.live(watched) if followed else None, "benchmark", **watched.model_dump())
                trainer = Trainer(params, run, prepared, checkpoint, CPU, live=live)
                start = time.process_time(), cpu_seconds(follower), time.monotonic()
                with chdir(data), redirect_stderr(io.StringIO()):
                    trainer.train()
                spent, taken, passed = time.process_time() - start[0], cpu_seconds(follower) - start[1], time.monotonic() - start[2]
                own[followed].append(spent)
                beside[followed].append(taken / passed)
                if followed:
                    share.append(live.spent / spent)
                    remove(folder / paths.live(watched))
                progress("followed" if followed else "alone", f"{spent:.2f} s", f"follower {100 * taken / passed:.2f} % of a core")
        lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    if not any(f"{watched}: trains" in line for line in lines):
        raise UserError(f"{LOG}: no line says that {watched} trains; expected the follower to see it: give it more --steps")
    middle = {followed: statistics.median(values) for followed, values in own.items()}
    rows = [
        [title, f"{middle[followed]:.2f}", f"{100 * statistics.median(beside[followed]):.2f}%"]
        for title, followed in (("alone", False), ("followed", True))
    ]
    text = [
        heading(
            "Following a training", f"benchmarks.following --steps {arguments.steps} --rounds {arguments.rounds} --runs {arguments.runs}"
        ),
        f"The default Pix2Pix, {arguments.steps} steps, {arguments.rounds} times each way, one thread. Beside it `cgm follow` looks "
        f"every {SECONDS:g} s at a folder with {arguments.runs} runs, and writes to SQLite. Seconds are the processor's; medians.",
        table(["a training", "seconds", "`cgm follow`, of a core"], rows),
        f"Of a training's seconds, what it writes to be followed takes {100 * statistics.median(share):.2f}%, timed inside it. "
        "The difference of the two medians also holds whatever else the machine did. No training waits for the follower.",
    ]
    return "following", "\n\n".join(text)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.following", description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, choices=tracking.SHAPES, default=100, help="finished runs in the follower's folder")
    run_command(parser, measure, argv)


if __name__ == "__main__":
    main()
