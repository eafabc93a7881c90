"""The benchmark commands at tiny sizes: they run, and write what they say into their own sections."""

from __future__ import annotations

import sys

import pytest

from benchmarks import discrimination, metrics, renew_section
from benchmarks.generators import GENERATORS
from benchmarks.tolerances import Claim
from cgm.errors import UserError
from cgm.metrics import METRICS


def test_a_section_is_renewed_and_the_rest_of_the_page_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- one: generated, do not edit -->\nold\n<!-- end of one -->\n\nby hand\n", encoding="utf-8")
    renew_section("one", "new", page)
    renew_section("two", "added", page)
    assert page.read_text(encoding="utf-8") == (
        "# Title\n\n<!-- one: generated, do not edit -->\nnew\n<!-- end of one -->\n\nby hand\n\n"
        "<!-- two: generated, do not edit -->\nadded\n<!-- end of two -->\n"
    )


def test_claims_say_what_they_assert():
    rows = {"a": {"kid": 0.2}, "b": {"kid": 0.1}}
    assert Claim(metric="kid", generator="a", low=0.1).holds(rows)
    assert not Claim(metric="kid", generator="a", high=0.1).holds(rows)
    relative = Claim(metric="kid", generator="a", low=1.5, high=2.5, over="b")
    assert relative.holds(rows)
    assert relative.text() == "a: 1.5…2.5 × b"
    assert not Claim(metric="kid", generator="b", low=1.5, over="a").holds(rows)


def test_discrimination(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["discrimination", "--count", "12", "--limit", "20", "--splits", "1"])
    discrimination.main()
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    for name in GENERATORS:
        assert sum(line.startswith(f"| {name} |") for line in lines) >= 2, name
    for name in METRICS:
        assert f"| `{name}` |" in printed
    assert len({line.count("|") for line in lines if line.startswith(tuple(f"| {name} |" for name in GENERATORS))}) == 3  # three tables


def test_both_sides_of_the_metrics_benchmark_agree(tmp_path):
    metrics.make(tmp_path, 64, 12, 24)
    ours, packages = (metrics.SIDES[side](tmp_path, 12, 24, 1) for side in ("ours", "packages"))
    metrics.check_agreement(ours["values"], packages["values"])
    assert len(packages["values"]) == len(metrics.AGREEING)
    assert ours["peak_mib"] > 100
    assert [len(times) for times in packages["seconds"].values()] == [1] * 6
    with pytest.raises(UserError, match="fid: found"):
        metrics.check_agreement({**ours["values"], "fid": 1.0}, packages["values"])


@pytest.mark.slow
def test_the_metrics_command():
    text = metrics.measure([64], tests=12, trains=24, repeats=1, threads=1)
    assert "| 64 px | packages |" in text
    assert "12 × 24 × 1280" in text
