"""The section that :mod:`benchmarks.training` writes: tables and ratios of what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.page import Lines, heading, number, table
from benchmarks.reference_step import CROP, LOAD, READ_EVERY, WORKERS
from benchmarks.training_job import CONVOLUTIONS, UNPAIRED, Found

JOBS, RUN, INLINE = "jobs", "run", "inline"
"""The ways to use the machine: one single-thread process a core, all at the same time; one process with a thread a core; the latter
without loader processes (only the reference)."""
PARTS = ("loading", "forward G", "forward D", "update G", "update D")
OTHER = {"float32": "bfloat16", "bfloat16": "float32"}
SIDES = ("ours", "reference")


@dataclass(frozen=True)
class Cell:
    """What the processes of a cell found together."""

    found: Sequence[Found]

    @property
    def rate(self) -> float:
        """Images/s, summed over the processes."""
        return sum(one["images_per_second"] for one in self.found)

    @property
    def peak_mib(self) -> float:
        """Of the process that held most."""
        return max(one["peak_mib"] for one in self.found)

    @property
    def step_seconds(self) -> float:
        return statistics.mean(one["seconds_per_step"] for one in self.found)

    @property
    def precision(self) -> str:
        return self.found[0]["precision"]

    def part(self, name: str) -> float:
        """Seconds of a part of a step; 0 where the method has no such part."""
        return statistics.mean(one["parts"].get(name, 0.0) for one in self.found)


Cells = Mapping[tuple[str, str], Cell]
"""By side and way."""
Key = tuple[str, int, int]
"""Method, image size in px, batch."""


def best_of(found: Sequence[Found], precision: str) -> float:
    """The best case, each summed over the processes that were at work together."""
    return max(map(sum, zip(*(one[precision] for one in found), strict=True)))


def introduction(options: str, cores: int, seconds: float, batch: int, load: float) -> str:
    """``load``: of the machine before the measurement, in processes at work."""
    return f"""{heading("Training", f"benchmarks.training {options}")}
Load average before the start: {load:.2f}; a process with several threads loses far more to a busy machine than one with one thread.

Images/s with the loading of the data, {batch} to a batch unless a table says otherwise, OpenMoji; an image is one that G sees as x.
At least {seconds:g} s and two steps a cell, half of it for methods without a reference step, after two steps that are not counted.
Ours is the project's trainer, losses read as often as the experiment has them, without its validations and checkpoints,
which the reference has not. The reference step does what the public PyTorch implementation does: float32, PNG files read,
resized to {LOAD} for {CROP} px and cropped with Pillow in {WORKERS} loader processes, `torch.optim.Adam` with its defaults, losses read
every {READ_EVERY} iterations. Networks, batch size and learning rate are those of `params.yaml` on both sides.

Two ways to use the machine: **{cores} jobs**, one single-thread process a core, all at the same time, their images/s summed, which is
how the pipeline runs; and **one run** with {cores} threads, which is how the public implementation is started. Loader processes come
on top of the reference's, in both ways; *inline* is one run of it that loads in its own process instead."""


def ratios(cells: Cells) -> tuple[float, float, float]:
    """Ours ÷ reference: the pipeline's way against one process with all threads; one run each; as many jobs each."""
    rate = {key: cell.rate for key, cell in cells.items()}
    ours, run = rate["ours", JOBS], rate["reference", RUN]
    return ours / run, rate["ours", RUN] / run, ours / rate["reference", JOBS]


def beside(cells: Mapping[Key, Cells], cores: int) -> str:
    """Images/s and their ratios."""
    speeds: Lines = []
    compared: Lines = []
    for (method, size, batch), cell in cells.items():
        name = [f"`{method}`", f"{size} px", str(batch)]
        speeds.append([*name, cell["ours", JOBS].precision, *(number(cell[key].rate) for key in cell)])
        compared.append([*name, *(f"{ratio:.2f}×" for ratio in ratios(cell))])
    jobs = f"{cores} jobs"
    names = {JOBS: jobs, RUN: "one run", INLINE: "inline"}
    columns = [f"{side}, {names[way]}" for side, way in next(iter(cells.values()))]
    return "\n\n".join(
        [
            "### Beside a reference step\n\nImages/s.",
            table(["method", "images", "batch", "ours in", *columns], speeds),
            "Ours ÷ reference. The first ratio compares the machine's throughput with each side run as it usually is: it holds what our\n"
            "step, our precision and jobs side by side give together. The second compares one run with all threads on both sides, the\n"
            "third as many single-thread processes on both sides, where the layout of the jobs gives nothing.",
            table(["method", "images", "batch", f"{jobs} ÷ one run", "one run ÷ one run", f"{jobs} ÷ {jobs}"], compared),
        ]
    )


