"""Data parallelism: several processes train one run together.

Gradients are averaged here and not by torch's ``DistributedDataParallel``, whose documentation says that it doesn't work with
``torch.autograd.grad``: R1 needs it (with a penalty on gradients it gave wrong ones, pytorch/pytorch#47562). It also wants each network
called through its wrapper and followed by one backward pass of its own, while D is called several times in a step, and is frozen in G's.
What it would give is that messages overlap with the backward pass. One message a player, after it, keeps a step the same in all methods,
and carries along whether the loss was finite.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cgm.core.errors import UserError


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
