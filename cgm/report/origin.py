"""Which commit's code rendered a report and trained its runs. No file of a run says that.

A report is rendered from files, and rendering it again has to give the same bytes, at a later commit too. So its origin is one of these
files, ``provenance.json``: the stage writes it, and a rendering reads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

FILE = "provenance.json"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """``identity``: of the runs' files that were read, and of the code that renders; see :func:`identity`."""

    commit: str = ""
    """40 hexadecimal digits; empty: not known."""
    date: str = ""
    """The commit's: ``2026-01-31``."""
    changed: tuple[str, ...] = ()
    """Files that differed from the commit, or weren't in it."""
    other_code: tuple[str, ...] = ()
    """Runs ``dataset/method/seed`` that other code than the commit's had trained."""
    identity: str = ""
    without: Mapping[str, str] = field(default_factory=dict)
    """Runs that were left out, as :func:`cgm.report.results.collect` takes them."""

    @property
    def clean(self) -> bool:
        """Whether the commit says all about the code."""
        return bool(self.commit) and not self.changed and not self.other_code

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "without": dict(self.without)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Origin:
        """``ValueError``, ``TypeError``, ``AttributeError`` or ``RecursionError`` for any other text."""
        value = json.loads(text)
        return cls(**{**value, "changed": tuple(value.get("changed", ())), "other_code": tuple(value.get("other_code", ()))})


UNKNOWN = Origin()


def identity(results_csv: str, records: list[dict[str, object]], code: str) -> str:
    """SHA-256 over every value, every ``run.json`` and the fingerprint of the report's code: everything that a table depends on."""
    parts = [results_csv, json.dumps(records, sort_keys=True), code]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
