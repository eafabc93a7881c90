"""The second part: how fast, beside the reference step; captured and plain, alone and several at once."""

from __future__ import annotations

import datetime
import json
import os
import platform
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.clock import Children, Clock
from benchmarks.page import ROOT, cores, machine, number
from benchmarks.training import lay_out, with_reference, without_reference
from benchmarks.training_job import PAIRED, Found, Job, measured_params
from cgm.core.files import write_json
from cgm.experiment.params import Params, Run
from pipeline.code import Code, training_code

REFERENCE, PLAIN, CAPTURED = "reference", "plain", "captured"
TOLD = ("side", "method", "dataset", "size", "batch", "captured", "name", "count", "mps")
"""What a line says of a measurement."""


@dataclass(frozen=True)
class Extent:
    """What is measured, the most telling first."""

    sizes: tuple[int, ...]
    batches: tuple[int, ...]
    ways: tuple[str, ...]
    together: tuple[int, ...]
    """Runs at once."""
    shared: tuple[int, ...]
    """Runs at once through NVIDIA's Multi-Process Service, where it is there."""
    pairs: int
    seconds: float
    """Of each measurement."""
    warm_up: int
    side: int
    """Rows of the matrices whose product is the peak."""
    images: int
    """That the judge looks at."""
    others: int | None = None
    """Methods without a reference step, at most; ``None``: all."""


ON_CUDA = Extent(
    sizes=(64, 256, 128), batches=(8, 1, 64), ways=(PLAIN, CAPTURED, REFERENCE), together=(2, 4, 8), shared=(4, 8),
    pairs=128, seconds=1.0, warm_up=8, side=8192, images=512,
)  # fmt: skip
REHEARSAL = Extent(
    sizes=(32,), batches=(2,), ways=(PLAIN, REFERENCE), together=(2,), shared=(),
    pairs=16, seconds=0.2, warm_up=1, side=256, images=8, others=1,
)  # fmt: skip
"""On the CPU: everything once, in small. Its figures mean nothing, and a CPU has no CUDA graphs."""


def code(params: Params) -> dict[str, str]:
    """What a measurement is of: the fingerprint of each method's training code, by its name in params.yaml."""
    found = Code(ROOT)
    runs = [Run(dataset=dataset, method=method, seed=params.seeds[0]) for dataset in params.datasets for method in params.methods]
    return {run.method: training_code(params, run, found) for run in runs}


