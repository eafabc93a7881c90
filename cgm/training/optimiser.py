"""Adam as torch has it, without torch.compile.

The first call of any optimiser of torch imports ``torch._dynamo``, a second of every training, so that the compiler leaves the optimiser
alone. Nothing here is compiled: the same functions are called without that wrapping, and compute the same bits.
"""

from __future__ import annotations

import inspect

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
