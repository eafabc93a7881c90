"""One measurement of :mod:`benchmarks.training` in a process of its own: our training, the reference's, or large convolutions.

A process takes a few steps that are not counted, says that it is ready, and waits. Processes that are measured together start together.
Each goes on working after it has answered, until it is stopped, so that none is measured while another one rests.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

from benchmarks.page import ROOT, thread_limits
from cgm.core.errors import UserError
from cgm.data.prepared import open_prepared
from cgm.data.sources.openmoji import OPENMOJI
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import load_params
from cgm.training.checkpoint import Checkpoint
from cgm.training.device import pick_device
from cgm.training.trainer import Trainer

SOURCE = "openmoji"
PAIRED, UNPAIRED = "paired", "unpaired"
"""The dataset's name in either group of methods."""
PREPARED, PICTURES = "prepared", "pictures"
CONVOLUTIONS = ((8, 128, 128, 64, 3), (8, 256, 256, 32, 3), (8, 256, 256, 16, 3), (8, 64, 64, 128, 3), (8, 128, 256, 64, 4))
"""Images, channels in and out, side, kernel: stride 1, as large as those of the papers' networks."""
PROFILED = 3
"""Steps under the profiler on a GPU."""


@dataclass(frozen=True)
class Job:
    """What one process does. ``precision`` empty: that of ``params.yaml``."""

    side: str
    threads: int
    seconds: float
    method: str = ""
    dataset: str = PAIRED
    size: int = 0
    batch: int = 0
    precision: str = ""
    compiled: bool = False
    """Networks through ``torch.compile``."""
    captured: bool = False
    """The step as a CUDA graph."""
    profiled: bool = True
    """On a GPU, its kernels are summed as well, which takes some seconds more."""
    workers: int | None = None
    """Loader processes of the reference; ``None``: the implementation's default."""
    warm_up: int = 2
    """Steps that are not counted."""
    steps: int = 2
    """The least number of steps that are counted."""

    def __str__(self) -> str:
        named = (self.side, self.method, f"{self.size} px" if self.size else "", f"batch {self.batch}" if self.batch else "")
        loading = "" if self.workers is None else f"{self.workers} loader processes"
        return ", ".join(
            filter(
                None, (*named, self.precision, "compiled" * self.compiled, "captured" * self.captured, f"{self.threads} thread(s)", loading)
            )
        )


BESIDE = ("pix2pix", "cyclegan")
"""The implementations that have a reference step."""


def measured_params() -> Params:
    """``params.yaml``, with what has a reference step among the methods of pairs, where it is measured."""
    params = load_params(ROOT / "params.yaml")
    beside = {name: settings for name, settings in params.unpaired.methods.items() if settings.implementation in BESIDE}
    return params.model_copy(update={"methods": {**beside, **params.methods}})


def experiment(job: Job) -> tuple[Params, Run]:
    """:func:`measured_params` with the job's dataset, batch, threads and precision, and a budget that no measurement reaches."""
    params = measured_params()
    dataset = OPENMOJI.Settings(source=SOURCE, image_size=job.size, kimg=1000.0)
    compute = {"threads": job.threads, "compile": job.compiled, "capture": job.captured} | (
        {"precision": job.precision} if job.precision else {}
    )
    changed = {
        "compute": params.compute.model_copy(update=compute),
        "training": params.training.model_copy(update={"batch_size": job.batch}),
        "datasets": {PAIRED: dataset},
        "unpaired": params.unpaired.model_copy(update={"datasets": {UNPAIRED: dataset}}),
    }
    return params.model_copy(update=changed), Run(dataset=job.dataset, method=job.method, seed=params.seeds[0])


