"""A trained generator on pictures of any size: padded to what the network takes and cropped back, or in overlapping tiles.

Pictures of the trained size go through in the batches, and with the noise, of the stage ``translate``: the same pixels come out.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ValidationError

from cgm.core import seeds
from cgm.core.errors import UserError
from cgm.core.files import read_json
from cgm.data.raster import Reading
from cgm.data.reading import reading_of
from cgm.data.sources import SOURCES
from cgm.methods import METHODS, models
from cgm.methods.method import Method
from cgm.networks.settings import Networks
from cgm.networks.size import halvings

T = TypeVar("T")
SMALLEST = 8
"""Pixels a side below which no network goes."""
MEMORY = 4 << 30
"""Bytes that one picture may take by :meth:`Trained.bytes_a_pixel`; larger pictures are tiled. A constant, and not what is
free at the moment: the same picture gives the same pixels on any machine."""
OVERLAP = 1 / 8
"""Of a tile's side: what it shares at least with its neighbour, over which the two are blended."""


@dataclass(frozen=True)
class Trained:
    """A run's generator with its weights."""

    dataset: str
    method: str
    seed: int
    network: Method
    image_size: tuple[int, int]
    """Height and width that it was trained at."""
    reading: Reading
    """How the conditions that it was trained on were read."""
    device: torch.device
    compute: dict[str, Any]
    """``compute`` of the run's own settings."""

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.method}/{self.seed}"

    @property
    def multiple(self) -> int:
        """Of what heights and widths must be multiples: as the generator says; of one that doesn't, as often as the trained size halves."""
        multiple = getattr(self.network.generator, "multiple", 2 ** halvings(self.image_size))
        assert isinstance(multiple, int)
        return multiple

    def noise(self) -> torch.Generator:
        """The stream that the stage ``translate`` draws from for the test conditions, at its beginning."""
        return seeds.torch_generator(self.dataset, self.method, self.seed, "translate", self.device)

    def bytes_a_pixel(self) -> float:
        """An estimate of the memory that a picture takes: twice the layers' maps that are alive at once, for what a layer needs meanwhile.

        Found by one picture of the trained size, whose maps are counted when a layer makes them and when they go.
        """
        alive = most = 0

        def gone(size: int) -> None:
            nonlocal alive
            alive -= size

        def count(module: torch.nn.Module, given: Any, made: torch.Tensor) -> None:
            nonlocal alive, most
            size = made.numel() * made.element_size()
            alive += size
            most = max(most, alive)
            weakref.finalize(made, gone, size)

        generator = self.network.generator
        hooks = [module.register_forward_hook(count) for module in generator.modules() if not any(True for _ in module.children())]
        with torch.no_grad():
            self.network.translate(torch.zeros(1, self.reading.channels, *self.image_size, device=self.device), self.noise())
        for hook in hooks:
            hook.remove()
        return 2 * most / math.prod(self.image_size)


def load(folder: Path, device: torch.device | None = None, *, conditional: bool = True) -> Trained:
    """The run in ``folder`` as its own files describe it: settings, image size and networks are those of ``run.json``.

    ``conditional``: whether only a generator that answers a condition will do. Raises :class:`UserError`, naming the file, where there is
    none: not trained to the end, diverged, unconditional, made elsewhere, without its weights, or made by another version.
    """
    path = folder / "run.json"
    record = read_record(folder)
    run = f"{record['dataset']}/{record['method']}/{record['seed']}"
    config = record["config"]
    implementation = METHODS[config["method"]["implementation"]]
    if not issubclass(implementation, Method):
        raise UserError(f"{run}: its pictures were made elsewhere, so there is no network here; name a run that was trained")
    if conditional and not implementation.conditional:
        raise UserError(f"{run}: {implementation.about.title} sees no input picture, so it can't translate one; name another run")
    if record["status"] != "ok":
        raise UserError(f"{run}: its training ended as {record['status']!r} ({record['reason']}); name another seed or method")
    settings = _validated(implementation.Settings, config["method"], f"{path}: config.method")
    networks = _validated(Networks, config["networks"], f"{path}: config.networks")
    device = device or torch.device("cpu")
    # Whether the data were paired decides how a generator is trained, and nothing of how it is built.
    data = _validated(SOURCES[config["dataset"]["source"]].Settings, config["dataset"], f"{path}: config.dataset")
    network = models.build(settings, networks, data.height_width, record["supervision"] == "paired", data.channels)
    models.read_weights(network, folder / "model.safetensors", run, device)
    network.generator.eval()
    return Trained(
        record["dataset"], record["method"], record["seed"], network, data.height_width, reading_of(data, "A"), device, config["compute"]
    )


def read_record(folder: Path) -> dict[str, Any]:
    """``run.json`` of a run's folder. Raises :class:`UserError` where there is none, or it is another thing."""
    path = folder / "run.json"
    try:
        record: dict[str, Any] = read_json(path)
        lacking = [key for key in ("dataset", "method", "seed", "status", "supervision", "config") if key not in record]
        lacking += [f"config.{key}" for key in ("compute", "networks", "dataset", "method") if key not in record.get("config", {})]
    except FileNotFoundError:
        raise UserError(f"{path}: not found; expected a run's folder, with run.json and model.safetensors") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a run's record ({error}); expected what the stage 'train' writes") from None
    if lacking:
        raise UserError(f"{path}: {lacking[0]}: missing; expected what the stage 'train' writes")
    return record


