"""A trained generator behind one call: arrays, PNG files or a number of pictures in, arrays or PNG files out.

For the first test conditions, in their order, the pixels are those of the stage ``translate``, however few are asked for at once. Sums over
another number of images may round differently, so a batch is filled up to what it was there.
"""

from __future__ import annotations

import base64
import binascii
import io
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cgm.core.errors import UserError
from cgm.data.raster import UNREADABLE, as_pixels, decode
from cgm.methods import models
from cgm.methods.inference import Given, Translator, load

B64 = "b64"
"""The key of a picture that comes as the text of its file in base64."""


class Predictor:
    """The run in ``folder`` (``run.json`` and ``model.safetensors`` are all it takes).

    ``tested``: the number of test conditions that its ``outputs.npy`` was made of. Raises :class:`UserError` as
    :func:`cgm.methods.inference.load` does, but for a generator that sees no condition: that one is asked for a number of pictures.
    """

    def __init__(self, folder: Path, tested: int, device: torch.device | None = None) -> None:
        self.trained = load(folder, device, conditional=False)
        self.tested = tested
        self._one_at_a_time = threading.Lock()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the pictures that it was trained on."""
        return (*self.trained.image_size, self.trained.reading.channels)

    @property
    def conditional(self) -> bool:
        return self.trained.network.conditional

    def __call__(self, given: Any, *, sample: int = 0, png: bool = False) -> Any:
        """What the generator makes of ``given``.

        ``given``: uint8 N×H×W×C or the same numbers in lists → uint8 N×H×W×C. Pictures as files, ``[{"b64": …}, …]`` in base64 and of any
        size → PNG files in the same form and at their sizes; ``png``: the same form whatever is given. Of an unconditional generator a
        number of pictures. ``sample``: which of the outputs for these conditions that chance makes, from 0 on. Raises
        :class:`UserError` where it is something else.
        """
        if sample < 0 or (sample > 0 and not self.trained.network.stochastic):
            most = "0 or more" if self.trained.network.stochastic else f"0: {self.trained.name} is deterministic"
            raise UserError(f"sample: found {sample}, expected {most}")
        if not self.conditional:
            pictures: Sequence[np.ndarray] | np.ndarray = np.zeros((_count(given), *self.shape), np.uint8)
        elif _are_files(given):
            pictures, png = [self._read(each, place) for place, each in enumerate(given)], True
        else:
            pictures = self._array(given)
        with self._one_at_a_time:
            outputs = self._translate(pictures, sample)
        return [{B64: base64.b64encode(_png(each)).decode("ascii")} for each in outputs] if png else outputs

    def _read(self, given: Mapping[str, Any], place: int) -> np.ndarray:
        try:
            text = "".join(given[B64].split())  # encoders break lines
            decoded = decode(base64.b64decode(text, validate=True), self.trained.reading)
            return as_pixels(decoded.values, self.trained.reading, classes=decoded.classes)
        except KeyError:
            raise UserError(f"picture {place}: found the keys {', '.join(map(repr, given)) or 'none'}, expected {B64!r}") from None
        except (AttributeError, binascii.Error):
            raise UserError(f"picture {place}: {B64}: found no base64, expected a picture's file in it") from None
        except UNREADABLE:
            raise UserError(f"picture {place}: {B64}: found no readable image in it, expected a PNG or JPEG file") from None

    def _array(self, given: Any) -> np.ndarray:
        expected = f"expected uint8 N×H×W×{self.shape[2]}, or a list of {{{B64!r}: …}}"
        try:
            array = np.asarray(given)
        except ValueError:  # lists of unequal lengths
            raise UserError(f"images: found lists of unequal lengths; {expected}") from None
        if array.ndim != 4 or array.shape[3] != self.shape[2] or array.dtype.kind not in "ui" or 0 in array.shape:
            raise UserError(f"images: found {array.dtype} {array.shape}; {expected}")
        if array.dtype != np.uint8 and (array.min() < 0 or array.max() > 255):
            raise UserError(f"images: found values from {array.min()} to {array.max()}; expected 0 to 255")
        return array.astype(np.uint8)

    def _translate(self, pictures: Sequence[np.ndarray] | np.ndarray, sample: int) -> Any:
        """``pictures``: N×H×W×C, or files' pixels, of one size or several."""
        noise = self.trained.noise()
        as_trained = all(each.shape == self.shape for each in pictures)
        for _ in range(sample + 1):
            outputs: Any = self._exact(np.array(pictures), noise) if as_trained else self._of_any_size(pictures, noise)
        return outputs if as_trained or not isinstance(pictures, np.ndarray) else np.stack(outputs)

    def _exact(self, x: np.ndarray, noise: torch.Generator) -> np.ndarray:
        """In the batches of the stage ``translate``: filled up with black pictures to as many as stood there."""
        outputs = []
        for start in range(0, len(x), models.BATCH):
            batch = x[start : start + models.BATCH]
            there = min(models.BATCH, self.tested - start)
            filled = np.zeros((there if there >= len(batch) else models.BATCH, *self.shape), np.uint8)
            filled[: len(batch)] = batch
            outputs.append(models.translate(self.trained.network, filled, noise, len(filled), self.trained.device)[: len(batch)])
        return np.concatenate(outputs)

    def _of_any_size(self, pictures: Sequence[np.ndarray] | np.ndarray, noise: torch.Generator) -> list[np.ndarray]:
        return [made.picture for made in self._translator((Given(None, each) for each in pictures), noise)]

    @cached_property
    def _translator(self) -> Translator:
        return Translator(self.trained)


def _are_files(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(isinstance(each, Mapping) for each in given)


def _count(given: Any) -> int:
    """A number, alone or as the one entry of a list or an array."""
    array = np.asarray(given)
    if array.size != 1 or array.dtype.kind not in "ui" or array.item() < 1:
        found = f"{array.dtype} {array.shape}" if array.size != 1 else repr(array.item())
        raise UserError(f"found {found}, expected the number of pictures, 1 or more: this generator sees no input picture")
    return int(array.item())


def _png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(file, format="PNG")
    return file.getvalue()
