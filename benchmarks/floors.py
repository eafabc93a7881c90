"""Where a training step's time goes, and the least it could take: ``python -m benchmarks.floors --write``.

One step is taken down, operator by operator, with the shapes, layouts and precisions that it has. Each kind of work is then done alone, on
tensors of its own, in turns with whole steps. What the parts don't add up to is between the operators: Python, autograd, dispatch, and
caches that other work has emptied.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from benchmarks.page import heading, number, progress, run_command, table
from benchmarks.training import lay_out, with_reference, without_reference
from benchmarks.training_job import PAIRED, Job, OurStep, measured_params

ARITHMETIC, NORMS, OPTIMISER, COPIES, PLACES, REST = (
    "convolutions and products", "normalisation", "optimiser", "casts and copies", "patches, padding, joining", "everything else"
)  # fmt: skip
KINDS = {
    ARITHMETIC: (
        "convolution", "convolution_backward", "mm", "addmm", "bmm", "baddbmm", "_slow_conv2d_forward", "_slow_conv2d_backward",
    ),
    NORMS: ("native_batch_norm", "native_batch_norm_backward", "native_layer_norm", "native_layer_norm_backward"),
    OPTIMISER: ("_fused_adam_",),
    COPIES: ("_to_copy", "copy_", "clone"),
    PLACES: (
        "im2col", "col2im", "reflection_pad2d", "reflection_pad2d_backward", "constant_pad_nd", "cat", "stack", "index", "index_put",
        "_index_put_impl_", "slice_backward", "select_backward", "as_strided_scatter",
    ),
}  # fmt: skip
"""Operators by kind, as torch names them; the others are :data:`REST`."""
BYTES_A_WEIGHT = 28
"""What a step of Adam in float32 reads and writes: weight, gradient and two moments, and all but the gradient again."""
CASTS_A_WEIGHT = 12
"""In bfloat16 on top: the weight is read and its cast written, and the same the other way with the gradient."""
BLOCK = 2**26
"""Floats of the copy that measures the memory: 256 MiB, more than any cache holds."""


@dataclass(frozen=True)
class Spec:
    """A tensor's form."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Spec:
        return cls(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)

    def make(self, rng: torch.Generator) -> torch.Tensor:
        """Such a tensor, of small positive numbers: a square root and a logarithm can be taken of them."""
        places = 1 + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True)) if 0 not in self.shape else 0
        memory = torch.zeros(places, dtype=self.dtype)
        if self.dtype.is_floating_point:
            memory.uniform_(0.1, 1.0, generator=rng)
        return memory.as_strided(self.shape, self.stride)


@dataclass(frozen=True)
class Call:
    """One operator of a step."""

    operator: Any
    arguments: tuple[Any, ...]
    named: dict[str, Any]

    @property
    def kind(self) -> str:
        name = self.operator.overloadpacket.__name__
        return next((kind for kind, names in KINDS.items() if name in names), REST)

    def ready(self, rng: torch.Generator) -> Callable[[], object]:
        """The call with tensors of its own."""
        made = tree_map(lambda value: value.make(rng) if isinstance(value, Spec) else value, (self.arguments, self.named))
        return lambda: self.operator(*made[0], **made[1])


