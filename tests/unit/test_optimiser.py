"""Adam beside torch's own: the same bits, without the compiler's imports."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from cgm.training.optimiser import Adam

STEP = """
import sys, torch
from {module} import Adam
weight = torch.nn.Parameter(torch.ones(3))
optimiser = Adam([weight], lr=0.1, betas=(0.5, 0.999), fused=True)
optimiser.zero_grad(set_to_none=True)
weight.sum().backward()
optimiser.step()
optimiser.load_state_dict(optimiser.state_dict())
print("torch._dynamo" in sys.modules)
"""


def trained(kind: type[torch.optim.Adam], restart: bool) -> tuple[dict, dict]:
    """Weights and optimiser state after six steps; with ``restart``, from a state dictionary in the middle."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 48), nn.Tanh(), nn.Unflatten(1, (3, 4, 4)), nn.Conv2d(3, 2, 3))
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    network.to(memory_format=torch.channels_last)

    def optimiser() -> torch.optim.Adam:
        return kind(network.parameters(), lr=0.01, betas=(0.5, 0.999), fused=True)

    current = optimiser()
    for number in range(6):
        if restart and number == 3:
            state = current.state_dict()
            current = optimiser()
            current.load_state_dict(state)
        current.param_groups[0]["lr"] = 0.01 / (number + 1)
        current.zero_grad(set_to_none=True)
        network(torch.randn(4, 5, generator=generator)).square().sum().backward()
        current.step()
    return network.state_dict(), current.state_dict()


def test_the_same_bits_as_torch() -> None:
    (weights, state), (expected_weights, expected_state) = trained(Adam, True), trained(torch.optim.Adam, False)
    torch.testing.assert_close(weights, expected_weights, rtol=0, atol=0)
    assert state["param_groups"] == expected_state["param_groups"]
    torch.testing.assert_close(state["state"], expected_state["state"], rtol=0, atol=0)


def test_steps_leave_no_graph() -> None:
    weights, _ = trained(Adam, False)
    assert all(value.grad_fn is None for value in weights.values())


def test_the_compiler_is_not_imported() -> None:
    imported = {
        module: subprocess.run(
            [sys.executable, "-c", STEP.format(module=module)], capture_output=True, text=True, check=True
        ).stdout.strip()
        for module in ("cgm.training.optimiser", "torch.optim")
    }
    # Where torch's own no longer imports it, this module has no purpose any more.
    assert imported == {"cgm.training.optimiser": "False", "torch.optim": "True"}


def test_nothing_is_copied_to_be_updated() -> None:
    weight = nn.Parameter(torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last))
    optimiser = Adam([weight], lr=0.1, fused=True)
    weight.grad = torch.ones_like(weight)
    optimiser.step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
        optimiser.step()
    assert [event.input_shapes for event in profile.events() if event.name == "aten::copy_" and event.input_shapes[0]] == []
    assert weight.is_contiguous(memory_format=torch.channels_last)