def memory(cells: Mapping[Key, Cells], by_batch: Mapping[Key, Found], grown: Mapping[Key, Found], growth: tuple[int, int]) -> str:
    sides = [
        [f"`{method}`", f"{size} px", str(batch), *(f"{cell[side, way].peak_mib:.0f}" for side in SIDES for way in (JOBS, RUN))]
        for (method, size, batch), cell in cells.items()
    ]
    batches = sorted({batch for _, _, batch in by_batch})
    rows = {(method, size): [f"{by_batch[method, size, batch]['peak_mib']:.0f}" for batch in batches] for method, size, _ in by_batch}
    lines: Lines = []
    for (method, size, batch), found in grown.items():
        before, after = found["resident_mib"]
        lines.append([f"`{method}`", f"{size} px", str(batch), f"{before:.0f}", f"{after:.0f}", f"{after - before:+.0f}"])
    return "\n\n".join(
        [
            "### Peak memory\n\nMiB of one job: VmHWM, which holds imports, weights and the pages of the data that were read. Of the\n"
            "reference's loader processes only the memory that they don't share counts; batches that wait between them don't.",
            table(["method", "images", "batch", "ours, a job", "ours, one run", "reference, a job", "reference, one run"], sides),
            "Ours by batch, one thread:",
            table(
                ["method", "images", *(f"batch {batch}" for batch in batches)],
                [[f"`{method}`", f"{size} px", *row] for (method, size), row in rows.items()],
            ),
            "Resident after so many steps, which shows whether memory is constant over the budget:",
            table(["method", "images", "batch", *(f"{step} steps" for step in growth), "growth"], lines),
        ]
    )


def all_methods(cells: Mapping[Key, Cells], rest: Mapping[tuple[str, str, int], Cell], cores: int) -> str:
    """``rest``: the cells of the other methods by dataset, method and size."""
    rows: dict[str, dict[int, Cell]] = {}
    for (method, size, _), cell in cells.items():
        rows.setdefault(f"`{method}`", {})[size] = cell["ours", JOBS]
    for (dataset, method, size), alone in rest.items():
        rows.setdefault(f"`{method}`" + (", unpaired" if dataset == UNPAIRED else ""), {})[size] = alone
    sizes = sorted({size for _, size, _ in cells})
    return "\n\n".join(
        [
            f"### All methods\n\nOurs, {cores} jobs: images/s together, and the peak MiB of one job.",
            table(
                ["method", *(f"images/s, {size} px" for size in sizes), *(f"MiB, {size} px" for size in sizes)],
                [
                    [name, *(number(row[size].rate) for size in sizes), *(f"{row[size].peak_mib:.0f}" for size in sizes)]
                    for name, row in rows.items()
                ],
            ),
        ]
    )


def precision(precisions: Mapping[Key, Cell], others: Mapping[Key, Cell]) -> str:
    lines: Lines = []
    for (method, size, batch), cell in precisions.items():
        by = {cell.precision: cell.rate, OTHER[cell.precision]: others[method, size, batch].rate}
        lines.append([f"`{method}`", f"{size} px", *map(number, (by["float32"], by["bfloat16"])), f"{by['bfloat16'] / by['float32']:.2f}×"])
    return "### What precision alone gives\n\nOurs, images/s of all jobs together.\n\n" + table(
        ["method", "images", "float32", "bfloat16", "bfloat16 ÷ float32"], lines
    )


def shares(cell: Cell) -> list[float]:
    """The parts of a step, of which the optimisers, and what is in none of them, as shares of the step."""
    parts = [cell.part(name) / cell.step_seconds for name in PARTS]
    return [*parts, 1.0 - sum(parts), cell.part("optimisers") / cell.step_seconds]


def breakdown(cells: Mapping[Key, Cells]) -> str:
    lines = []
    for (method, size, _), cell in cells.items():
        ours = cell["ours", JOBS]
        lines.append([f"`{method}`", f"{size} px", f"{1000 * ours.step_seconds:.0f}", *(f"{100 * share:.1f}%" for share in shares(ours))])
    head = ["method", "images", "ms a step", "loading", "forward through G", "forward through D", "G's update", "D's update", "other"]
    return "\n\n".join(
        [
            "### Where a step's time goes",
            "Ours, one of the jobs that run side by side. An update is the backward pass and the optimiser's step; the optimisers' share\n"
            "alone stands in the last column. Other: losses, pools, concatenation, the history's sums.",
            table([*head, "of which optimisers"], lines),
        ]
    )


def share(cells: Mapping[Key, Cells], work: Mapping[tuple[str, int], float], peaks: Mapping[tuple[str, str], float], cores: int) -> str:
    lines: Lines = []
    for (method, size, _), cell in cells.items():
        for way, label in ((JOBS, f"{cores} jobs"), (RUN, "one run")):
            ours = cell["ours", way]
            done, best = work[method, size] * ours.rate / 1e9, peaks[way, ours.precision]
            name = [f"`{method}`", f"{size} px", label, ours.precision]
            lines.append([*name, f"{work[method, size] / 1e9:.2f}", f"{done:.0f}", f"{best:.0f}", f"{100 * done / best:.0f}%"])
    return "\n\n".join(
        [
            "### Share of the chip's best convolution",
            "GFLOP of a step's convolutions and products (`torch.utils.flop_counter`; a multiplication and an addition are two), times\n"
            f"images/s, beside the best GFLOP/s of {len(CONVOLUTIONS)} large forward convolutions, contiguous or channels-last, in the\n"
            "same precision with as many processes and threads. A step also normalises, pads, loads and updates, which is not counted.",
            table(["method", "images", "way", "precision", "GFLOP an image", "GFLOP/s", "best GFLOP/s", "share"], lines),
        ]
    )  # fmt: skip
