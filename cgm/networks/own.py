"""What a class of the user's own must be to serve as a generator; docs/methods.md is its contract in words."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from cgm.core.lazy import nn

CALLED = "Class(image_size, channels=…), with a default for every other parameter that sizes leaves out"


def complete(found: Any) -> Any:
    """``found`` if it is a network. Raises ``LookupError``, which says what it is instead."""
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        kind = f"class {found.__name__}" if inspect.isclass(found) else f"a value of type {type(found).__name__}"
        raise LookupError(f"found {kind}, expected a class derived from torch.nn.Module")
    return found


def check_sizes(generator: Any, sizes: Mapping[str, Any]) -> None:
    """Raises ``ValueError`` where the class can't be called with an image's size, its channels and these."""
    signature = inspect.signature(generator)
    known = [name for name in signature.parameters if name != "channels"][1:]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
    if not takes_any and (unknown := next((name for name in sizes if name not in known), None)):
        close = difflib.get_close_matches(unknown, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"{generator.__name__} takes {', '.join(known) or 'none'}"
        raise ValueError(f"unknown key {unknown!r}; {hint}")
    try:
        signature.bind(64, channels=3, **sizes)
    except TypeError as error:
        raise ValueError(f"class {generator.__name__}: {error}; it is called as {CALLED}") from None
