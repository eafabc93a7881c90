"""What training costs, beside a reference step: ``python -m benchmarks.training --write``.

The reference, :mod:`benchmarks.reference_step`, does what the public PyTorch implementation of Pix2Pix and CycleGAN does, with the same
networks, batch size and machine. Each measurement runs in a process of its own, or in one process a core at the same time
(:mod:`benchmarks.training_job`). ``--alternatives`` measures what was tried and is not used, for a section of its own. Where
``compute.device`` finds a GPU, both sides are measured on it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks import training_page
from benchmarks.page import ROOT, Lines, cores, heading, number, progress, run_command, table
from benchmarks.reference_step import write_images
from benchmarks.training_job import BESIDE, PAIRED, PICTURES, PREPARED, SOURCE, UNPAIRED, Found, Job, OurStep, measured_params, run_together
from benchmarks.training_page import INLINE, JOBS, OTHER, RUN, SIDES, Cell, Cells, Key, best_of
from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.sources.openmoji import OPENMOJI
from cgm.experiment.params import Params
from cgm.training.device import pick_device

PAPERS_BATCH = "pix2pix"
"""Also measured with the papers' batch of 1, at the largest size."""
WAYS = {False: "as it is", True: "`compute.compile`: networks through `torch.compile`"}


@dataclass(frozen=True)
class Settings:
    """How much is measured; the defaults take some twelve minutes on two cores."""

    sizes: tuple[int, ...] = (64, 256)
    seconds: float = 5.0
    """Of each cell; two steps at least. Methods without a reference step get half of it."""
    pairs: int = 800
    """Train pairs, at most."""
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Of the table of memory."""
    growth: tuple[int, int] = (10, 60)
    """Steps at which memory is compared."""
    others: int | None = None
    """Of the methods without a reference step, at most; ``None``: all."""


QUICK = Settings(sizes=(32,), seconds=0.2, pairs=16, batches=(1, 2), growth=(2, 4), others=1)


def lay_out(folder: Path, sizes: Sequence[int], pairs: int, processes: int) -> None:
    """For each size a folder below ``folder``: the prepared set of at most ``pairs`` pairs of OpenMoji, and its images as PNG files."""
    for size in sizes:
        place = folder / str(size)
        dataset = OPENMOJI.Settings(source=SOURCE, image_size=size, kimg=1.0, limit=pairs)
        OPENMOJI.fetch(dataset, place / "raw", paired=True, root=ROOT)
        prepare(dataset, place / "raw", place / PREPARED, name=SOURCE, paired=True, processes=processes)
        write_images(open_prepared(place / PREPARED), place / PICTURES)


class Bench:
    """The datasets of all sizes below a folder, and the cells that are measured on them."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings, self.cores = folder, settings, cores()
        self.load = os.getloadavg()[0]
        self.params = measured_params()
        self.batch = self.params.training.batch_size
        lay_out(folder, settings.sizes, settings.pairs, self.cores)

    def job(self, side: str, method: str, size: int, **options: object) -> Job:
        job = Job(side, 1, self.settings.seconds, method, size=size, batch=self.batch)
        return replace(job, **options)  # type: ignore[arg-type]

    def together(self, *jobs: Job) -> list[Found]:
        """What the jobs found, all at work at the same time; those of one call have one image size."""
        found = run_together(jobs, self.folder / str(jobs[0].size or self.settings.sizes[0]))
        for job, count in ((job, jobs.count(job)) for job in dict.fromkeys(jobs)):
            speed = sum(one.get("images_per_second", 0.0) for one, other in zip(found, jobs, strict=True) if other == job)
            progress(f"{count} × {job}", f"{number(speed)} images/s" if speed else "")
        return found

    def cell(self, job: Job, way: str) -> Cell:
        jobs = [replace(job, threads=1)] * self.cores if way == JOBS else [replace(job, threads=self.cores)]
        return Cell(self.together(*jobs))

    def both(self, method: str, size: int, batch: int) -> Cells:
        """Both sides, all ways."""
        jobs = {side: self.job(side, method, size, batch=batch) for side in SIDES}
        cells = {(side, way): self.cell(jobs[side], way) for side in SIDES for way in (JOBS, RUN)}
        return {**cells, ("reference", INLINE): self.cell(replace(jobs["reference"], workers=0), RUN)}

    def found(self, jobs: Sequence[Job]) -> dict[Key, Found]:
        """What each of ``jobs``, of one image size, found, as many at once as there are cores; not for measurements of speed."""
        chunks = [jobs[start : start + self.cores] for start in range(0, len(jobs), self.cores)]
        found = [one for chunk in chunks for one in self.together(*chunk)]
        return {(job.method, job.size, job.batch): one for job, one in zip(jobs, found, strict=True)}

    def best_convolution(self) -> dict[tuple[str, str], float]:
        """GFLOP/s of the chip by way and precision: the best of the convolutions, summed over the processes."""
        found = {way: self.cell(Job("convolutions", 1, self.settings.seconds), way).found for way in (JOBS, RUN)}
        return {(way, precision): best_of(found[way], precision) for way in found for precision in OTHER}

    def step_flops(self, method: str, size: int) -> float:
        """FLOPs of our step an image: convolutions and products, forward and backward; counted at batch 1, for they grow with it."""
        from torch.utils.flop_counter import FlopCounterMode

        side = OurStep(self.job("ours", method, size, batch=1, threads=self.cores), self.folder / str(size))
        with FlopCounterMode(display=False) as counter:
            side.advance()
        return float(counter.get_total_flops())


