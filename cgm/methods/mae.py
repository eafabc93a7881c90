"""MAE regression.

    G* = arg min_G E‖y − G(x)‖₁

x condition, y target, G the U-Net. The minimiser is the conditional median. Source: Isola et al. 2017, eq. 3 and table 1 (“L1”).

Differences from the paper: see ``MAE.differences``.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from cgm import config, losses
from cgm.data.batches import Batch
from cgm.methods.base import Method, Update


class MAE(Method):
    """ŷ = G(x), fitted to y pixel by pixel."""

    title = "MAE regression"
    citation = "Isola et al. 2017, eq. 3"
    equation = "E‖y − G(x)‖₁"
    differences: ClassVar[tuple[str, ...]] = (
        "Dropout regularises in training and is off in translation: the output is a point estimate, as it is for any regression.",
    )
    loss: ClassVar = staticmethod(losses.mae)

    def build(self, networks: config.Networks) -> None:
        self.players["G"] = nn.ModuleDict({"G": self._generator(networks)})

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        y_hat = self.generator(batch.x, batch.noise)
        update("G", {"regression": self.loss(y_hat, batch.y)})
        return {}
