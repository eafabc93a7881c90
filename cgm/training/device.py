"""Device, precision and memory layout of a training."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from cgm.core.errors import UserError
from cgm.experiment.settings import Compute

Precision = Literal["float32", "bfloat16"]
NATIVE_BFLOAT16 = ("amx_bf16", "avx512_bf16")
"""Capabilities, as torch names them, of the CPUs that multiply bfloat16 themselves; on others it is emulated, and slower than float32."""


def pick_device(compute: Compute) -> torch.device:
    """The device of ``compute.device``, this process's own where several train together; sets thread count and determinism switches."""
    torch.set_num_threads(compute.threads)
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise UserError("params.yaml: compute.device: found 'cuda', but torch sees no CUDA device; set 'auto' or 'cpu'")
    if compute.device == "cpu" or not torch.cuda.is_available():
        # On the CPU everything used here is deterministic for a fixed number of threads, and the switch below costs seconds of imports.
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
    # Not use_deterministic_algorithms, which sets the same switch but imports the whole compiler: seconds of every job.
    torch.set_deterministic_debug_mode("error" if compute.deterministic else "default")
    torch.backends.cudnn.benchmark = not compute.deterministic
    # cuDNN's convolutions round to ten bits (TF32) unless told otherwise; float32 is to be float32.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def pick_precision(compute: Compute, device: torch.device) -> Precision:
    """``auto`` is bfloat16 where the device has it natively, else float32."""
    if compute.precision != "auto":
        return compute.precision
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        native = any(capabilities.get(name, False) for name in NATIVE_BFLOAT16)
    return "bfloat16" if native else "float32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """``bfloat16``: what multiplies runs in it; parameters, normalised sums, losses and optimisers stay float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def peak_memory(device: torch.device) -> int:
    """Most bytes that this process held: of the CUDA allocator, or resident on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
