"""What every metric demands of its input; a mistake in range, dtype, layout or colour is an error, never a plausible number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from cgm.core.lazy import np, torch

if TYPE_CHECKING:
    from torch import Tensor

CHECKED = 2**16
"""About as many values are looked at, to tell the range of images that aren't uint8."""
BGR_FEWEST = 8
"""Images with a warm target, and with a cold one, below which nothing is said of the order of the channels."""
BGR_SHARE, BGR_ERROR = 0.9, 0.5


def images(value: np.ndarray, name: str) -> np.ndarray:
    """uint8 N×H×W×3, N ≥ 1; raises ``ValueError`` otherwise."""
    if mistake := image_mistake(value):
        raise ValueError(f"{name}: {mistake}")
    return value


def image_mistake(value: np.ndarray) -> str:
    """What keeps ``value`` from being uint8 N×H×W×3 with N ≥ 1, and what likely helps; empty if nothing does."""
    shape = value.shape
    if value.ndim != 4 or shape[-1] != 3 or len(value) == 0:
        guess, remedy = _layout(shape)
        return f"found shape {shape}{guess}, expected N×H×W×3 (RGB, channels last) with N of 1 or more{remedy}"
    if value.dtype != np.uint8:
        return f"found dtype {value.dtype}{_range(value)}"
    return ""


def pair(outputs: np.ndarray, targets: np.ndarray) -> None:
    """Two image batches of one shape; raises ``ValueError`` otherwise."""
    images(outputs, "outputs")
    images(targets, "targets")
    if outputs.shape != targets.shape:
        raise ValueError(f"targets: found shape {targets.shape}, expected the outputs' {outputs.shape}")


def features(value: np.ndarray, name: str, at_least: int = 1) -> Tensor:
    """N×D, float32 and float64 as they are (not copied), others as float64.

    Raises ``ValueError`` on another shape, NaN or infinity, or too few rows.
    """
    if value.ndim != 2 or value.shape[1] == 0:
        raise ValueError(f"{name}: found shape {value.shape}, expected N×D features, a row an image")
    if len(value) < at_least:
        raise ValueError(f"{name}: found {len(value)} rows, expected {at_least} or more: this metric compares images with other images")
    value = value if value.dtype in (np.float32, np.float64) else value.astype(np.float64)
    tensor = torch.from_numpy(value if value.flags.writeable else value.copy())
    # a sum is finite only if all are; several rows of 1e308 would be no features either
    if not all(torch.isfinite(part.sum()) for part in tensor.split(4096)):
        raise ValueError(f"{name}: found NaN or infinity among the features; were the images or the weights broken?")
    return tensor


def two_features(fake: np.ndarray, real: np.ndarray, at_least: int = 1) -> tuple[Tensor, Tensor]:
    """Outputs' and reals' features of one width; raises ``ValueError`` otherwise."""
    a, b = features(fake, "fake", at_least), features(real, "real", at_least)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"real: found {b.shape[1]} features, expected the fakes' {a.shape[1]}")
    return a, b


@dataclass(frozen=True)
class ChannelOrder:
    """What tells outputs whose red and blue were exchanged: one value an image, all on the scale of squared errors."""

    error: np.ndarray
    """Σ over channels of the mean squared error."""
    green_error: np.ndarray
    """The green channel's part, which no exchange of red and blue touches."""
    change: np.ndarray
    """By how much exchanging the output's red and blue would change the error."""
    warmth: np.ndarray
    """Mean R − B of the target."""

    @classmethod
    def joined(cls, parts: Sequence[ChannelOrder]) -> ChannelOrder:
        return cls(**{item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)})


def channel_order(outputs: np.ndarray, targets: np.ndarray) -> ChannelOrder:
    pair(outputs, targets)
    x, y = outputs.astype(np.float32), targets.astype(np.float32)
    squares = np.square(x - y).mean(axis=(1, 2), dtype=np.float64)
    own, target = x[..., 0] - x[..., 2], y[..., 0] - y[..., 2]
    return ChannelOrder(
        error=squares.sum(1),
        green_error=squares[:, 1],
        change=2 * (own * target).mean(axis=(1, 2), dtype=np.float64),
        warmth=target.mean(axis=(1, 2), dtype=np.float64),
    )


def looks_like_bgr(order: ChannelOrder) -> bool:
    """Whether outputs fit their targets only once red and blue are exchanged.

    All must hold: the exchange brings 90% of the images closer to their targets, among those with a warm target (more red than blue) and
    among those with a cold one alike; it at least halves the whole error; and green, which it leaves alone, fits as it is. Outputs in other
    hues, of one colour, or grey don't meet them: a tint helps only the one or the other group, a turn of the hue leaves green wrong.
    """
    red_blue = (order.error - order.green_error).sum() / 2
    if order.green_error.sum() > BGR_ERROR * red_blue or (order.error + order.change).sum() > BGR_ERROR * order.error.sum():
        return False
    coloured = order.change != 0
    groups = [order.change[coloured & (sign * order.warmth > 0)] < 0 for sign in (1, -1)]
    return all(len(group) >= BGR_FEWEST and group.mean() >= BGR_SHARE for group in groups)


def _layout(shape: tuple[int, ...]) -> tuple[str, str]:
    """What another shape looks like, and what makes it N×H×W×3; empty where it can't be told."""
    if len(shape) == 4 and shape[1] == 3:
        return " (N×3×H×W?)", "; transpose(0, 2, 3, 1)"
    if len(shape) == 4 and shape[-1] == 4:
        return " (RGBA?)", "; compose the images onto a background and drop alpha"
    if len(shape) == 4 and shape[-1] == 1:
        return " (greyscale?)", "; repeat the channel three times"
    if len(shape) == 3 and shape[-1] == 3:
        return " (one image?)", "; add the first axis: image[None]"
    return "", ""


def _range(value: np.ndarray) -> str:
    """What the values say about the conversion that was missed."""
    expected = ", expected uint8 in 0…255"
    if value.dtype.kind not in "fiu":
        return expected
    some = np.asarray(value.reshape(-1)[:: max(value.size // CHECKED, 1)], dtype=np.float64)
    if not np.isfinite(some).all():
        return f" with NaN or infinity{expected}; what made the images has failed"
    low, high = float(some.min()), float(some.max())
    if value.dtype.kind == "f" and low >= 0 and high <= 1:
        return f" in [0, 1]{expected}; multiply by 255 and round"
    if value.dtype.kind == "f" and low >= -1 and high <= 1:
        return f" in [-1, 1]{expected}; add 1, multiply by 127.5 and round"
    if low >= 0 and high <= 255:
        return f" in 0…255{expected}; round and convert with astype(numpy.uint8)"
    return f" from {low:g} to {high:g}{expected}"
