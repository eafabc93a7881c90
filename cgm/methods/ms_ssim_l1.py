"""MS-SSIM and L1.

    G* = arg min_G  α E[1 − l₅(p) Π_j cs_j(p)] + (1 − α) E[G_σ ∗ |y − G(x)|],   α = 0.84

x condition, y target, p a pixel, cs_j SSIM's contrast-structure term under a Gaussian window of σ_j = 0.5, 1, 2, 4, 8 px, l its luminance
term and G_σ the window itself, both of the widest. Source: Zhao et al. 2017, eq. 8–10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About, Part
from cgm.core.settings import NonNegative
from cgm.methods import losses_ssim
from cgm.methods.mae import POINT_ESTIMATE
from cgm.methods.method import Method, TranslatorSettings, Update
from cgm.methods.paper import PIX2PIX

if TYPE_CHECKING:
    import torch

    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder


class MSSSIML1(Method):
    """ŷ = G(x), fitted to y in structure and, weakly, in colour."""

    about = About(
        title="MS-SSIM + L1",
        citation="Zhao et al. 2017, eq. 10",
        objective=(
            Part(text="E[1 − MS-SSIM(y, G(x))]", weight="ms_ssim_weight", symbol="α"),
            Part(text="E[G_σ ∗ |y − G(x)|]", weight="l1_weight", symbol="β"),
        ),
        differences=(
            POINT_ESTIMATE,
            "The paper restores photographs with a network of three layers; the settings beside ours are Pix2Pix's, as for the other "
            "regressions.",
            "The loss is a mean over all pixels of an image; the paper takes the pixel in the middle of each patch of 31 px.",
            "The weight of L1 is a setting of its own, β, and 1 − α in the paper.",
        ),
        paper={**PIX2PIX, "ms_ssim_weight": 0.84, "l1_weight": 0.16},
    )

    class Settings(TranslatorSettings):
        ms_ssim_weight: NonNegative = 0.84
        l1_weight: NonNegative = 0.16
        """Of images in [0, 1], as in the paper."""

    cost = 1.3

    def build(self, networks: Builder) -> None:
        self.player("G", G=networks.generator(self.settings.generator))

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        y_hat = self.generator(batch.x, batch.noise)
        update(
            "G",
            {
                "ms_ssim": self.settings.ms_ssim_weight * losses_ssim.pixelwise_ms_ssim(y_hat, batch.y),
                "l1": self.settings.l1_weight * losses_ssim.gaussian_l1(y_hat, batch.y),
            },
        )
        return {}