class TimedTrainer(Trainer):
    """The project's trainer, which also times the parts of its steps. Only on the CPU, since they overlap on a GPU."""

    def __init__(self, params: Params, run: Run, folder: Path) -> None:
        device = pick_device(params.compute)
        super().__init__(params, run, open_prepared(folder / PREPARED), Checkpoint(folder / "no-checkpoint", ""), device)
        self.parts: dict[str, float] = defaultdict(float)
        """Seconds of each part of all steps so far."""
        self.computed_in = ""
        """The precision of the last forward pass."""
        self._starts: dict[str, float] = {}
        if device.type == "cpu" and not params.compute.compile:
            for player, networks in self.method.players.items():
                for network in networks.values():
                    network.register_forward_pre_hook(lambda *_, player=player: self._begin(f"forward {player}"))
                    network.register_forward_hook(lambda *_, player=player: self._end(f"forward {player}"))
        self.method.generator.register_forward_pre_hook(self._note_precision)

    def advance(self) -> None:
        self._begin("loading")  # until the first network starts
        super().advance()

    def update(self, player: str, terms: Mapping[str, torch.Tensor]) -> None:
        self._begin(f"update {player}")
        super().update(player, terms)
        self._end(f"update {player}")

    def optimiser_seconds(self, repeats: int = 3) -> float:
        """Seconds of one step of all optimisers, with the last gradients. It changes the weights, so it comes last."""
        start = time.perf_counter()
        for _ in range(repeats):
            for optimiser in self.optimisers.values():
                optimiser.step()
        return (time.perf_counter() - start) / repeats

    def _begin(self, part: str) -> None:
        if part.startswith("forward") and "loading" in self._starts:
            self._end("loading")
        self._starts[part] = time.perf_counter()

    def _end(self, part: str) -> None:
        self.parts[part] += time.perf_counter() - self._starts.pop(part)

    def _note_precision(self, *_: object) -> None:
        self.computed_in = "bfloat16" if torch.is_autocast_enabled(self.device.type) else "float32"


class OurStep:
    """The project's own trainer, step by step; losses are read as often as in the experiment's first dataset."""

    def __init__(self, job: Job, folder: Path) -> None:
        params, run = experiment(job)
        budget = next(iter(load_params(ROOT / "params.yaml").all_datasets.values())).kimg * 1000
        self.read_every = max(1, round(budget / job.batch / params.training.log_points))
        self.trainer = TimedTrainer(params, run, folder)
        self.device = self.trainer.device
        self.parts = self.trainer.parts if self.device.type == "cpu" and not params.compute.compile else {}

    @property
    def precision(self) -> str:
        return self.trainer.computed_in

    def advance(self) -> int:
        self.trainer.advance()
        if self.trainer.step % self.read_every == 0:
            self.trainer.history.close_row({}, self.trainer.world, {})
        return self.trainer.params.training.batch_size


Go = Callable[[], None]
Found = dict[str, Any]


def train(job: Job, folder: Path, go: Go) -> tuple[Found, Callable[[], object]]:
    """Steps of one side. Returns the measurements, and a function that keeps the process at work."""
    if job.side == "reference":
        from benchmarks.reference_step import WORKERS, ReferenceStep

        params, run = experiment(job)
        side: Any = ReferenceStep(params, run, folder / PICTURES, job.size, WORKERS if job.workers is None else job.workers)
    else:
        side = OurStep(job, folder)
    start = time.perf_counter()
    for _ in range(job.warm_up):
        side.advance()
    warm_up = time.perf_counter() - start
    _wait_for(side.device)
    go()
    before, resident = dict(getattr(side, "parts", {})), _resident_mib()
    images = steps = 0
    start = time.perf_counter()
    while steps < job.steps or time.perf_counter() - start < job.seconds:
        images += side.advance()
        steps += 1
    _wait_for(side.device)
    seconds = time.perf_counter() - start
    found: Found = {
        "images_per_second": images / seconds,
        "seconds_per_step": seconds / steps,
        "warm_up": warm_up,
        "peak_mib": peak_mib(side.device),
        "resident_mib": [resident, _resident_mib()],
        "precision": getattr(side, "precision", "float32"),
        "parts": {name: (total - before.get(name, 0.0)) / steps for name, total in getattr(side, "parts", {}).items()},
    }
    if found["parts"]:
        found["parts"]["optimisers"] = side.trainer.optimiser_seconds()
    if side.device.type == "cuda" and job.profiled:
        found["kernels"] = _kernel_seconds(side.advance)
    return found, side.advance


