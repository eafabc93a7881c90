"""``claims.yaml``: what is claimed, and what would show it, to be written down before the results are looked at.

Every mistake in the file is one line that names the file, the claim and the key. ``docs/claims.md`` describes it for users.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from cgm.core.errors import UserError
from cgm.core.registry import nearest
from cgm.core.settings import Model, Positive
from cgm.experiment.reading import explain, read_yaml

LEDGER = Path("claims.yaml")
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Name], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


def _in_one_line(value: Any) -> Any:
    """Of a text in several lines, as YAML's ``>`` and ``|`` have it: it stands in cells of tables."""
    return " ".join(value.split()) if isinstance(value, str) else value


def _printable(text: str) -> str:
    if strange := [character for character in text if not character.isprintable()]:
        raise ValueError(f"found the character {strange[0]!r}, expected a text without control characters")
    return text


LARGEST = 1e100
"""No metric is as large, and sums of squares of larger numbers may be beyond what a float holds."""
Text = Annotated[str, BeforeValidator(_in_one_line), Field(min_length=1), AfterValidator(_printable)]
Expected = Literal["higher", "lower", "nearer", "same"]
Row = Annotated[str, Field(pattern=r"^(baseline|floor):[a-z_]+$|^chance$")]
"""Of the reference: what needs no training, what real images score against real ones, what guessing scores."""


class Against(Model):
    """The other side of a comparison: exactly one of its keys, or ``arm`` and ``metric`` together."""

    arm: Name | None = None
    """Another entry of ``methods``, on the same metric."""
    metric: Name | None = None
    """Another metric, of the same arm (or of ``arm``)."""
    value: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] | None = None
    """A number."""
    row: Row | None = None
    """A row of the reference: ``baseline:copy_input``, ``floor:real``, ``chance``."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1 and given != ["arm", "metric"]:
            raise ValueError(f"found {' and '.join(given) or 'nothing'}, expected one of arm, metric, value, row, or arm and metric")
        return self

    def __str__(self) -> str:
        if self.value is not None:
            return f"{self.value:g}"
        return " ".join(part for part in (self.arm, self.metric, self.row) if part)


class Test(Model):
    """One comparison, which can be true or false of a dataset."""

    __test__ = False
    """No test of pytest's."""

    metric: Name
    """A measure, as ``results.csv`` and ``metrics.json`` name it (``kid``, ``kid:inception-2015``), or a quantity
    (:data:`cgm.report.quantities.QUANTITIES`)."""
    arm: Name
    """The entry of ``methods`` that the test speaks of."""
    against: Against
    contrast: Literal["difference", "ratio"] = "difference"
    """How the sides are compared: a − b, or a ÷ b (positive numbers), whose logarithm is tested."""
    expect: Expected
    """Of the arm beside the other side. ``nearer``: to the metric's target. ``same``: within δ."""
    delta: Annotated[Positive, Field(le=LARGEST)]
    """δ, the smallest difference that matters, in the metric's unit; of a ratio as a share: 0.1 is 10% more."""
    because: Text
    """Why it is this one, in a sentence."""

    @model_validator(mode="after")
    def _unlike(self) -> Self:
        against = self.against
        if (against.arm or against.metric) and (against.arm or self.arm, against.metric or self.metric) == (self.arm, self.metric):
            raise ValueError(f"against: found {against}, the very thing that stands against it; expected another arm or metric")
        return self


class Claim(Model):
    """A statement, and the tests of which all have to hold if it is to hold."""

    id: str
    sentence: Text
    """The statement, in words that need no context."""
    source: Text
    datasets: Annotated[Names, Field(min_length=1)]
    """Names, or groups of ``params.yaml``: ``paired``, ``unpaired``, ``all``. ``networks``: the frozen networks that the experiment looks
    through, in place of datasets."""
    not_on: Names = Field(default=[])
    """Datasets of the group of which the claim doesn't speak."""
    tests: Annotated[list[Test], Field(min_length=1)]
    min_seeds: Annotated[int, Field(ge=2)] = 3
    """Fewer seeds with values: NOT TESTED."""
    competent: bool = False
    """If true, a claim whose arms were not trained to competence is NOT TESTED. Otherwise the finding only names such arms."""
    control: Text
    """What else could bring the effect about, and how it is held off."""
    caveat: Text
    """What the verdict doesn't say."""

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(arm for test in self.tests for arm in (test.arm, test.against.arm) if arm))


@dataclass(frozen=True)
class Ledger:
    """The claims in the file's order. ``sha256``: of the file; empty where there is none."""

    claims: tuple[Claim, ...]
    sha256: str = ""
    name: str = str(LEDGER)


NONE = Ledger(())


def load_ledger(path: str | Path = LEDGER) -> Ledger:
    """Read and validate ``claims.yaml``; an empty ledger where there is no such file. Raises :class:`UserError`."""
    path = Path(path)
    if not os.path.lexists(path):  # a link to nothing is a mistake
        return NONE
    raw = read_yaml(path, remedy="write it, or leave it out")
    return Ledger(parse_claims(raw, name=path.name), hashlib.sha256(path.read_bytes()).hexdigest(), path.name)


def parse_claims(raw: Any, *, name: str = str(LEDGER)) -> tuple[Claim, ...]:
    """Validate what YAML gave; see :func:`load_ledger`."""
    if not isinstance(raw, dict) or not isinstance(raw.get("claims"), list):
        inside = raw.get("claims") if isinstance(raw, dict) else raw
        found = "nothing" if inside is None else f"a {type(inside).__name__}"
        where = "claims: " if isinstance(raw, dict) and "claims" in raw else ""
        raise UserError(f"{name}: {where}found {found}, expected claims: [...], a list under this key; for no claims, claims: []")
    if unknown := [str(key) for key in raw if key != "claims"]:
        raise UserError(f"{name}: {unknown[0]}: unknown key{nearest(unknown[0], ['claims'])}")
    claims: dict[str, Claim] = {}
    for place, entry in enumerate(raw["claims"], start=1):
        if not isinstance(entry, dict):
            raise UserError(f"{name}: claim {place}: found {entry!r}, expected a mapping of settings")
        identity = entry.get("id")
        if not isinstance(identity, str) or not ID.fullmatch(identity):
            raise UserError(f"{name}: claim {place}: id: found {identity!r}, expected lower-case letters and digits, joined by hyphens")
        if identity in claims:
            raise UserError(f"{name}: {identity}: id: stands there twice; give one of the claims another")
        try:
            claims[identity] = Claim.model_validate(entry)
        except ValidationError as error:
            raise UserError(f"{name}: {identity}: {explain(error, Claim)}") from None
    return tuple(claims.values())