M = TypeVar("M", bound=BaseModel)


def _validated(model: type[M], values: Any, where: str) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{where}.{key}: {first['msg']}; the run was made by another version of cgm, so use that one") from None


@dataclass(frozen=True)
class Given(Generic[T]):
    """A picture to translate, uint8 H×W×C, and whatever tells whose it is."""

    key: T
    picture: np.ndarray


class Translator:
    """Translates pictures one after another. ``tile``: a tile's side in pixels; 0 for no tiles; None where :data:`MEMORY` decides.

    Raises :class:`UserError` where a tile is smaller than what the network takes.
    """

    def __init__(self, trained: Trained, tile: int | None = None) -> None:
        self.trained = trained
        multiple = trained.multiple
        if tile is None:
            tile = math.isqrt(int(MEMORY / trained.bytes_a_pixel()))
            tile = max(tile, *trained.image_size)
        elif 0 < tile < (least := max(multiple, SMALLEST)):
            raise UserError(f"--tile: found {tile}, expected {least} or more, which is the least that this network takes; 0: no tiles")
        self.tile = tile // multiple * multiple
        """A multiple of what the network takes; 0 for no tiles."""

    def __call__(self, pictures: Iterable[Given[T]], noise: torch.Generator) -> Iterator[Given[T]]:
        """Each picture translated, at its own size and in its place. Neighbours that are padded to one size share a batch.

        A batch has no more pixels than one of the stage ``translate``, but one picture at least.
        """
        for shape, alike in groupby(pictures, key=lambda given: self.padded(given.picture.shape[0], given.picture.shape[1])):
            while batch := list(islice(alike, self._at_once(*shape))):
                yield from self._batch(batch, shape, noise)

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """The size that a picture of this size is padded to: a multiple of what the network takes, and no less than its least."""
        multiple = self.trained.multiple
        high, wide = (max(-(-side // multiple) * multiple, SMALLEST) for side in (height, width))
        return high, wide

    def tiled(self, height: int, width: int) -> bool:
        """Whether a picture, once padded, goes through in tiles: it has more pixels than one."""
        return 0 < self.tile**2 < height * width

    def _at_once(self, height: int, width: int) -> int:
        return max(1, models.BATCH * math.prod(self.trained.image_size) // (height * width))

    def _batch(self, batch: list[Given[T]], shape: tuple[int, int], noise: torch.Generator) -> Iterator[Given[T]]:
        if self.tiled(*shape):
            for given in batch:
                yield Given(given.key, self._by_tiles(given.picture, noise))
            return
        made = self._translate(np.stack([pad(given.picture, *shape) for given in batch]), noise)
        for given, output in zip(batch, made, strict=True):
            height, width, _ = given.picture.shape
            top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
            yield Given(given.key, output[top : top + height, left : left + width])

    def _by_tiles(self, picture: np.ndarray, noise: torch.Generator) -> np.ndarray:
        """In tiles that overlap: where they do, the share of each falls linearly towards its edge."""
        height, width, _ = picture.shape
        sides = [min(self.tile, side) for side in self.padded(height, width)]
        inside = [max(side, tile) for side, tile in zip((height, width), sides, strict=True)]
        padded = pad(picture, inside[0], inside[1])
        weight = np.minimum.outer(_ramp(sides[0]), _ramp(sides[1]))[:, :, None]
        total, weights = np.zeros((*inside, picture.shape[2]), np.float32), np.zeros((*inside, 1), np.float32)
        for top in starts(inside[0], sides[0]):
            for left in starts(inside[1], sides[1]):
                place = slice(top, top + sides[0]), slice(left, left + sides[1])
                total[place] += weight * self._translate(padded[place][None], noise)[0]
                weights[place] += weight
        total /= weights
        top, left = (inside[0] - height) // 2, (inside[1] - width) // 2
        return np.rint(total[top : top + height, left : left + width]).astype(np.uint8)

    def _translate(self, x: np.ndarray, noise: torch.Generator) -> np.ndarray:
        return models.translate(self.trained.network, x, noise, len(x), self.trained.device)


def pad(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """H×W×C in the middle of height×width, mirrored into what is new; a single row or column is repeated."""
    down, right = height - picture.shape[0], width - picture.shape[1]
    if not (down or right):
        return picture
    return np.pad(picture, ((down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0)), mode="reflect")


def starts(length: int, tile: int) -> list[int]:
    """Where tiles begin along a side of ``length`` ≥ ``tile``: evenly spread, the last ends with it, :data:`OVERLAP` at least is shared."""
    step = tile - math.ceil(tile * OVERLAP)
    count = 1 + -(-(length - tile) // step)
    return [round(index * (length - tile) / max(count - 1, 1)) for index in range(count)]


def _ramp(tile: int) -> np.ndarray:
    """The share of a tile along its side: up from its edge over the least overlap, 1 in between, down again."""
    distance = np.minimum(np.arange(1, tile + 1), np.arange(tile, 0, -1))
    return np.minimum(distance / (math.ceil(tile * OVERLAP) + 1), 1).astype(np.float32)
