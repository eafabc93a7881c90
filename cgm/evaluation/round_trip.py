"""There and back: x → ŷ = G(x) → x′ = F(ŷ), and what noise on ŷ does to x′.

A cycle loss asks that x can be made of ŷ again. A generator may comply by hiding x in ŷ, as a signal of less than a grey level that only F
reads (Chu, Zhmoginov & Sandler 2017, "CycleGAN, a Master of Steganography", arXiv:1712.02950). Such a signal doesn't survive noise that
nobody sees, while what a viewer sees in ŷ does. How much noise moves x′ is therefore shown beside how much the same noise moves F's
outputs for real y, in which nothing is hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cgm.core.errors import UserError
from cgm.core.files import replacing
from cgm.core.lazy import torch
from cgm.data.listing import hash_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Translate = Callable[[Tensor], Tensor]

LEVELS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Standard deviations of the noise, in grey levels (of 256)."""
GREYS = 127.5
"""Grey levels in a unit of a float image."""
SHOWN = 4
"""Test conditions of which pictures are kept: those whose ids have the smallest SHA-256."""


@dataclass(frozen=True, kw_only=True)
class RoundTrip:
    """Root mean squares over pixels and channels, in grey levels, by level of noise on y and by image."""

    levels: np.ndarray
    """L: :data:`LEVELS`; empty where there is no way back."""
    error: np.ndarray
    """L×N: x′ − x, for each test condition."""
    moved: np.ndarray
    """L×N: x′ with the noise − x′ without it."""
    moved_real: np.ndarray
    """L×M: F(y + noise) − F(y), for each real test picture of domain B."""
    shown: np.ndarray
    """R: places of the test conditions below."""
    pictures: np.ndarray
    """uint8 (1 + L)×R×H×W×C: ŷ, then x′ at each level."""
    reason: str = ""
    """Why there is no round trip; empty where there is one."""

    def save(self, path: Path) -> None:
        arrays: dict[str, Any] = {item.name: np.asarray(getattr(self, item.name)) for item in fields(self)}
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)


def none(reason: str) -> RoundTrip:
    """Of a method without a way back."""
    nothing = np.zeros((0, 0), np.float32)
    return RoundTrip(
        levels=np.zeros(0),
        error=nothing,
        moved=nothing,
        moved_real=nothing,
        shown=np.zeros(0, np.int64),
        pictures=np.zeros((0, 0, 0, 0, 0), np.uint8),
        reason=reason,
    )


def load(path: Path) -> RoundTrip | None:
    """What :meth:`RoundTrip.save` wrote; None where the file isn't there. Raises :class:`UserError` for another file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {item.name: file[item.name] for item in fields(RoundTrip)}
    except FileNotFoundError:
        return None
    except (KeyError, ValueError, OSError, EOFError, AttributeError) as error:
        raise UserError(f"{path}: no round trip ({error}); run the stage 'round_trip' of this run again") from None
    return RoundTrip(**{**arrays, "reason": str(arrays["reason"])})


def shown_of(ids: Sequence[str]) -> np.ndarray:
    """Places of the conditions whose pictures are kept."""
    return np.array([ids.index(name) for name in hash_order(ids)[:SHOWN]], dtype=np.int64)


def round_trip(
    there: Translate,
    back: Translate,
    x: np.ndarray,
    y: np.ndarray,
    shown: np.ndarray,
    noise: torch.Generator,
    *,
    batch: int,
    device: str | torch.device = "cpu",
) -> RoundTrip:
    """``there`` and ``back``: float N×C×H×W in [-1, 1] → the same shape. ``x``, ``y``: uint8 N×H×W×C and M×H×W×C, unaligned. ``noise``:
    one draw for each image, which is scaled to each of the :data:`LEVELS`; noisy pictures are clipped to [-1, 1].
    """
    from cgm.data import images

    def noisy(clean: Tensor) -> list[Tensor]:
        drawn = torch.randn(clean.shape, generator=noise, device=clean.device)
        return [(clean + drawn * (level / GREYS)).clamp(-1, 1) for level in LEVELS]

    with torch.no_grad():
        error, moved, moved_real = [], [], []
        kept = np.zeros((1 + len(LEVELS), len(shown), *x.shape[1:]), np.uint8)
        for start in range(0, len(x), batch):
            condition = images.to_float(x[start : start + batch], device)
            y_hat = there(condition)
            returned = [back(each) for each in noisy(y_hat)]
            error.append([_rms(each - condition) for each in returned])
            moved.append([_rms(each - returned[0]) for each in returned])
            for place in np.flatnonzero((start <= shown) & (shown < start + len(condition))):
                row = slice(shown[place] - start, shown[place] - start + 1)
                kept[:, place] = np.concatenate([images.to_uint8(each[row]) for each in (y_hat, *returned)])
        for start in range(0, len(y), batch):
            real = [back(each) for each in noisy(images.to_float(y[start : start + batch], device))]
            moved_real.append([_rms(each - real[0]) for each in real])
    return RoundTrip(
        levels=np.array(LEVELS),
        error=np.concatenate(error, axis=1),
        moved=np.concatenate(moved, axis=1),
        moved_real=np.concatenate(moved_real, axis=1),
        shown=shown,
        pictures=kept,
    )


def _rms(difference: Tensor) -> np.ndarray:
    """N×C×H×W → N, in grey levels."""
    found: np.ndarray = difference.float().square().mean(dim=(1, 2, 3)).sqrt().mul(GREYS).cpu().numpy()
    return found