def with_reference(params: Params) -> list[str]:
    """An entry of each method that has a reference step; its variants take the same time."""
    first: dict[str, str] = {}
    for name, settings in params.methods.items():
        if settings.implementation in BESIDE:
            first.setdefault(settings.implementation, name)
    return list(first.values())


def without_reference(params: Params) -> list[tuple[str, str]]:
    """(dataset, method) of all other entries; one that stands in both groups with the same settings is one."""
    paired = [(PAIRED, name) for name, settings in params.methods.items() if settings.implementation not in BESIDE]
    unpaired = ((UNPAIRED, name) for name, settings in params.unpaired.methods.items() if settings != params.methods.get(name))
    return paired + [(dataset, name) for dataset, name in unpaired if params.unpaired.methods[name].implementation not in BESIDE]


def measure(bench: Bench) -> str:
    """The section of the page, on the CPU."""
    settings, methods = bench.settings, with_reference(bench.params)
    small, large = settings.sizes[0], settings.sizes[-1]
    peaks = bench.best_convolution()
    cells = {(method, size, bench.batch): bench.both(method, size, bench.batch) for size in settings.sizes for method in methods}
    usual = {key: cell["ours", JOBS] for key, cell in cells.items()}
    other = {
        (method, size, batch): bench.cell(bench.job("ours", method, size, precision=OTHER[cell.precision]), JOBS)
        for (method, size, batch), cell in usual.items()
    }
    papers = {
        (method, large, 1): bench.both(method, large, 1)
        for method in methods
        if bench.params.methods[method].implementation == PAPERS_BATCH and bench.batch != 1
    }
    rest = {
        (dataset, method, size): bench.cell(bench.job("ours", method, size, dataset=dataset, seconds=settings.seconds / 2), JOBS)
        for size in settings.sizes
        for dataset, method in without_reference(bench.params)[: settings.others]
    }
    by_batch = bench.found(
        [bench.job("ours", method, large, batch=batch, warm_up=1, seconds=0.0) for batch in settings.batches for method in methods]
    )
    first, last = settings.growth
    grown = bench.found([bench.job("ours", method, small, warm_up=first, steps=last - first, seconds=0.0) for method in methods])
    work = {(method, size): bench.step_flops(method, size) for method, size, _ in cells}
    options = f"--sizes {' '.join(map(str, settings.sizes))} --seconds {settings.seconds:g} --pairs {settings.pairs}"
    return "\n\n".join(
        [
            training_page.introduction(options, bench.cores, settings.seconds, bench.batch, bench.load),
            training_page.beside({**cells, **papers}, bench.cores),
            training_page.memory({**cells, **papers}, by_batch, grown, settings.growth),
            training_page.all_methods(cells, rest, bench.cores),
            training_page.precision(usual, other),
            training_page.breakdown(cells),
            training_page.share(cells, work, peaks, bench.cores),
        ]
    )


