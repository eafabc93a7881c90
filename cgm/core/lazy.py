"""torch and numpy, imported when they are first used.

Reading ``params.yaml``, planning the stages and most commands need the records of methods, networks and metrics, but not torch, which
takes seconds to import. A module that holds a record therefore takes torch from here: ``from cgm.core.lazy import torch``. The type
checker sees torch itself.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch import nn
else:

    class _Lazy(ModuleType):
        def __getattr__(self, name: str) -> Any:
            value = getattr(importlib.import_module(self.__name__), name)
            setattr(self, name, value)
            return value

    np, torch, nn, F = _Lazy("numpy"), _Lazy("torch"), _Lazy("torch.nn"), _Lazy("torch.nn.functional")

__all__ = ["F", "nn", "np", "torch"]
