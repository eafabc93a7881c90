"""The study of the metrics: its claims mean what they say, and its command writes every table."""

from __future__ import annotations

import sys

import pytest

from benchmarks.study import discrimination
from benchmarks.study.generators import GENERATORS
from benchmarks.study.tolerances import Claim
from cgm.evaluation.metrics import METRICS


def test_claims_say_what_they_assert():
    rows = {"a": {"kid": 0.2}, "b": {"kid": 0.1}}
    assert Claim(metric="kid", generator="a", low=0.1).holds(rows)
    assert not Claim(metric="kid", generator="a", high=0.1).holds(rows)
    relative = Claim(metric="kid", generator="a", low=1.5, high=2.5, over="b")
    assert relative.holds(rows)
    assert relative.text() == "a: 1.5…2.5 × b"
    assert not Claim(metric="kid", generator="b", low=1.5, over="a").holds(rows)


@pytest.mark.slow
def test_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["discrimination", "--count", "12", "--limit", "20", "--splits", "1"])
    discrimination.main()
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    for name in GENERATORS:
        assert sum(line.startswith(f"| {name} |") for line in lines) >= 2, name
    for name in METRICS:
        assert f"| `{name}` |" in printed
    assert len({line.count("|") for line in lines if line.startswith(tuple(f"| {name} |" for name in GENERATORS))}) == 3  # three tables
