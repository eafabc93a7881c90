"""Looks into every picture of a folder once: can it be read, what are its values, what does it look like?"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgm.core.processes import CHUNK, in_processes, processors
from cgm.core.progress import counted
from cgm.data.raster import UNREADABLE, Job, Reading, as_pixels, decode, half, reason

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

THUMB = 16
"""Pixels a side of the small picture that twins are compared by."""
NEAR_GROUND = 8
"""Levels by which a pixel may differ from the ground and still count as it."""
BORDER_SHARE = 0.9
"""Of a picture's outermost pixels: from here on the picture stands on the ground."""
PICTURE_SUFFIXES = frozenset({
    ".apng", ".arw", ".avif", ".avifs", ".bmp", ".cr2", ".dcm", ".dib", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".j2k",
    ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".nef", ".nii", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".psd",
    ".raw", ".svg", ".tga", ".tif", ".tiff", ".webp",
})  # fmt: skip
"""Suffixes by which somebody says that a file is a picture: one that can't be read is a problem, and not passed over."""
SURVEYED_ALONE = 500
"""Files up to which one process looks at them: more of them start slower than it works."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one picture is."""

    problem: str = ""
    """Why it can't be used; empty where it can."""
    picture: bool = True
    """False for what is no picture and never said so: it is passed over."""
    sha256: str = ""
    width: int = 0
    height: int = 0
    """As displayed; of the half, where two stand in one file."""
    dtype: str = "uint8"
    low: float = 0.0
    high: float = 255.0
    coloured: bool = True
    classes: bool = False
    """May hold class numbers: one channel of 8 bits, or a palette."""
    frames: int = 1
    odd: bool = False
    """Two pictures in a file of odd width: its middle column belongs to neither."""
    clipped: bool = False
    """Holds values outside of ``value_range``."""
    one_colour: bool = False
    on_ground: bool = False
    """Its border is the ground: a drawing, which may be padded, rather than a photograph."""
    hash: int = 0
    """64 bits that look-alikes share, but for a few."""
    thumb: bytes = b""
    """16×16×3."""


def survey(jobs: Sequence[Job], name: str) -> list[Look]:
    """A look at each file, in their order. ``name``: the dataset's, for the progress bar."""
    processes = 1 if len(jobs) <= SURVEYED_ALONE else processors()
    looks = in_processes(look, jobs, None, processes)
    return list(counted(looks, len(jobs), f"fetch {name}")) if len(jobs) > CHUNK else list(looks)


def look(job: Job, _: None = None) -> Look:
    """Read one picture whole."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    reading = job.reading
    if job.path.suffix.lower() == ".svg":
        return Look(problem="an SVG drawing, which is not read from folders; render it to PNG")
    try:
        data = job.path.read_bytes()
    except OSError as error:
        return Look(problem=f"can't be read ({error.strerror})")
    try:
        decoded = decode(data, reading)
        values = half(decoded.values, job.part)
        pixels = as_pixels(values, reading, classes=decoded.classes)
    except Image.DecompressionBombError as error:
        return Look(problem=f"over the pixel limit ({str(error).partition(',')[0]})")
    except UnidentifiedImageError:
        suffix = job.path.suffix.lower()
        if suffix and suffix not in PICTURE_SUFFIXES:
            return Look(picture=False)
        return Look(problem="not a picture, or of a format that is not read here; convert it to PNG" if data else "empty")
    except UNREADABLE as error:
        return Look(problem=f"can't be decoded ({reason(error)})")
    if min(pixels.shape[:2]) < 1:
        return Look(problem="too narrow to hold two pictures side by side")
    deep = values.dtype != np.uint8
    rgb = Image.fromarray(pixels[..., 0]).convert("RGB") if pixels.shape[2] == 1 else Image.fromarray(pixels)
    limits = reading.value_range if deep else None
    return Look(
        sha256=hashlib.sha256(data).hexdigest(),
        width=pixels.shape[1],
        height=pixels.shape[0],
        dtype=str(values.dtype),
        low=float(values.min()),
        high=float(values.max()),
        coloured=values.ndim == 3,
        classes=decoded.classes and not deep,
        frames=decoded.frames,
        odd=bool(job.part) and decoded.values.shape[1] % 2 == 1,
        clipped=limits is not None and bool(values.min() < limits[0] or values.max() > limits[1]),
        one_colour=bool((pixels == pixels[:1, :1]).all()),
        on_ground=_on_ground(pixels, reading),
        hash=_hash(rgb),
        thumb=rgb.resize((THUMB, THUMB), Image.Resampling.BOX).tobytes(),
    )


def _on_ground(pixels: np.ndarray, reading: Reading) -> bool:
    import numpy as np

    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int16)
    ground = np.array(reading.ground[: pixels.shape[2]], np.int16)
    return bool((np.abs(border - ground) <= NEAR_GROUND).all(axis=1).mean() >= BORDER_SHARE)


def _hash(image: Image) -> int:
    """The perceptual hash of ``imagehash``: signs of the lowest 8×8 frequencies of a cosine transform, against their median."""
    import imagehash

    return int(str(imagehash.phash(image)), 16)


def said_on_error_output(name: str, lines: Sequence[str]) -> None:
    for line in lines:
        print(f"{name}: {line}", file=sys.stderr, flush=True)
