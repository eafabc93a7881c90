"""The way back of a method that has one: F: B → A beside G: A → B.

A method says that it has one by the name of its second generator: ``self.player("G", G=…, F=…)``, as CycleGAN's paper names them. The names
are the prefixes in ``model.safetensors`` too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from cgm.methods.method import Method

NAME = "F"


def way_back(method: Method) -> nn.Module | None:
    """F; None where the method has no such network."""
    return dict(method.players["G"].items()).get(NAME)
