"""Differentiable augmentation of what a discriminator sees (Zhao et al. 2020, section 3.3 and appendix A).

Every image is changed by random numbers of its own; gradients pass. Pictures that lie on top of each other (a condition and an image) are
changed alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cgm.core.lazy import F, torch

if TYPE_CHECKING:
    from torch import Tensor

Change = Callable[["Tensor", int], "Tensor"]
"""``change(images, channels)``: N×kC×H×W in [-1, 1], k pictures of C ``channels`` on top of each other, to the same shape; what moves in
from outside, and what is cut out, is 0, mid grey."""
SHIFT = 1 / 8
"""Of the side: how far an image moves each way at most."""
CUT = 1 / 2
"""Of the side: the square that is cut out."""


def drawn(policies: Iterable[str], count: int, side: tuple[int, int], device: torch.device, noise: torch.Generator) -> Change:
    """One change of ``count`` images of H×W = ``side``, by random numbers that are drawn now: applied twice it does the same twice.

    Where nothing is listed it gives back what it gets.
    """
    changes = [POLICIES[policy](count, side, device, noise) for policy in policies]

    def changed(images: Tensor, channels: int) -> Tensor:
        for change in changes:
            images = change(images, channels)
        return images

    return changed


def _color(count: int, side: tuple[int, int], device: torch.device, noise: torch.Generator) -> Change:
    """Brightness ± ½, saturation × 0–2, contrast × ½–1½."""
    brightness, saturation, contrast = torch.rand(3, count, 1, 1, 1, 1, generator=noise, device=device)

    def changed(images: Tensor, channels: int) -> Tensor:
        stacked, (height, width) = images.shape[1], side
        pictures = (
            images.view(count, stacked // channels, channels, height, width)
            if images.is_contiguous()
            else images.reshape(count, stacked // channels, channels, height, width)
        )
        pictures = pictures + (brightness - 0.5)
        grey = pictures.mean(dim=2, keepdim=True)
        pictures = (pictures - grey) * (2 * saturation) + grey
        mean = pictures.mean(dim=(2, 3, 4), keepdim=True)
        return ((pictures - mean) * (contrast + 0.5) + mean).reshape(count, stacked, height, width)

    return changed


def _translation(count: int, side: tuple[int, int], device: torch.device, noise: torch.Generator) -> Change:
    """Moved by up to :data:`SHIFT` of each side."""
    most = [max(int(length * SHIFT + 0.5), 1) for length in side]
    rows, columns = (
        torch.randint(0, 2 * far + 1, (count, 1), generator=noise, device=device) + torch.arange(length, device=device)
        for far, length in zip(most, side, strict=True)
    )
    which = torch.arange(count, device=device)[:, None, None]

    def changed(images: Tensor, channels: int) -> Tensor:
        wide = F.pad(images, (most[1], most[1], most[0], most[0]))
        return wide.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    return changed


def _cutout(count: int, side: tuple[int, int], device: torch.device, noise: torch.Generator) -> Change:
    """Without a square of :data:`CUT` of each side, the centre of which lies anywhere in the image."""
    inside = []
    for length in side:
        centre = torch.randint(0, length, (count, 1), generator=noise, device=device)
        inside.append((torch.arange(length, device=device) - centre).abs() * 2 < length * CUT)
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return lambda images, channels: images.masked_fill(hole[:, None], 0.0)


POLICIES: dict[str, Callable[[int, tuple[int, int], torch.device, torch.Generator], Change]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
