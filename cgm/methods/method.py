"""The contract of a method: settings, build, step, translate. And that of pictures which were made elsewhere.

A method is one file. It says what it is (:attr:`Method.about`), which settings it has, which networks it trains, and in ``step`` what the
losses of each *player* (``G``, ``D``) are. It hands them to ``update``, which the training loop supplies: it adds the terms,
differentiates, and lets that player's optimiser step. The loop knows no method by name.

Neither this module nor a method's file imports torch when it is read (:mod:`cgm.core.lazy`), since ``params.yaml`` is checked against them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field, ValidationInfo, field_validator

from cgm.core import own
from cgm.core.lazy import nn
from cgm.core.registry import About, Entry
from cgm.core.settings import Count, Model, NonNegative, Positive
from cgm.networks import GENERATORS
from cgm.networks.own import check_sizes
from cgm.networks.settings import Changes

if TYPE_CHECKING:
    import numpy as np
    import torch

    from cgm.data.batches import Batch
    from cgm.data.prepared import Prepared
    from cgm.data.sources.source import Dataset
    from cgm.networks.builder import Builder

Supervision = Literal["paired", "unpaired", "target only"]
Update = Callable[[str, "Mapping[str, torch.Tensor]"], None]
"""``update(player, terms)``: one optimiser step of ``player`` on the sum of ``terms`` (already weighted)."""


class MethodSettings(Model):
    """What every method's entry in ``params.yaml`` may hold; a method adds the λ's of its paper."""

    implementation: str
    """Which method this is; the entry's own name unless given, so that an entry can be a variant of another."""


class TrainedSettings(MethodSettings):
    """Of a method that is trained."""

    learning_rate: Positive | None = None
    """In place of ``training.learning_rate``."""
    batch_size: Count | None = None
    """In place of ``training.batch_size``."""
    kimg: Positive | None = None
    """In place of the dataset's budget: for a loss that needs another number of images. The tables of cost show it."""
    ema_kimg: NonNegative = 0.0
    """Half-life, in thousands of images that G sees, of the moving average of G's weights that translates in place of the last ones (Karras
    et al. 2018, section 5). 0: none."""
    networks: Changes | None = None
    """Sizes that this entry has in place of those in ``networks``: ``{patchgan: {layers: 3}}``; the others stay."""


