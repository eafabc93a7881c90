"""MSE regression.

    G* = arg min_G E‖y − G(x)‖₂²

x condition, y target, G the U-Net. The minimiser is the conditional mean. Source: the squared-error arm of Pathak et al. 2016 (context
encoders, eq. 1 without its mask); Isola et al. 2017, section 3.1, discuss it beside L1.

Differences from the paper: see ``MSE.differences``.
"""

from __future__ import annotations

from typing import ClassVar

from cgm import losses
from cgm.methods.mae import MAE


class MSE(MAE):
    """As :class:`~cgm.methods.mae.MAE`, with the squared error."""

    title = "MSE regression"
    citation = "Pathak et al. 2016, eq. 1"
    equation = "E‖y − G(x)‖₂²"
    loss: ClassVar = staticmethod(losses.mse)
