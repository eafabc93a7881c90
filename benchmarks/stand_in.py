"""What takes the stages' place where the engines are measured: it writes a stage's outputs at once.

``benchmarks.engines`` copies this file into ``pipeline/`` of a throwaway copy of the project; it is used only there.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

JOBS = Path("jobs.txt")
"""A line a job: its stage with arguments, start, end (seconds since the epoch)."""
FILES_IN_FOLDER = 9
"""In each output that is a folder, as many as a prepared dataset has."""


def main(stage: str, outs: Sequence[str]) -> None:
    """The job of one stage; ``outs`` hold ``{dataset}`` and the like for the arguments of the command line."""
    start = time.time()
    arguments = sys.argv[1:]
    item = dict(argument.split("=", 1) for argument in arguments)
    write([out.format(**item) for out in outs])
    with JOBS.open("a", encoding="utf-8") as jobs:
        jobs.write(f"{' '.join([stage, *arguments])}\t{start}\t{time.time()}\n")


def write(outs: Sequence[str]) -> None:
    """The content follows from the output's name and ``params.yaml``, so that a changed parameter changes what later stages read."""
    params = hashlib.sha256(Path("params.yaml").read_bytes()).hexdigest()
    for out in outs:
        path = Path(out)
        for file in [path] if path.suffix else [path / f"{number}.txt" for number in range(FILES_IN_FOLDER)]:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{file} {params}\n", encoding="utf-8")


def write_all() -> None:
    """Every stage's outputs in the table's order, then the record that a Snakemake run leaves: the state after `snakemake all`."""
    from pipeline import agree, stages  # here, since no job needs them

    table = stages.load_table()
    agree.before(table)
    agree.begin(table)
    for stage in table.in_order():
        if stage.kind != "fingerprint":
            write(stage.outs)
    agree.after(table)
