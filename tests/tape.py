"""A CUDA graph's stand-in for the CPU: the operations of a piece of work, taken down and done again on the same memory.

Like a graph it repeats what the device did and nothing else. What the host would do anew is as it was: a number that was read, a choice, a
tensor that took another's place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from guards import Operations
from torch.utils._pytree import tree_leaves

Operation = tuple[Any, tuple[Any, ...], dict[str, Any], Any]


class Tape(Operations):
    """Takes down every operation. One for which the host would wait is refused, as a graph refuses it."""

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        self._operations.append((func, args, kwargs or {}, result))
        return result

    def aside(self) -> AbstractContextManager[None]:
        return nullcontext()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """``work`` is done once while it is taken down, so the first replay does nothing."""
        with self:
            work()
        first = True

        def replay() -> None:
            nonlocal first
            if not first:
                with torch.no_grad():
                    for operation in self._operations:
                        _again(*operation)
            first = False

        return replay


def _again(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    if function.is_view or "empty" in function.overloadpacket.__name__:  # it shares its memory, or nothing is in it
        return
    found = function(*args, **kwargs)
    if not function._schema.is_mutable:
        for old, new in zip(tree_leaves(result), tree_leaves(found), strict=True):
            if isinstance(old, torch.Tensor):
                old.copy_(new)
