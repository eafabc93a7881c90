"""Where the arithmetic is done: device, precision, threads, and several processes on one run."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch

from cgm.config import Compute
from cgm.errors import UserError

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


def weight_layout(device: torch.device) -> torch.memory_format:
    """Of weights. Images are channels last everywhere, and so are weights for tensor cores; on the CPU oneDNN brings either into its own
    blocks, and matrix products (:mod:`cgm.networks.layers`) take the usual one as it lies."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def peak_memory(device: torch.device) -> int:
    """Most bytes that this process held: of the CUDA allocator, or resident on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@dataclass(frozen=True)
class World:
    """The processes that train one run together, each on its share of every batch: one, unless ``torchrun`` started more.

    All hold the same networks and optimisers and add their gradients up (synchronous data parallelism), so that they take the step that
    one process would take on the whole batch. What is drawn differs: each process has a dropout stream and image pools of its own.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: torch.device) -> World:
        """Meet the others that ``torchrun`` started: gloo on CPUs, NCCL on GPUs."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.rank == 0

    def share(self, batch_size: int) -> int:
        """This process's images of a batch. Raises ``UserError`` where the batch can't be shared equally."""
        if batch_size % self.size:
            raise UserError(
                f"params.yaml: training.batch_size: found {batch_size}, expected a multiple of torchrun's {self.size} processes"
            )
        return batch_size // self.size

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its mean over the processes: one message for all."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank, in the leading one; elsewhere an empty list."""
        if self.size == 1:
            return [value]
        found = [None] * self.size if self.leads else None
        torch.distributed.gather_object(value, found)
        return found or []

    def decide(self, wish: bool) -> bool:
        """The leading process's ``wish``, in all."""
        if self.size == 1:
            return wish
        decision = [wish]
        torch.distributed.broadcast_object_list(decision)
        return decision[0]

    def leave(self) -> None:
        if self.size > 1:
            torch.distributed.destroy_process_group()
