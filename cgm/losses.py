"""The losses, in the papers' notation; every one returns a scalar tensor, a mean over the batch.

Images are N×3×H×W in [-1, 1]; logits and feature maps have any shape whose first axis is the batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F

Maps = Mapping[str, torch.Tensor]
VANILLA_BOUNDARY, LSGAN_BOUNDARY = 0.0, 0.5
"""Outputs of D above which it holds an image for real: of logits, and half-way between the targets of least squares."""


def mae(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """E‖y − ŷ‖₁, per pixel and channel. Its minimiser is the conditional median. The L1, cycle and identity terms are this."""
    return F.l1_loss(y_hat, y)


def mse(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """E‖y − ŷ‖₂², per pixel and channel. Its minimiser is the conditional mean."""
    return F.mse_loss(y_hat, y)


def vanilla(logits: torch.Tensor, real: bool) -> torch.Tensor:
    """−E log D for ``real``, −E log(1 − D) otherwise, D = sigmoid(logits).

    Goodfellow et al. 2014, eq. 1; with ``real=True`` on fakes it is G's non-saturating loss (section 3 there).
    """
    return F.softplus(-logits).mean() if real else F.softplus(logits).mean()


def lsgan(logits: torch.Tensor, real: bool) -> torch.Tensor:
    """E(D − 1)² for ``real``, E D² otherwise. Mao et al. 2017, eq. 9 (a = 0, b = c = 1), without its ½."""
    return (logits - 1).square().mean() if real else logits.square().mean()


@torch.no_grad()
def accuracy(real: torch.Tensor, fake: torch.Tensor, boundary: float) -> torch.Tensor:
    """Share of D's decisions that are right, real and fake ones weighted equally: ½ where it can't tell, 1 where it always can."""
    return ((real > boundary).float().mean() + (fake <= boundary).float().mean()) / 2


def feature_reconstruction(maps_hat: Maps, maps: Maps, scale: Mapping[str, float]) -> torch.Tensor:
    """Σ over the layers in ``scale`` of ‖φ(ŷ) − φ(y)‖₂² / (C·H·W) / scale. Johnson et al. 2016, eq. 2 (scale 1)."""
    return torch.stack([F.mse_loss(maps_hat[layer], maps[layer]) / value for layer, value in scale.items()]).sum()


def gram(features: torch.Tensor) -> torch.Tensor:
    """N×C×H×W → N×C×C: ψψᵀ / (C·H·W), ψ the features as C×(H·W). Johnson et al. 2016, eq. 3."""
    count, channels, height, width = features.shape
    psi = features.reshape(count, channels, height * width)
    return psi @ psi.transpose(1, 2) / (channels * height * width)


def style_reconstruction(grams_hat: Maps, grams: Maps, scale: Mapping[str, float]) -> torch.Tensor:
    """Σ over the layers in ``scale`` of ‖G(ŷ) − G(y)‖²_F / scale. Johnson et al. 2016, eq. 4 (scale 1).

    A target of shape 1×C×C serves the whole batch.
    """
    return torch.stack([(grams_hat[layer] - grams[layer]).square().sum(dim=(1, 2)).mean() / value for layer, value in scale.items()]).sum()


def total_variation(y_hat: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of vertical neighbours plus that of horizontal ones. Johnson et al. 2016, section 3.2."""
    vertical = (y_hat[:, :, 1:] - y_hat[:, :, :-1]).square().mean()
    horizontal = (y_hat[:, :, :, 1:] - y_hat[:, :, :, :-1]).square().mean()
    return vertical + horizontal
