"""Pix2Pix.

    G* = arg min_G max_D  L_cGAN(G, D) + λ L_L1(G),   λ = 100

Source: Isola et al. 2017, eq. 4. The step is :class:`~cgm.methods.cgan.CGAN`'s, with λ from the settings.
"""

from __future__ import annotations

from cgm.core.registry import About, Part
from cgm.core.settings import NonNegative
from cgm.methods.cgan import CGAN, DIFFERENCES
from cgm.methods.paper import PIX2PIX


class Pix2Pix(CGAN):
    """ŷ = G(x, z); conditional discriminator and L1 anchor."""

    about = About(
        title="Pix2Pix",
        citation="Isola et al. 2017, eq. 4",
        objective=(
            Part(text="D(x, G(x, z))", adversarial=True),
            Part(text="E‖y − G(x, z)‖₁", weight="l1_weight", symbol="λ"),
        ),
        differences=DIFFERENCES,
        paper={**PIX2PIX, "l1_weight": 100.0},
    )

    class Settings(CGAN.Settings):
        l1_weight: NonNegative = 100.0

    @property
    def l1_weight(self) -> float:
        return float(self.settings.l1_weight)
