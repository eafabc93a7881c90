"""What a stage says when there is too little memory for it: one line, no traceback. Imports no torch, which some stages do without."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cgm.core.errors import UserError

EXHAUSTED = re.compile(r"out of memory|can't allocate memory|not enough memory|_ALLOC_FAILED")
"""How a ``RuntimeError`` of torch says it: CUDA's allocator and driver; the CPU's allocator, also on Windows; cuBLAS and cuDNN."""
ON_GPU = re.compile(r"CUDA|CUBLAS|CUDNN")
ASKED = re.compile(r"allocate ([\d.]+ (?:bytes|[KMGTPE]iB))")
"""In the messages of torch (on CUDA and on the CPU) and of numpy."""
FREE = re.compile(r"total capacity of (.+?) of which (.+?) is free")
"""In the messages of CUDA's allocator."""
GROWS_WITH = {
    "train": "training.batch_size, the dataset's image_size or networks.*.width",
    "translate": "the dataset's image_size or networks.*.width",
    "round_trip": "the dataset's image_size or networks.*.width",
}
"""The settings that make a stage need more; of any other stage it is the images' size alone."""
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


@contextmanager
def shortage_told(stage: str, values: Mapping[str, str], remedy: str = "") -> Iterator[None]:
    """Turn an error for want of memory, of Python, numpy or torch, into a :class:`UserError`; all others pass.

    ``stage`` and ``values``: the command's, ``train`` and its ``dataset``, ``method`` and ``seed``. ``remedy``: where it isn't a stage's.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = " ".join(str(error).split())
        if not (isinstance(error, MemoryError) or EXHAUSTED.search(text)):
            raise
        run = " ".join([stage, *(f"{key}={value}" for key, value in values.items())])
        raise UserError(f"{run}: out of memory: {_found(text)}; {remedy or _remedy(stage, text)}") from None


def _found(text: str) -> str:
    """How much was asked for and what there is, as far as ``text``, the error's message, and the system tell."""
    amount = ASKED.search(text)
    asked = f"found a request for {_readable(amount[1])}" if amount else "found a request for more than there is"
    if ON_GPU.search(text):
        free = FREE.search(text)
        return f"{asked} of the GPU's memory" + (f", expected at most the {free[2]} that are free of its {free[1]}" if free else "")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if limit != resource.RLIM_INFINITY and limit < machine:
        return f"{asked}, expected no more in all than the {_readable(f'{limit} bytes')} that ulimit -v allows"
    return f"{asked}, expected no more in all than the machine's {_readable(f'{machine} bytes')}"


def _remedy(stage: str, text: str) -> str:
    settings = GROWS_WITH.get(stage, "the dataset's image_size")
    fewer = "--resources gpu=1" if ON_GPU.search(text) else "--cores 1"
    return f"lower {settings} in params.yaml, or run fewer jobs at once (snakemake {fewer} all)"


def _readable(amount: str) -> str:
    """``8589934592 bytes`` → ``8 GiB``; what has a larger unit already stays."""
    number, _, unit = amount.partition(" ")
    if unit != "bytes":
        return amount
    size, place = float(number), 0
    while size >= 1024 and place + 1 < len(UNITS):
        size, place = size / 1024, place + 1
    return f"{size:.4g} {UNITS[place]}"
