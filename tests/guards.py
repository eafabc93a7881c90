"""Watches over what a training step may not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = frozenset(
    {
        "_local_scalar_dense",  # item(), float(…), int(…), bool(…), `if tensor`
        "_unique2",
        "bincount",
        "equal",
        "histc",
        "is_nonzero",
        "masked_select",
        "nonzero",
        "unique_consecutive",
        "unique_dim",
    }
)
"""Operations of aten whose result, or its size, the host has to know before it goes on."""
READING = frozenset({torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.tolist})
"""Ways to the host that are no operations where the tensor lies there already."""


class Waited(AssertionError):
    """A step did something that on a GPU waits for it."""


class Operations(TorchDispatchMode):
    """Refuses what the host would wait for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func.overloadpacket.__name__ in WAITING:
            raise Waited(f"{func}: waits for the device; expected no such operation in a step")
        if func.overloadpacket.__name__ == "index" and any(index is not None and index.dtype == torch.bool for index in args[1]):
            raise Waited(f"{func} by a mask: waits for the device; expected indices, or torch.where")
        return func(*args, **(kwargs or {}))


class _Readings(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in READING:
            raise Waited(f"{func.__name__}(): waits for the device; expected no such call in a step")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    """What waits for ``device`` raises: on CUDA torch's own watch over it (``RuntimeError``), on the CPU what would wait on a GPU
    (:class:`Waited`)."""
    if device.type == "cuda":
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.synchronize(device)
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)
    else:
        with Operations(), _Readings():
            yield
