"""MAE regression.

    G* = arg min_G E‖y − G(x)‖₁

x condition, y target, G the U-Net. The minimiser is the conditional median. Source: Isola et al. 2017, eq. 3 and table 1 (“L1”).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cgm.core.registry import About, Part
from cgm.methods import losses
from cgm.methods.method import Method, TranslatorSettings, Update
from cgm.methods.paper import PIX2PIX

if TYPE_CHECKING:
    import torch

    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder

POINT_ESTIMATE = "Dropout regularises in training and is off in translation: the output is a point estimate, as it is for any regression."


class MAE(Method):
    """ŷ = G(x), fitted to y pixel by pixel."""

    about = About(
        title="MAE regression",
        citation="Isola et al. 2017, eq. 3",
        objective=(Part(text="E‖y − G(x)‖₁"),),
        differences=(POINT_ESTIMATE,),
        paper=PIX2PIX,
    )
    Settings = TranslatorSettings
    loss: ClassVar = staticmethod(losses.mae)

    def build(self, networks: Builder) -> None:
        self.player("G", G=networks.generator(self.settings.generator))

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        y_hat = self.generator(batch.x, batch.noise)
        update("G", {"regression": self.loss(y_hat, batch.y)})
        return {}
