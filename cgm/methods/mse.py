"""MSE regression.

    G* = arg min_G E‖y − G(x)‖₂²

x condition, y target, G the U-Net. The minimiser is the conditional mean. Source: the squared-error arm of Pathak et al. 2016 (context
encoders, eq. 1 without its mask); Isola et al. 2017, section 3.1, discuss it beside L1.
"""

from __future__ import annotations

from typing import ClassVar

from cgm.core.registry import About, Part
from cgm.methods import losses
from cgm.methods.mae import MAE, POINT_ESTIMATE
from cgm.methods.paper import PIX2PIX


class MSE(MAE):
    """As :class:`~cgm.methods.mae.MAE`, with the squared error."""

    about = About(
        title="MSE regression",
        citation="Pathak et al. 2016, eq. 1",
        objective=(Part(text="E‖y − G(x)‖₂²"),),
        differences=(
            POINT_ESTIMATE,
            "Pathak et al. fill holes; the network and its settings here are those of Isola et al.'s L1 baseline.",
        ),
        paper=PIX2PIX,
    )
    loss: ClassVar = staticmethod(losses.mse)
