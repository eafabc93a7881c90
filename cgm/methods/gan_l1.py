"""GAN + L1: Pix2Pix's ablation with a discriminator that does not see x.

    G* = arg min_G max_D  L_GAN(G, D) + λ L_L1(G),   λ = 100

Source: Isola et al. 2017, eq. 2 and table 1 (“L1+GAN”). The step is :class:`~cgm.methods.cgan.CGAN`'s with D(y) in place of D(x, y).

Differences from the paper: as cGAN's.
"""

from __future__ import annotations

from cgm.methods.cgan import CGAN


class GANL1(CGAN):
    """ŷ = G(x, z); the discriminator judges ŷ alone."""

    title = "GAN + L1"
    citation = "Isola et al. 2017, eq. 2"
    equation = "−E log D(G(x, z)) + λ E‖y − G(x, z)‖₁"
    sees_condition = False
