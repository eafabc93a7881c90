"""``examples/`` does what docs/methods.md says every method must."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline import cli

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "place", ["examples/charbonnier.py:Charbonnier", "examples/relativistic.py:Relativistic", "examples/dilated.py:Dilated"]
)
def test_the_examples(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    cli.main(["check-method", place])
