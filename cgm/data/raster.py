"""Files to pixels: 8 bits a channel, on a ground, in the wanted shape. Imports no torch, so that worker processes start quickly."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import resvg_py
from PIL import Image, UnidentifiedImageError

from cgm.core.errors import UserError
from cgm.core.processes import in_processes

Fit = Literal["pad", "crop", "stretch"]
Part = Literal["", "left", "right"]
Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
ORIENTATION = 0x0112
"""EXIF's tag; values 2 to 8 say how the stored picture is turned."""
TURNED: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PNG, DEEP = b"\x89PNG\r\n\x1a\n", 16
"""How a PNG starts, and the bits a channel of which Pillow drops half."""
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNREADABLE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, struct.error, RuntimeError)
"""What decoders raise on files that aren't whole, or aren't theirs."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the values of a file become colours."""

    channels: int = 3
    """1: grey (ITU-R 601 luma of coloured pictures); 3: RGB."""
    ground: Colour = WHITE
    """What transparent pictures lie on."""
    value_range: tuple[float, float] | None = None
    """The values that become black and white, of pictures with more than 8 bits a channel; None: the whole range of the file's dtype, and
    [0, 1] for floats."""
    labels: bool = False
    """Pictures of one channel and palettes hold class numbers: each gets a colour of its own (:func:`label_colours`), never a blend."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A file's values at its own size, turned as its EXIF tag says."""

    values: np.ndarray
    """H×W (grey, class numbers) or H×W×3, of the file's dtype; transparency is laid on the ground already."""
    frames: int = 1
    """How many pictures the file holds; the first is taken."""
    classes: bool = False
    """One channel of 8 bits or a palette: may hold class numbers."""


