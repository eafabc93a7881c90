"""Measures in one process, since each start costs seconds: a line of JSON asks, a line of JSON answers.

``{"kind": "step", …}`` is a :class:`benchmarks.training_job.Job`; the other kinds have keys of their own.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.training_job import Found, Job, OurStep, train
from cgm.core.errors import UserError
from cgm.evaluation.judges import BATCH, Judge
from cgm.networks.fixed import FIXED

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def step(folder: Path, **job: Any) -> Found:
    """Images/s, seconds a step, memory; on a GPU the seconds of its kernels, where ``profiled``."""
    asked = Job(**job)
    found, _ = train(asked, folder / str(asked.size), lambda: None)
    return {name: found[name] for name in ("images_per_second", "seconds_per_step", "peak_mib", "precision", "kernels") if name in found}


def work(folder: Path, **job: Any) -> Found:
    """FLOPs of one of our steps: convolutions and products, forward and backward; a multiplication and an addition are two."""
    from torch.utils.flop_counter import FlopCounterMode

    asked = Job(**job)
    side = OurStep(asked, folder / str(asked.size))
    with FlopCounterMode(display=False) as counter:
        side.advance()
    return {"flops": float(counter.get_total_flops()), "images": asked.batch}


def peak(folder: Path, side: int, seconds: float) -> Found:
    """FLOP/s of the product of two square matrices, by precision, with ``side`` rows."""
    found = {}
    for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        a, b = (torch.randn(side, side, device=DEVICE).to(dtype) for _ in range(2))
        found[name] = 2.0 * side**3 * _rate(lambda a=a, b=b: a @ b, seconds)
    return found


def judge(folder: Path, name: str, size: int, images: int, seconds: float) -> Found:
    """Images/s of a judge, features and perceptual embeddings of ``size`` px, from uint8 in memory."""
    eye = Judge(FIXED[name].guide(DEVICE))
    pictures = np.random.default_rng(0).integers(0, 256, (images, size, size, 3), dtype=np.uint8)

    def look() -> None:
        for start in range(0, images, BATCH):
            eye.look(pictures[start : start + BATCH])

    return {"images_per_second": images * _rate(look, seconds)}


KINDS: dict[str, Callable[..., Found]] = {"step": step, "work": work, "peak": peak, "judge": judge}


def _wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def _rate(call: Callable[[], object], seconds: float) -> float:
    """Calls a second, after one that isn't counted; at least one."""
    call()
    _wait()
    calls, start = 0, time.perf_counter()
    while not calls or time.perf_counter() - start < seconds:
        call()
        calls += 1
        _wait()
    return calls / (time.perf_counter() - start)


def main() -> None:
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            found = KINDS[asked.pop("kind")](folder, **asked)
        except (UserError, RuntimeError) as error:  # torch's errors, of memory for one: the next measurement can go well
            found = {"error": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"}
        print(json.dumps(found), flush=True)
        gc.collect()
        if DEVICE.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main()