class Taken(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes down what is called; an operator that only looks at memory in another way counts as nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        named = named or {}
        if not operator.is_view:
            specs = tree_map(lambda value: Spec.of(value) if isinstance(value, torch.Tensor) else value, (tuple(arguments), named))
            self.calls.append(Call(operator, *specs))
        return operator(*arguments, **named)


def calls_of_a_step(step: Callable[[], object]) -> list[Call]:
    """The operators that ``step`` calls, in their order."""
    taken = Taken()
    with taken:
        step()
    return taken.calls


@dataclass(frozen=True)
class Measured:
    """Of one method; seconds."""

    step: float
    parts: dict[str, float]
    """Of each kind of work, alone."""
    calls: int
    weights: int


def measure_step(side: OurStep, repeats: int) -> Measured:
    """Whole steps and each kind of work alone, in turns; medians."""
    for _ in range(3):
        side.advance()
    calls = calls_of_a_step(side.advance)
    rng = torch.Generator().manual_seed(0)
    ready = {kind: [call.ready(rng) for call in calls if call.kind == kind] for kind in (*KINDS, REST)}
    steps: list[float] = []
    parts: dict[str, list[float]] = {kind: [] for kind in ready}
    with torch.no_grad():
        for turn in range(repeats + 1):
            with torch.enable_grad():
                whole = _seconds(side.advance)
            alone = {kind: _seconds(partial(_all, works)) for kind, works in ready.items()}
            if turn:  # the first one only warms up
                steps.append(whole)
                for kind, seconds in alone.items():
                    parts[kind].append(seconds)
    players = side.trainer.method.players.values()
    return Measured(
        statistics.median(steps),
        {kind: statistics.median(values) for kind, values in parts.items()},
        len(calls),
        sum(parameter.numel() for player in players for parameter in player.parameters()),
    )


def memory_rate(repeats: int = 5) -> float:
    """Bytes a second of one thread that copies: read and written."""
    source, target = torch.ones(BLOCK), torch.empty(BLOCK)
    return 2 * source.nbytes / min(_seconds(lambda: target.copy_(source)) for _ in range(repeats))


def _all(works: Sequence[Callable[[], object]]) -> None:
    for work in works:
        work()


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def page(size: int, repeats: int, methods: int | None = None) -> str:
    """The section. ``methods``: how many at most; ``None``: all."""
    torch.set_num_threads(1)
    params = measured_params()
    entries = [(PAIRED, name) for name in with_reference(params)] + without_reference(params)
    rate, lines = memory_rate(), []
    precision = ""
    with tempfile.TemporaryDirectory(prefix="cgm-floors-") as name:
        lay_out(Path(name), [size], pairs=200, processes=1)
        for dataset, method in entries[:methods]:
            side = OurStep(Job("ours", 1, 0.0, method, dataset, size, params.training.batch_size), Path(name) / str(size))
            found = measure_step(side, repeats)
            precision = side.precision
            lines.append(_line(method, found, rate, precision))
            progress(*lines[-1])
    head = ["method", "ms a step", *KINDS, REST, "between operators", "operators", "÷ arithmetic", "weights' memory"]
    return "\n\n".join([_introduction(size, repeats, params.training.batch_size, rate, precision), table(head, lines)])


def _line(method: str, found: Measured, rate: float, precision: str) -> list[str]:
    """A row: milliseconds."""
    moved = found.weights * (BYTES_A_WEIGHT + CASTS_A_WEIGHT * (precision == "bfloat16"))
    times = [*found.parts.values(), found.step - sum(found.parts.values())]
    return [
        f"`{method}`", number(found.step * 1000), *(number(value * 1000) for value in times), str(found.calls),
        f"{found.step / found.parts[ARITHMETIC]:.1f}×", number(moved / rate * 1000),
    ]  # fmt: skip


def _introduction(size: int, repeats: int, batch: int, rate: float, precision: str) -> str:
    return "\n\n".join(
        [
            heading("Where a training step's time goes", f"benchmarks.floors --size {size} --repeats {repeats}"),
            f"OpenMoji at {size} px, batch {batch}, {precision}, one process, one thread. Milliseconds, medians of {repeats}\n"
            "turns. In each, a whole step and each kind of work alone take turns. *Alone* is every operator of a step with its own\n"
            "shapes, layouts and precision, on other tensors. *Between operators* is what a whole step takes beyond them: Python,\n"
            "autograd, dispatch, and caches that other work has emptied. *÷ arithmetic* is a step by its convolutions and products\n"
            "alone, which it can't do without. *Weights' memory* is what optimiser and casts must read and write of weights,\n"
            f"gradients and moments, at the {rate / 1e9:.1f} GB/s of a copy on this machine.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floors", description="Measure where a training step's time goes.")
    parser.add_argument("--size", type=int, default=64, help="of the images, in px (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=15, help="turns of each method (default: %(default)s)")
    parser.add_argument("--methods", type=int, help="how many at most (default: all)")
    run_command(parser, lambda arguments: ("floors", page(arguments.size, arguments.repeats, arguments.methods)))


if __name__ == "__main__":
    main()