def convolve(job: Job, folder: Path, go: Go) -> tuple[Found, Callable[[], object]]:
    """GFLOP/s (a multiplication and an addition are two) of forward convolutions, best of both memory formats, in float32 and bfloat16."""
    cases: dict[str, list[tuple[Callable[[], object], float]]] = {}
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        cases[precision] = []
        for images, inputs, outputs, side, kernel in CONVOLUTIONS:
            for layout in (torch.contiguous_format, torch.channels_last):
                layer = nn.Conv2d(inputs, outputs, kernel, bias=False).to(dtype=dtype, memory_format=layout)
                x = torch.randn(images, inputs, side, side).to(dtype=dtype, memory_format=layout)
                work = 2.0 * images * outputs * (side - kernel + 1) ** 2 * inputs * kernel**2
                cases[precision].append((_inference(layer, x), work))
    for case in cases.values():
        for run, _ in case:
            run()
    go()
    slice_seconds = job.seconds / sum(map(len, cases.values()))
    found = {precision: [work * _rate(run, slice_seconds) / 1e9 for run, work in case] for precision, case in cases.items()}
    return found, cases["float32"][0][0]


def run_together(jobs: Sequence[Job], folder: Path) -> list[Found]:
    """What each of ``jobs``, all at work at the same time, found.

    Raises :class:`UserError` where one fails.
    """
    processes: list[subprocess.Popen[str]] = []
    try:
        for job in jobs:
            # A compiler's cache of its own, or a second run would time the cache of the first.
            limits = {**thread_limits(job.threads), "TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.training_job", json.dumps(asdict(job)), str(folder)]
            processes.append(
                subprocess.Popen(
                    command, cwd=ROOT, env=os.environ | limits, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                    start_new_session=True,
                )
            )  # fmt: skip
        for process, job in zip(processes, jobs, strict=True):
            _answer(process, job)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(_answer(process, job)) for process, job in zip(processes, jobs, strict=True)]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with its loader's processes
            process.wait()


def peak_mib(device: torch.device) -> float:
    """Most memory that a training held: of the CUDA allocator, or VmHWM, with what its loader's processes hold that they don't share."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert peak is not None
    return int(peak[1]) / 1024 + sum(child.memory_full_info().uss for child in psutil.Process().children(recursive=True)) / 2**20


def main() -> None:
    job, folder = Job(**json.loads(sys.argv[1])), Path(sys.argv[2])
    torch.set_num_threads(job.threads)

    def go() -> None:
        print("ready", flush=True)
        if not sys.stdin.readline():
            sys.exit("error: nobody waits for this measurement any more")

    found, work = (convolve if job.side == "convolutions" else train)(job, folder, go)
    print(json.dumps(found), flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        work()


def _answer(process: subprocess.Popen[str], job: Job) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise UserError(f"{job}: exit code {process.wait()} before it had answered; its own message stands above")
    return line


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _resident_mib() -> float:
    return psutil.Process().memory_info().rss / 2**20


def _inference(layer: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    @torch.inference_mode()
    def run() -> torch.Tensor:
        return layer(x)

    return run


def _rate(run: Callable[[], object], seconds: float) -> float:
    """Calls a second over ``seconds``."""
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not calls:
        run()
        calls += 1
    return calls / elapsed


def _kernel_seconds(step: Callable[[], object]) -> float:
    """Seconds that the GPU's kernels and copies take in a step, summed."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(PROFILED):
            step()
        torch.cuda.synchronize()
    on_device = (event for event in profiler.key_averages() if event.device_type == DeviceType.CUDA)
    return sum(event.self_device_time_total for event in on_device) / 1e6 / PROFILED


if __name__ == "__main__":
    main()
