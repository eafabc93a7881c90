"""A training step, recorded once and replayed: what the device does, without the host's share of it.

A step of a small network is a thousand kernels of a few microseconds, and the host takes longer to start them than the device to run them.
A CUDA graph starts them all with one call. It repeats exactly what was recorded, on the same memory. So the images lie at a fixed place,
and whatever changes from step to step is read from the device: learning rate, step count, the pool's swaps, the state of the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Protocol

import torch

from cgm.core.errors import UserError
from cgm.data.batches import Batch

WARM_UP = 3
"""Steps before the recording, taken as they are: optimisers, sums and libraries make what they keep."""
Step = Callable[[Batch], None]
Work = Callable[[], None]


class Recorder(Protocol):
    """What takes a step down."""

    def aside(self) -> AbstractContextManager[None]:
        """Where the steps before the recording run."""

    def record(self, work: Work) -> Work:
        """Take ``work`` down without doing it. What is returned does it, as often as it is called."""


class CudaGraph:
    """Records on the current CUDA device. ``noise``: the one stream of random numbers in the work; it goes on from replay to replay."""

    def __init__(self, noise: torch.Generator) -> None:
        self._noise = noise
        self._stream = torch.cuda.Stream()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """On the stream of the recording: what autograd keeps of a parameter remembers the stream on which it was made."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, work: Work) -> Work:
        """Raises :class:`UserError` where the work waits for the device, or does something else that a graph can't hold."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._noise)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            found = str(error).partition("\n")[0]
            raise UserError(
                f"params.yaml: compute.capture: found true, but this method's step can't be recorded as a CUDA graph ({found}); "
                "set false, or take out of the step what reads a value back from the device"
            ) from error
        return graph.replay


def recorded(step: Step, recorder: Recorder) -> Step:
    """``step`` with the same effect, for batches of one shape: the first few calls go through, then it is recorded, and replayed."""
    held: Batch | None = None
    replay: Work | None = None
    seen = 0

    def take(batch: Batch) -> None:
        nonlocal held, replay, seen
        if held is None:
            held = Batch(torch.empty_like(batch.x), torch.empty_like(batch.y), batch.noise)
        held.x.copy_(batch.x)
        held.y.copy_(batch.y)
        if seen < WARM_UP:
            with recorder.aside():
                step(held)
            seen += 1
            return
        if replay is None:
            replay = recorder.record(partial(step, held))
        replay()

    return take
