"""GAN + L1: Pix2Pix's ablation with a discriminator that does not see x.

    G* = arg min_G max_D  L_GAN(G, D) + λ L_L1(G),   λ = 100

Source: Isola et al. 2017, eq. 2 and table 1 (“L1+GAN”). The step is :class:`~cgm.methods.cgan.CGAN`'s with D(y) in place of D(x, y).
"""

from __future__ import annotations

from cgm.core.registry import About, Part
from cgm.methods.cgan import DIFFERENCES
from cgm.methods.paper import PIX2PIX
from cgm.methods.pix2pix import Pix2Pix


class GANL1(Pix2Pix):
    """ŷ = G(x, z); the discriminator judges ŷ alone."""

    about = About(
        title="GAN + L1",
        citation="Isola et al. 2017, eq. 2",
        objective=(
            Part(text="D(G(x, z))", adversarial=True),
            Part(text="E‖y − G(x, z)‖₁", weight="l1_weight", symbol="λ"),
        ),
        differences=DIFFERENCES,
        paper={**PIX2PIX, "l1_weight": 100.0},
    )
    sees_condition = False
