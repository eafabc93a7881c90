"""The first part: does a GPU compute what a CPU computes? The tests of ``tests/cuda``, each kept as soon as it has ended."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.clock import Children, Clock
from benchmarks.gpu.plugin import PLACE
from cgm.core.files import write_json

TESTS = "tests/cuda"
WORKERS = 4
"""Processes that test side by side on one GPU, where pytest can (xdist)."""
SECONDS_BETWEEN_LOOKS = 0.2


def check(clock: Clock, until: float, device: str, out: Path, work: Path) -> None:
    """Run the tests until they end or the clock shows ``until``. Writes ``checks.json``: a list, one entry a test."""
    lines, log = work / "checks.jsonl", work / "checks.log"
    lines.touch()
    command = [sys.executable, "-m", "pytest", TESTS, "-q", "-p", "benchmarks.gpu.plugin", "-p", "no:cacheprovider"]
    if device == "cuda" and importlib.util.find_spec("xdist"):
        command += ["-n", str(WORKERS), "--maxschedchunk", "1"]  # in the order of the file
    ended: list[dict[str, Any]] = []
    with Children() as children, lines.open(encoding="utf-8") as source, log.open("w") as output:
        tests = children.start(command, environment={PLACE: str(lines), "CGM_DEVICE": device}, log=output)
        while True:
            over = tests.poll() is not None or clock.gone >= until
            if found := list(_complete(source)):
                ended += found
                write_json(out / "checks.json", {"tests": ended})
            for one in found:
                if one["outcome"] == "failed":
                    clock.say("check failed", one["test"], one["message"].strip().rpartition("\n")[2])
            if over:
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
        code = tests.poll()
    count = {outcome: sum(one["outcome"] == outcome for one in ended) for outcome in ("passed", "failed", "skipped")}
    clock.say(
        "checks", ", ".join(f"{number} {outcome}" for outcome, number in count.items()), "" if code is not None else "stopped: no time left"
    )
    if code not in (None, 0, 1):  # pytest itself could not go on
        clock.say("pytest", f"exit code {code}", log.read_text(encoding="utf-8")[-1000:])


def _complete(source: Any) -> Iterator[dict[str, Any]]:
    """The lines that have come, each with its end."""
    while True:
        place = source.tell()
        line = source.readline()
        if not line.endswith("\n"):
            source.seek(place)
            return
        yield json.loads(line)
