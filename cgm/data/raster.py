"""Files to pixels: white ground, square, RGB, uint8. Imports no torch, so that worker processes start quickly."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image, ImageOps, UnidentifiedImageError

from cgm.core.errors import UserError
from cgm.data.sources.folder import DEEP_MODES

WHITE = (255, 255, 255, 255)
CHUNK = 64
"""Images a worker process takes at once."""
Job = tuple[Path, str]
"""A file and the SHA-256 it must have."""


def rasterise(path: str | Path, size: int, expected_sha256: str | None = None) -> np.ndarray:
    """One picture as uint8 size×size×3.

    SVG is rendered at ``size`` by resvg, with its own anti-aliasing. Any other file is laid on white, padded with white to a square
    (centred) and resized by Pillow's bicubic filter, whose support widens with the reduction (anti-aliased: Parmar et al., 2022).

    Raises :class:`UserError` for a file that can't be read or isn't the one that was fetched.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); run the fetch stage again") from None
    if expected_sha256 is not None and (found := hashlib.sha256(data).hexdigest()) != expected_sha256:
        raise UserError(f"{path}: changed since it was fetched (SHA-256 {found}, expected {expected_sha256}); run the fetch stage again")
    try:
        image = _render(data, size) if path.suffix == ".svg" else _resize(data, size)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: not a readable image ({error}); replace or remove it") from None
    return np.asarray(image)


def _render(data: bytes, size: int) -> Image.Image:
    png = resvg_py.svg_to_bytes(svg_string=data.decode(), width=size, height=size, background="#ffffff", skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGB")


def read_picture(path: str | Path) -> np.ndarray:
    """One picture at its own size, as it is displayed: uint8 H×W×3, on white where it is transparent.

    Raises :class:`UserError` for a file that can't be read, or holds more than 8 bits a channel.
    """
    path = Path(path)
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as file:
            if file.mode in DEEP_MODES:
                raise ValueError(f"mode {file.mode}, more than 8 bits a channel: convert it to 8 bits")
            image = ImageOps.exif_transpose(file).convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: not a readable image ({error}); replace or remove it") from None
    ground = Image.new("RGBA", image.size, WHITE)
    ground.alpha_composite(image)
    return np.asarray(ground.convert("RGB"))


def _resize(data: bytes, size: int) -> Image.Image:
    with Image.open(io.BytesIO(data)) as file:
        image = ImageOps.exif_transpose(file).convert("RGBA")
    side = max(image.size)
    square = Image.new("RGBA", (side, side), WHITE)
    square.alpha_composite(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)


def rasterise_all(jobs: Sequence[Job], size: int, processes: int) -> Iterator[np.ndarray]:
    """:func:`rasterise` over ``jobs``, in their order whatever the number of ``processes`` (resvg holds the interpreter's lock)."""
    processes = min(processes, -(-len(jobs) // CHUNK))  # starting a process takes as long as some hundred images
    if processes <= 1:
        yield from (rasterise(path, size, digest) for path, digest in jobs)
        return
    # Spawned, not forked: a fork of a process that has threads (torch, BLAS) may hang.
    executor = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        paths, digests = zip(*jobs, strict=True)
        yield from executor.map(rasterise, paths, [size] * len(jobs), digests, chunksize=CHUNK)
    finally:
        executor.shutdown(cancel_futures=True)