class TranslatorSettings(TrainedSettings):
    """Of a method whose generator makes an image from an image."""

    generator: Annotated[str, Entry(GENERATORS)] = "unet"
    sizes: dict[str, bool | int | float | str | None] = Field(default={}, validate_default=True)
    """Keyword arguments of a generator of the user's own; ours have theirs in ``networks``."""

    @field_validator("sizes")
    @classmethod
    def _of_the_generator(cls, sizes: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if own.is_place(name := info.data.get("generator", "")):
            check_sizes(GENERATORS[name], sizes)
        elif sizes:
            raise ValueError(f"found {sizes}, but {name!r} has its sizes in networks.{name}; set them there")
        return sizes


class Buffer(Protocol):
    """What a method remembers from step to step beside networks and optimisers; checkpoints hold it.

    A step may be recorded once and replayed (:mod:`cgm.training.capture`). What the host decides anew for each step is therefore decided
    in ``draw``, before it, and laid where the step reads it.
    """

    def draw(self, count: int) -> None:
        """Before each step, of ``count`` images."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One term of an equation, as reports show it."""

    text: str
    weight: float | None = None
    """None: 1, and not shown."""
    symbol: str = ""
    adversarial: str = ""
    """The form, where ``text`` is D's output for a fake."""


class Implementation:
    """What an entry of ``methods`` may be: a :class:`Method`, which is trained here, or pictures that come from :class:`Elsewhere`."""

    about: ClassVar[About]
    Settings: ClassVar[type[MethodSettings]]
    needs_pairs: ClassVar[bool] = True
    """Whether it can be trained on aligned pairs only."""
    cost: ClassVar[float] = 1.0
    """A step's time beside a regression's. Only the order in which trainings start depends on it."""
    conditional: ClassVar[bool] = True
    """Whether the output answers a condition x."""

    @classmethod
    def misfit(cls, settings: Any, paired: bool) -> str:
        """What of an entry can't be used with aligned pairs, or without them (``paired``): ``key: what is wrong``; empty where all can."""
        return ""

    @classmethod
    def objective(cls, settings: Any) -> list[Shown]:
        """The equation that G minimises with these settings; by default what the record says."""
        return [
            Shown(
                text=part.text,
                weight=getattr(settings, part.weight) if part.weight else None,
                symbol=part.symbol,
                adversarial=settings.adversarial if part.adversarial else "",
            )
            for part in cls.about.objective
        ]

    @classmethod
    def identity(cls, settings: Any, dataset: str, root: Path) -> dict[str, Any]:
        """What beside code and settings must change for a run to be made again; JSON. None for what can't be told now."""
        return {}


class Method(Implementation, ABC):
    """One loss formulation with its networks."""

    stochastic: bool = False
    """Whether translate draws noise: repeated calls give samples."""

    def __init__(self, settings: Any, networks: Builder, paired: bool) -> None:
        """Build the networks (uninitialised weights).

        ``settings``: of this method's ``Settings``. ``paired``: whether the dataset's x and y are aligned.
        """
        self.settings = settings
        self.dataset_paired = paired
        self.players: dict[str, nn.ModuleDict] = {}
        """Networks by player; each player has one optimiser."""
        self.buffers: dict[str, Buffer] = {}
        self.receptive_field: int | None = None
        self.loss_network: list[dict[str, str]] = []
        """The frozen networks that the loss looks through, for ``run.json``: the ``name`` of each and the ``sha256`` of its weights."""
        self.build(networks)

    @property
    def supervision(self) -> Supervision:
        return "paired"

    @property
    def generator(self) -> nn.Module:
        """G, the network that translates."""
        return self.players["G"]["G"]

    @abstractmethod
    def build(self, networks: Builder) -> None:
        """Call :meth:`player` for each player."""

    def player(self, name: str, **networks: nn.Module) -> None:
        """``player("D", D=…)``: networks that one optimiser trains."""
        self.players[name] = nn.ModuleDict(networks)

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        """Before training: load fixed networks, measure what the loss needs of the target domain, make pools.

        ``targets``: a fixed sample of training targets, N×3×S×S in [-1, 1]. ``rng``: seed of the method's own random choices.
        """

    def draw(self, count: int) -> None:
        """Before each step of ``count`` images: what the buffers decide on the host."""
        for buffer in self.buffers.values():
            buffer.draw(count)

    @abstractmethod
    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        """One training step; calls ``update`` once for each player. Returns what else the history shall hold of it, scalars by name.

        All of it happens on the device: a step that reads a value back, or decides by one, can be neither recorded nor overlapped.
        """

    def translate(self, x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """x, N×3×S×S in [-1, 1] → ŷ of the same shape. ``noise`` is drawn from where the method is stochastic."""
        return self.generator(x, noise if self.stochastic else None)


@dataclass(frozen=True)
class Outputs:
    """The pictures that stand for one run."""

    folder: str
    """Where they lie, as the user gave it."""
    sha256: str
    """Over names and contents; seeds whose pictures are the same ones share it."""
    test: np.ndarray
    """uint8 N×S×S×3, one for each test condition, in their order."""
    validation: np.ndarray
    """As many for the first validation conditions (:data:`cgm.data.listing.VALIDATED`), or none."""


class Elsewhere(Implementation, ABC):
    """Pictures that a model outside of this project made: nothing is trained, and the stages take them as they are."""

    @classmethod
    @abstractmethod
    def check(cls, settings: Any, dataset: str, data: Dataset, seeds: Sequence[int], prepared: Prepared | None, root: Path) -> None:
        """Before anything starts: raise :class:`~cgm.core.errors.UserError` where :meth:`outputs` is bound to fail for any of ``seeds``.

        ``data``: the dataset's settings. ``prepared``: the dataset, if it is prepared already. ``root``: the project's.
        """

    @classmethod
    @abstractmethod
    def outputs(cls, settings: Any, prepared: Prepared, seed: int, seeds: Sequence[int]) -> Outputs:
        """The pictures of a run. ``seeds``: all of the experiment.

        Raises :class:`~cgm.core.errors.UserError`, which names them, where some are missing, odd or too many.
        """


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """No gradients for these networks' parameters: in G's step the discriminator passes gradients on and collects none."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)
