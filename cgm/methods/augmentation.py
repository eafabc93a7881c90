"""Differentiable augmentation of what a discriminator sees (Zhao et al. 2020, section 3.3 and appendix A).

Every image is changed by random numbers of its own; gradients pass. Pictures that lie on top of each other (a condition and an image) are
changed alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cgm.core.lazy import F, torch

if TYPE_CHECKING:
    from torch import Tensor

SHIFT = 1 / 8
"""Of the side: how far an image moves each way at most."""
CUT = 1 / 2
"""Of the side: the square that is cut out."""


def augmented(images: Tensor, policies: Iterable[str], channels: int, noise: torch.Generator) -> Tensor:
    """``images``: N×kC×H×W in [-1, 1], k pictures of C ``channels`` on top of each other. Returns the same shape; what moves in from
    outside, and what is cut out, is 0, mid grey."""
    for policy in policies:
        images = POLICIES[policy](images, channels, noise)
    return images


def _color(images: Tensor, channels: int, noise: torch.Generator) -> Tensor:
    """Brightness ± ½, saturation × 0–2, contrast × ½–1½."""
    count, stacked, height, width = images.shape
    pictures = (
        images.view(count, stacked // channels, channels, height, width)
        if images.is_contiguous()
        else images.reshape(count, stacked // channels, channels, height, width)
    )
    brightness, saturation, contrast = torch.rand(3, count, 1, 1, 1, 1, generator=noise, device=images.device)
    pictures = pictures + (brightness - 0.5)
    grey = pictures.mean(dim=2, keepdim=True)
    pictures = (pictures - grey) * (2 * saturation) + grey
    mean = pictures.mean(dim=(2, 3, 4), keepdim=True)
    return ((pictures - mean) * (contrast + 0.5) + mean).reshape(count, stacked, height, width)


def _translation(images: Tensor, channels: int, noise: torch.Generator) -> Tensor:
    """Moved by up to :data:`SHIFT` of each side."""
    count, _, height, width = images.shape
    most = [max(int(side * SHIFT + 0.5), 1) for side in (height, width)]
    wide = F.pad(images, (most[1], most[1], most[0], most[0]))
    rows, columns = (
        torch.randint(0, 2 * far + 1, (count, 1), generator=noise, device=images.device) + torch.arange(side, device=images.device)
        for far, side in zip(most, (height, width), strict=True)
    )
    which = torch.arange(count, device=images.device)[:, None, None]
    return wide.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cutout(images: Tensor, channels: int, noise: torch.Generator) -> Tensor:
    """Without a square of :data:`CUT` of each side, the centre of which lies anywhere in the image."""
    count, _, height, width = images.shape
    inside = []
    for side in (height, width):
        centre = torch.randint(0, side, (count, 1), generator=noise, device=images.device)
        inside.append((torch.arange(side, device=images.device) - centre).abs() * 2 < side * CUT)
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return images.masked_fill(hole[:, None], 0.0)


POLICIES = {"color": _color, "translation": _translation, "cutout": _cutout}