def measure_alternatives(bench: Bench) -> str:
    """The section on what was tried and is not used: one process, one thread, the smallest size."""
    lines: Lines = []
    size = bench.settings.sizes[0]
    options = f"--sizes {size} --seconds {bench.settings.seconds:g}"
    for method in with_reference(bench.params):
        cells = {compiled: Cell(bench.together(bench.job("ours", method, size, compiled=compiled))) for compiled in WAYS}
        for compiled, cell in cells.items():
            ratio = f"{cell.rate / cells[False].rate:.2f}×" if compiled else ""
            lines.append(
                [f"`{method}`", WAYS[compiled], number(cell.rate), ratio, f"{cell.found[0]['warm_up']:.1f}", f"{cell.peak_mib:.0f}"]
            )
    return "\n\n".join(
        [
            heading("Training: what was tried and is not used", f"benchmarks.training {options} --alternatives"),
            f"Ours at {size} px, batch {bench.batch}, one process, one thread. The compilation is in the first two steps, which are not\n"
            "counted as images/s.",
            table(["method", "way", "images/s", "÷ as it is", "first two steps, s", "peak MiB"], lines),
        ]
    )  # fmt: skip


def measure_gpu(bench: Bench) -> str:
    """The section of a GPU: one process of each side."""
    lines: Lines = []
    for size in bench.settings.sizes:
        for method in with_reference(bench.params):
            ours, reference = (bench.cell(bench.job(side, method, size, warm_up=20), RUN) for side in ("ours", "reference"))
            for side, cell in (("ours", ours), ("reference", reference)):
                ratio = f"{ours.rate / reference.rate:.2f}×" if side == "ours" else ""
                busy = f"{cell.step_seconds / cell.found[0]['kernels']:.2f}"
                lines.append([f"`{method}`", f"{size} px", side, cell.precision, number(cell.rate), ratio, busy, f"{cell.peak_mib:.0f}"])
    head = ["method", "images", "side", "precision", "images/s", "ours ÷ reference", "step ÷ kernels", "peak MiB"]
    return "\n\n".join(
        [
            heading("Training on a GPU", "benchmarks.training"),
            f"{torch.cuda.get_device_name()}. One process of each side. Step ÷ kernels: a step's time by what the GPU's kernels and\n"
            "copies take of it; at 1 the GPU never waits. Peak memory is the CUDA allocator's.",
            table(head, lines),
        ]
    )


def main() -> None:
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description="Measure training, and a reference step beside it.")
    parser.add_argument("--sizes", type=int, nargs="+", default=default.sizes, help="of the images, in px (default: 64 256)")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="of each measurement (default: %(default)g)")
    parser.add_argument("--pairs", type=int, default=default.pairs, help="train pairs, at most (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a short run that shows that everything works; its figures mean nothing")
    parser.add_argument("--alternatives", action="store_true", help="measure only what was tried and is not used")

    def section(arguments: argparse.Namespace) -> tuple[str, str]:
        settings = QUICK if arguments.quick else Settings(tuple(arguments.sizes), arguments.seconds, arguments.pairs)
        with tempfile.TemporaryDirectory(prefix="cgm-training-") as name:
            bench = Bench(Path(name), settings)
            if arguments.alternatives:
                return "training-alternatives", measure_alternatives(bench)
            if pick_device(bench.params.compute).type == "cuda":
                return "training-gpu", measure_gpu(bench)
            return "training", measure(bench)

    run_command(parser, section)


if __name__ == "__main__":
    main()
