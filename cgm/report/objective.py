"""The equation that a method was trained with, from its record and its settings."""

from __future__ import annotations

from cgm.methods import METHODS
from cgm.methods.losses import ADVERSARIAL
from cgm.methods.method import MethodSettings


def objective(settings: MethodSettings) -> str:
    """``−E log D(x, G(x, z)) + λ E‖y − G(x, z)‖₁, λ = 100``: a term whose weight is 0 is left out.

    Empty for what nobody here trained.
    """
    parts = METHODS[settings.implementation].objective(settings)
    terms, weights = [], []
    for part in parts:
        text = ADVERSARIAL[part.adversarial].minimises.format(part.text) if part.adversarial else part.text
        if part.weight is None:
            terms.append(text)
        elif part.weight:
            terms.append(f"{part.symbol} ({text})" if text.startswith("−") else f"{part.symbol} {text}")
            weights.append(f"{part.symbol} = {part.weight:g}")
    return ",  ".join([" + ".join(terms) or ("0" if parts else ""), *([", ".join(weights)] if weights else [])])
