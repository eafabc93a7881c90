"""Work in several processes, in the order in which it was given."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 64
"""Jobs a worker process takes at once."""


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(function: Callable[[T, Any], R], jobs: Sequence[T], setting: Any, processes: int) -> Iterator[R]:
    """``function(job, setting)`` for each job, in their order."""
    processes = min(processes, -(-len(jobs) // CHUNK))  # starting a process takes as long as some hundred images
    if processes <= 1:
        for job in jobs:
            yield function(job, setting)
        return
    # Spawned, not forked: a fork of a process that has threads (torch, BLAS) may hang.
    executor = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        # A window of chunks: map() would hand out all jobs at once, and hold every result that its reader hasn't taken yet.
        waiting = []
        for start in range(0, len(jobs), CHUNK):
            waiting.append(executor.submit(_several, function, jobs[start : start + CHUNK], setting))
            if len(waiting) > 2 * processes:
                yield from waiting.pop(0).result()
        for chunk in waiting:
            yield from chunk.result()
    finally:
        executor.shutdown(cancel_futures=True)


def _several(function: Callable[[T, Any], R], jobs: Sequence[T], setting: Any) -> list[R]:
    return [function(job, setting) for job in jobs]
