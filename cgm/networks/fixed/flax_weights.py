"""Convolutions from a pickle of JAX arrays, as Flax names and lays them out, without JAX and without running what a pickle may hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cgm.core.errors import UserError
from cgm.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

ADMITTED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.ndarray.__reduce__(np.empty(0))[0],
}
"""All that such a pickle may name: what numpy arrays are made of."""


class Arrays(pickle.Unpickler):
    """Reads containers of numpy arrays; anything else that a pickle names is refused, not imported."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no part of an array")
        return ADMITTED[module, name]


def torchvision_state(path: Path, convolutions: Sequence[int]) -> dict[str, Tensor]:
    """``features.<place>.weight`` and ``.bias``, float32, of torchvision's network whose i-th convolution stands at ``convolutions[i]``.

    The file holds one network with ``Conv_0`` … (kernel H×W×in×out, bias), perhaps beside other parts. Raises :class:`UserError` where it
    holds something else.
    """
    try:
        with path.open("rb") as file:
            parts = Arrays(file).load()
        (network,) = (part for part in parts.values() if isinstance(part, Mapping) and f"Conv_{len(convolutions) - 1}" in part)
        layers = [network[f"Conv_{index}"] for index in range(len(convolutions))]
        arrays = [
            (np.asarray(layer["kernel"], np.float32).transpose(3, 2, 0, 1), np.asarray(layer["bias"], np.float32)) for layer in layers
        ]
    except (pickle.UnpicklingError, AttributeError, EOFError, KeyError, TypeError, ValueError) as error:
        expected = f"a pickle of {len(convolutions)} convolutions as numpy arrays"
        raise UserError(f"{path}: found something else ({error}), expected {expected}; reinstall the package that it is part of") from None
    state: dict[str, Tensor] = {}
    for place, (kernel, bias) in zip(convolutions, arrays, strict=True):
        state[f"features.{place}.weight"] = torch.from_numpy(np.ascontiguousarray(kernel))
        state[f"features.{place}.bias"] = torch.from_numpy(np.array(bias))
    return state
