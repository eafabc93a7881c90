"""Adam as torch has it, without torch.compile.

The first call of any optimiser of torch imports ``torch._dynamo``, a second of every training, so that the compiler leaves the optimiser
alone. Nothing here is compiled: the same functions are called without that wrapping, and compute the same bits.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch


class Adam(torch.optim.Adam):
    """``torch.optim.Adam`` (Kingma & Ba 2015); parameters and state dictionary are its own."""

    found_inf: torch.Tensor
    """1 where this step shall change nothing, else 0: what ``GradScaler`` sets, and the fused kernels read on the device."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    def _init_group(self, group: dict[str, Any], *lists: list[torch.Tensor]) -> bool:
        """Fill the ``lists`` of a step: parameters, gradients, both moments, and more that are no maps.

        The CPU's fused kernel first copies what is channels last into the usual order. So it sees such tensors as they lie in memory.
        """
        complex_numbers = super()._init_group(group, *lists)
        for tensors in lists[:4]:
            tensors[:] = [as_it_lies(tensor) for tensor in tensors]
        return bool(complex_numbers)


def as_it_lies(tensor: torch.Tensor) -> torch.Tensor:
    """A view with the axes in the order of memory: of a tensor that is channels last N×H×W×C, of any other itself."""
    if tensor.dim() == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1)
    return tensor
