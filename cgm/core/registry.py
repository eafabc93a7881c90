"""Things that an experiment is put together from: methods, metrics, networks, sources, figures, tables.

Each is one file with one record, and one line in an explicit list, a :class:`Registry`. A list may be open to records of the user's own,
which are named by their place (:mod:`cgm.core.own`) and need no line. Everything else (settings, validation, the pages of the report, the
order of the trainings) reads the record. The fingerprint of a run leaves out both the lists and what a record says of
itself in words (:class:`About`): another entry, or another wording, changes no result.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from cgm.core import own
from cgm.core.errors import UserError
from cgm.core.settings import Model

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class About:
    """What people read of a thing. No result depends on it."""

    title: str
    short: str = ""
    """For headings; the title where there is none."""
    citation: str = ""
    protocol: str = ""
    """How it is computed, in a sentence."""
    objective: tuple[Part, ...] = ()
    """What the generator minimises, term by term."""
    differences: tuple[str, ...] = ()
    """Where the code departs from the paper, whatever the settings."""
    paper: Mapping[str, object] = field(default_factory=dict)
    """The paper's own values of settings: ``learning_rate`` and its like by their names in ``training``, the networks' as ``unet.width``,
    others as the entry has them."""
    version: int = 1
    """The next number when the meaning of the thing changes; shown with it from 2 on."""

    @property
    def heading(self) -> str:
        return self.short or self.title


@dataclass(frozen=True, kw_only=True)
class Part:
    """One term of an objective: ``λ_p ‖y − G(x)‖₁``."""

    text: str
    weight: str = ""
    """The setting that holds its weight; none: 1."""
    symbol: str = ""
    """The weight's symbol, ``λ_p``."""
    adversarial: bool = False
    """``text`` is D's output for a fake; how it counts is up to the setting ``adversarial``."""


class Registry(Mapping[str, T], Generic[T]):
    """Names of things and where their records stand, as ``package.module:record``; a record is imported when it is asked for."""

    def __init__(self, kind: str, entries: Mapping[str, str], complete: Callable[[Any], T] | None = None) -> None:
        """``kind``: what the entries are, for messages. ``complete``: opens the list to records of the user's own; gets what stands at a
        place and returns the record, or raises ``LookupError``, which says what it is and what was expected.
        """
        self.kind, self._entries, self._complete = kind, dict(entries), complete

    def __getitem__(self, name: str) -> T:
        """Raises :class:`UserError` for an unknown name, an entry behind which there is no record, or a place with another thing."""
        if self._is_own(name) and self._complete is not None:
            try:
                return self._complete(own.load(name))
            except LookupError as error:
                raise UserError(f"{name}: {error}") from None
        if name not in self._entries:
            raise UserError(f"{self.kind} {name!r}: unknown{nearest(name, self)}")
        try:
            found: T = resolve(self._entries[name])
        except LookupError as error:
            raise UserError(f"{self.kind} {name!r}: listed, but {error}; correct its line in the list, or the file") from None
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._entries or self._is_own(name)  # Mapping's own would import the record

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def place(self, name: str) -> str:
        """``package.module:record`` of an entry: what a fingerprint follows."""
        return own.dotted(name) if self._is_own(name) else self._entries[name]

    def _is_own(self, name: object) -> bool:
        """Whether a name is a place; what is there is another question."""
        return self._complete is not None and isinstance(name, str) and name not in self._entries and own.is_place(name)


def resolve(place: str) -> Any:
    """What stands at ``package.module:name``. Raises ``LookupError`` where nothing does."""
    module, _, name = place.partition(":")
    if not (module and name):
        raise LookupError(f"{place!r} is no place; expected package.module:name")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise LookupError(f"{place} can't be imported ({error})") from None
    if not hasattr(found, name):
        raise LookupError(f"{place} isn't there: the module has no {name!r}")
    return getattr(found, name)


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'pix2pix'?``, or what was expected."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(sorted(known))}"


class Entry:
    """Marks a setting that names an entry of a registry: ``Annotated[str, Entry(GENERATORS)]``.

    An unknown name is an error with the nearest known one, and a run's fingerprint follows the entry (:func:`places`). The setting may also
    be a list of names, or none: ``list[Annotated[…]]``, ``Annotated[…] | None``.
    """

    def __init__(self, registry: Registry[Any], accepts: Callable[[Any], bool] | None = None) -> None:
        """``accepts``: which records will do, where not all of them."""
        self.registry, self.accepts = registry, accepts

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, name: str) -> str:
        if name not in self.registry:
            raise ValueError(f"unknown {self.registry.kind} {name!r}{nearest(name, self.registry)}")
        if own.is_place(name):
            try:
                self.registry[name]
            except UserError as error:
                raise ValueError(f"found {name!r}; {error}") from None
        if self.accepts is not None and not self.accepts(self.registry[name]):
            fit = ", ".join(other for other in self.registry if self.accepts(self.registry[other]))
            raise ValueError(f"{self.registry.kind} {name!r} can't be used here; expected one of {fit}")
        return name


class Placed(Model):
    """Settings that are a thing themselves, such as a term of a loss: a run's fingerprint follows their class."""


def places(*settings: BaseModel) -> list[str]:
    """``package.module:record`` of every registry's entry that these settings name, and of all :class:`Placed` among them, sorted."""
    found = set()
    for model in settings:
        if isinstance(model, Placed):
            found.add(f"{type(model).__module__}:{type(model).__qualname__}")
        for name, info in type(model).model_fields.items():
            value = getattr(model, name)
            values = value if isinstance(value, list | tuple) else [value]
            found |= {place for each in values if isinstance(each, BaseModel) for place in places(each)}
            names = [each for each in values if isinstance(each, str)]
            found |= {entry.registry.place(each) for entry in _marks(info) for each in names}
    return sorted(found)


def _marks(info: FieldInfo) -> list[Entry]:
    """The entries that mark a field, also those inside ``… | None`` or ``list[…]``."""
    found, waiting = [], [*info.metadata, info.annotation]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Entry):
            found.append(part)
        waiting += get_args(part)
    return found