def decode(data: bytes, reading: Reading) -> Decoded:
    """The values of one file. Raises one of :data:`UNREADABLE` where it isn't a whole picture, ``ValueError`` saying what it is instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what decoders say of odd, yet readable files
        return _decode(data, reading)


def _decode(data: bytes, reading: Reading) -> Decoded:
    if data.startswith(PNG) and len(data) > 26 and data[24] == DEEP:
        return _decode_deep_png(data, reading)
    if data.startswith(TIFF) and (found := _decode_deep_tiff(data, reading)) is not None:
        return found
    with Image.open(io.BytesIO(data)) as file:
        frames = getattr(file, "n_frames", 1)
        file.load()
        image: Image.Image = _turned(file, _orientation(file))
    if image.mode.startswith("I") or image.mode == "F":
        return Decoded(values=np.asarray(image), frames=frames)
    classes = image.mode in ("L", "P", "1")
    if reading.labels and classes:
        return Decoded(values=np.asarray(image.convert("L") if image.mode == "1" else image), frames=frames, classes=True)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, (*reading.ground, 255))
        below.alpha_composite(image)
        image = below.convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return Decoded(values=np.asarray(image), frames=frames, classes=classes)


def _decode_deep_png(data: bytes, reading: Reading) -> Decoded:
    """16 bits a channel, grey or colour, with or without alpha."""
    import imagecodecs

    values = imagecodecs.png_decode(data)
    with Image.open(io.BytesIO(data)) as file:
        turn = _orientation(file)
    return Decoded(values=_turned_values(_on_ground(values, reading.ground), turn))


def _decode_deep_tiff(data: bytes, reading: Reading) -> Decoded | None:
    """What has more than 8 bits a channel; None for the rest, which Pillow reads."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            if page.dtype is None or page.dtype.itemsize == 1:
                return None
            values, frames = page.asarray(), len(file.pages)
            turn = int(page.tags[ORIENTATION].value) if ORIENTATION in page.tags else 1
            planar = page.planarconfig == 2 and values.ndim == 3
    except (tifffile.TiffFileError, IndexError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from None
    if planar:
        values = np.moveaxis(values, 0, -1)
    return Decoded(values=_turned_values(_on_ground(values, reading.ground), turn), frames=frames)


def _on_ground(values: np.ndarray, ground: Colour) -> np.ndarray:
    """H×W×C with C from 1 to 4 → H×W or H×W×3: alpha, the last of two or four channels, laid on ``ground``."""
    if values.ndim == 2:
        return values
    if values.ndim != 3 or not 1 <= values.shape[2] <= 4:
        raise ValueError(f"found shape {'×'.join(map(str, values.shape))}, expected height × width × 1 to 4 channels")
    if values.shape[2] in (2, 4):
        top = float(np.iinfo(values.dtype).max) if values.dtype.kind in "iu" else 1.0
        alpha = values[..., -1:].astype(np.float64) / top
        colours = values[..., :-1].astype(np.float64)
        below = np.array(ground[: colours.shape[2]], np.float64) / 255 * top
        mixed = colours * alpha + below * (1 - alpha)
        values = (np.rint(mixed) if values.dtype.kind in "iu" else mixed).astype(values.dtype)
    return values[..., 0] if values.shape[2] == 1 else values


def _orientation(image: Image.Image) -> int:
    """As its EXIF tag says; 1, as it is, where the tag is missing, of a wrong type or out of range."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow's reader of EXIF raises whatever a broken tag makes it run into
        return 1
    return found if isinstance(found, int) and found in TURNED else 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNED[orientation]) if orientation in TURNED else image


def _turned_values(values: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values


def half(values: np.ndarray, part: Part) -> np.ndarray:
    """The left or right half of two pictures in one file. Of an odd width the column in the middle belongs to neither."""
    width = values.shape[1] // 2
    return values[:, :width] if part == "left" else values[:, values.shape[1] - width :] if part == "right" else values


def value_limits(values: np.ndarray, reading: Reading) -> tuple[float, float]:
    """The values that become 0 and 255. Raises ``ValueError`` where neither the dtype nor ``value_range`` says."""
    if reading.value_range is not None:
        return reading.value_range
    if values.dtype.kind == "u":
        return 0.0, float(np.iinfo(values.dtype).max)
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return 0.0, 1.0
    if values.dtype.kind == "i" and values.dtype.itemsize > 2 and low >= 0 and high <= 65535:
        return 0.0, 65535.0  # Pillow's mode I, in which it reads 16 bits of some formats
    raise ValueError(f"holds {values.dtype} values from {low:g} to {high:g}, and no range says which are black and white; set value_range")


def as_pixels(values: np.ndarray, reading: Reading, *, classes: bool = False) -> np.ndarray:
    """Values of a file → uint8 H×W×``channels``."""
    if reading.labels and classes:
        colours = label_colours()[values.astype(np.uint8)]
        return colours if reading.channels == 3 else values.astype(np.uint8)[..., None]
    if values.dtype != np.uint8:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError("holds NaN or infinity, expected numbers")
        low, high = value_limits(values, reading)
        scaled = (values.astype(np.float64) - low) * (255 / (high - low))
        values = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    if reading.channels == 3:
        return np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else np.ascontiguousarray(values)
    return (values if values.ndim == 2 else np.asarray(Image.fromarray(values).convert("L")))[..., None]


def label_colours() -> np.ndarray:
    """uint8 256×3: a colour for each class number, 0 black; the bits of the number dealt out over the channels' high bits, by which
    PASCAL VOC colours its classes (Everingham et al. 2010), so that near numbers get far colours."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (((numbers >> channel) & 1) << (7 - bit)).astype(np.uint8)
        numbers = numbers >> 3
    return colours


def shaped(pixels: np.ndarray, height: int, width: int, fit: Fit, ground: Colour = WHITE, *, blend: bool = True) -> np.ndarray:
    """uint8 H×W×C → uint8 ``height``×``width``×C, by Pillow's bicubic filter, whose support widens with the reduction (anti-aliased:
    Parmar et al. 2022), or, without ``blend``, by the nearest pixel.

    ``pad``: the whole picture, centred on ``ground``. ``crop``: the largest centred part of the wanted shape. ``stretch``: all of it,
    whatever its shape.
    """
    grey = pixels.shape[2] == 1
    image = Image.fromarray(pixels[..., 0] if grey else pixels)
    resample = Image.Resampling.BICUBIC if blend else Image.Resampling.NEAREST
    if fit == "pad":
        scale = min(width / image.width, height / image.height)
        inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        below = Image.new(image.mode, (width, height), _luma(ground) if grey else ground)
        below.paste(image.resize(inner, resample), ((width - inner[0]) // 2, (height - inner[1]) // 2))
        image = below
    elif fit == "crop":
        scale = min(image.width / width, image.height / height)
        cut = width * scale, height * scale
        left, top = (image.width - cut[0]) / 2, (image.height - cut[1]) / 2
        image = image.resize((width, height), resample, box=(left, top, left + cut[0], top + cut[1]))
    else:
        image = image.resize((width, height), resample)
    found = np.asarray(image)
    return found[..., None] if grey else found


def _luma(colour: Colour) -> int:
    return int(Image.new("RGB", (1, 1), colour).convert("L").tobytes()[0])


@dataclass(frozen=True, kw_only=True)
class Job:
    """One picture to make."""

    path: Path
    sha256: str
    """That the file must have."""
    part: Part = ""
    reading: Reading = Reading()


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What :func:`rasterise` makes of a file."""

    height: int
    width: int
    fit: Fit = "pad"


def rasterise(job: Job, shape: Shape) -> np.ndarray:
    """One picture as uint8 H×W×C. SVG is rendered at its final size by resvg, with its own anti-aliasing.

    Raises :class:`UserError` for a file that can't be read or isn't the one that was fetched.
    """
    again = "run the fetch stage again"
    try:
        data = job.path.read_bytes()
    except OSError as error:
        raise UserError(f"{job.path}: can't be read ({error.strerror}); {again}") from None
    if job.sha256 and (found := hashlib.sha256(data).hexdigest()) != job.sha256:
        raise UserError(f"{job.path}: changed since it was fetched (SHA-256 {found}, expected {job.sha256}); {again}")
    try:
        if job.path.suffix == ".svg":
            data = _render(data, min(shape.height, shape.width))
        decoded = decode(data, job.reading)
        pixels = as_pixels(half(decoded.values, job.part), job.reading, classes=decoded.classes)
    except UNREADABLE as error:
        raise UserError(f"{job.path}: not a readable image ({reason(error)}); replace or remove it") from None
    blend = not (job.reading.labels and decoded.classes)
    return shaped(pixels, shape.height, shape.width, shape.fit, job.reading.ground, blend=blend)


def reason(error: Exception) -> str:
    """What a decoder says, in one line; Pillow names the memory that it read from, which tells nobody anything."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture, or of a format that is not read here"
    return error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())


def _render(data: bytes, size: int) -> bytes:
    return bytes(resvg_py.svg_to_bytes(svg_string=data.decode(), width=size, height=size, background="#ffffff", skip_system_fonts=True))


def read_picture(path: Path, reading: Reading | None = None) -> np.ndarray:
    """A file at its own size, uint8 H×W×C. Raises :class:`UserError`, which names it, where it can't be read."""
    reading = reading or Reading()
    try:
        decoded = decode(path.read_bytes(), reading)
        return as_pixels(decoded.values, reading, classes=decoded.classes)
    except UNREADABLE as error:
        raise UserError(f"{path}: not a readable image ({reason(error)})") from None


def rasterise_all(jobs: Sequence[Job], shape: Shape, processes: int) -> Iterator[np.ndarray]:
    """:func:`rasterise` over ``jobs``, in their order whatever the number of ``processes`` (resvg holds the interpreter's lock)."""
    return in_processes(_rasterise, jobs, shape, processes)


def _rasterise(job: Job, shape: Shape) -> np.ndarray:
    return rasterise(job, shape)