class Measurements:
    """What has been measured; each one is kept as soon as it is there (``measurements.json``)."""

    def __init__(self, clock: Clock, until: float, device: str, out: Path, work: Path) -> None:
        self.clock, self.until, self.out, self.work = clock, until, out, work
        self.extent = ON_CUDA if device == "cuda" else REHEARSAL
        self.params = measured_params()
        self.record: dict[str, Any] = {
            "gpu": torch.cuda.get_device_name() if device == "cuda" else "",
            "machine": machine(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "date": datetime.date.today().isoformat(),
            "minutes": clock.seconds / 60,
            "code": code(self.params),
            "found": [],
        }
        self._children = Children()
        self._worker: subprocess.Popen[str] | None = None

    def measure(self) -> None:
        lay_out(self.work, self.extent.sizes, self.extent.pairs, cores())
        self.clock.say("images of", ", ".join(f"{size} px" for size in self.extent.sizes), "are laid out")
        asked = [*self.questions()]
        with self._children:
            done = sum(self._ask(*question) for question in asked if self.clock.gone < self.until)
            several = [(count, way) for way in ("", "MPS") for count in (self.extent.shared if way else self.extent.together)]
            done += sum(self._together(count, way) for count, way in several if self.clock.gone < self.until)
        self.clock.say("measurements", f"{done} of {len(asked) + len(several)}")

    def questions(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The kind of a measurement and what it takes, in the order of their weight."""
        extent, methods = self.extent, with_reference(self.params)
        yield "peak", {"side": extent.side, "seconds": extent.seconds / 2}
        for batch in extent.batches:
            for size in extent.sizes:
                for method in methods:
                    for way in extent.ways:
                        profiled = batch == extent.batches[0] and way != REFERENCE
                        yield "step", asdict(self._job(method, size, batch, way, profiled=profiled))
                    if batch == extent.batches[0]:
                        yield "work", asdict(self._job(method, size, 1, PLAIN))
            if batch == extent.batches[0]:
                judge = self.params.evaluation.judge
                yield "judge", {"name": judge, "size": extent.sizes[0], "images": extent.images, "seconds": extent.seconds}
                for dataset, method in without_reference(self.params)[: extent.others]:
                    for way in extent.ways:
                        if way != REFERENCE:
                            yield "step", asdict(self._job(method, extent.sizes[0], batch, way, dataset=dataset))

    def _job(self, method: str, size: int, batch: int, way: str, dataset: str = PAIRED, profiled: bool = False) -> Job:
        side = REFERENCE if way == REFERENCE else "ours"
        return Job(
            side, 1, self.extent.seconds, method, dataset=dataset, size=size, batch=batch, captured=way == CAPTURED, profiled=profiled,
            warm_up=self.extent.warm_up,
        )  # fmt: skip

    def _ask(self, kind: str, asked: dict[str, Any]) -> int:
        """Whether there is an answer."""
        if self._worker is None or self._worker.poll() is not None:
            self._worker = self._children.start([sys.executable, "-m", "benchmarks.gpu.worker", str(self.work)], talk=True)
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(json.dumps({"kind": kind, **asked}) + "\n")
        self._worker.stdin.flush()
        ready, _, _ = select.select([self._worker.stdout], [], [], max(0.0, self.until - self.clock.gone))
        if not ready:  # out of time: what isn't whole is not there
            self._children.stop(self._worker)
            return 0
        line = self._worker.stdout.readline()
        answer = json.loads(line) if line else {"error": f"the process ended with exit code {self._worker.wait()}"}
        self._keep(kind, asked, answer)
        return int("error" not in answer)

    def _together(self, count: int, way: str) -> int:
        """``count`` runs of one method side by side, each captured where that is measured."""
        method, size, batch = with_reference(self.params)[0], self.extent.sizes[0], self.extent.batches[0]
        done = 0
        with multi_process_service() if way == "MPS" else shared_in_turn() as environment:
            if environment is None:
                self.clock.say("several at once through MPS", "not measured: nvidia-cuda-mps-control can't be had here")
                return 0
            for each in self.extent.ways:
                if each != REFERENCE and self.clock.gone < self.until:
                    job = self._job(method, size, batch, each)
                    answers = self._side_by_side([job] * count, environment)
                    if answers:
                        rate = sum(answer["images_per_second"] for answer in answers)
                        self._keep("together", {"count": count, "mps": way == "MPS", **asdict(job)}, {"images_per_second": rate})
                        done = 1
        return done

    def _side_by_side(self, jobs: Sequence[Job], environment: dict[str, str]) -> list[Found]:
        """What each found; empty where one fails or the time is up. (Each in a process of its own that waits for all to be ready.)"""
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.training_job"]
        folder = self.work / str(jobs[0].size)
        children = [
            self._children.start([*command, json.dumps(asdict(job)), str(folder)], environment=environment, talk=True) for job in jobs
        ]
        found: list[Found] = []
        try:
            for word in ("ready", "answer"):
                for child in children:
                    line = self._line(child)
                    if not line:
                        return []
                    if word == "answer":
                        found.append(json.loads(line))
                if word == "ready":
                    for child in children:
                        assert child.stdin is not None
                        child.stdin.write("go\n")
                        child.stdin.flush()
            return found
        finally:
            for child in children:
                self._children.stop(child)

    def _line(self, child: subprocess.Popen[str]) -> str:
        assert child.stdout is not None
        ready, _, _ = select.select([child.stdout], [], [], max(0.0, self.until - self.clock.gone))
        return child.stdout.readline() if ready else ""

    def _keep(self, kind: str, asked: dict[str, Any], answer: Found) -> None:
        self.record["found"].append({"kind": kind, "asked": asked, "found": answer})
        write_json(self.out / "measurements.json", self.record)
        told = {name: asked[name] for name in TOLD if asked.get(name)}
        result = answer.get("error") or (f"{number(answer['images_per_second'])} images/s" if "images_per_second" in answer else "measured")
        self.clock.say(kind, " ".join(name if value is True else f"{name}={value}" for name, value in told.items()), result)


@contextmanager
def shared_in_turn() -> Iterator[dict[str, str] | None]:
    """Processes take turns on the GPU, as they do by themselves."""
    yield {}


@contextmanager
def multi_process_service() -> Iterator[dict[str, str] | None]:
    """NVIDIA's Multi-Process Service, by which kernels of several processes run at the same time; None where it can't be had."""
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mps-") as name:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": name, "CUDA_MPS_LOG_DIRECTORY": name}
        started = subprocess.run([control, "-d"], env=os.environ | environment, capture_output=True, check=False, timeout=20)
        try:
            yield environment if started.returncode == 0 else None
        finally:
            subprocess.run([control], input="quit\n", text=True, env=os.environ | environment, capture_output=True, check=False, timeout=20)
