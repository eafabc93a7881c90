"""FastCUT: CUT with a stronger contrastive term and without the identity.

    min_{G,H}  E(D(G(x)) − 1)² + λ_X L_NCE(x, G(x)),   λ_X = 10

Source: Park et al. 2020, section 4 (“FastCUT”). The step is :class:`~cgm.methods.cut.CUT`'s with λ_Y = 0.
"""

from __future__ import annotations

from cgm.core.registry import About
from cgm.core.settings import NonNegative
from cgm.methods.cut import CUT, DIFFERENCES, OBJECTIVE
from cgm.methods.paper import CUT as PAPER


class FastCUT(CUT):
    """ŷ = G(x), in half the time of CUT."""

    about = About(
        title="FastCUT",
        citation="Park et al. 2020, section 4",
        objective=OBJECTIVE,
        differences=(
            *DIFFERENCES,
            "The published code flips half of the images before G and flips their maps back; here all are flipped alike.",
        ),
        paper={**PAPER, "constant_fraction": 0.75, "nce_weight": 10.0, "identity_weight": 0.0},
    )

    class Settings(CUT.Settings):
        nce_weight: NonNegative = 10.0
        identity_weight: NonNegative = 0.0

    cost = 5.5
