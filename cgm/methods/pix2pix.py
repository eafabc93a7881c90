"""Pix2Pix.

    G* = arg min_G max_D  L_cGAN(G, D) + λ L_L1(G),   λ = 100

Source: Isola et al. 2017, eq. 4. The step is :class:`~cgm.methods.cgan.CGAN`'s, with λ from the settings.

Differences from the paper: as cGAN's.
"""

from __future__ import annotations

from cgm.methods.cgan import CGAN


class Pix2Pix(CGAN):
    """ŷ = G(x, z); conditional discriminator and L1 anchor."""

    title = "Pix2Pix"
    citation = "Isola et al. 2017, eq. 4"
    equation = "−E log D(x, G(x, z)) + λ E‖y − G(x, z)‖₁"
