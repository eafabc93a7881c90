"""Takes a stage's place where the engines are measured: ``python -m benchmarks.stand_in train dataset=… method=… seed=…``.

It writes the stage's outputs at once. Only the copies of the project that :mod:`benchmarks.engines` makes call it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

JOBS = Path("jobs.txt")
"""A line a job: its stage with arguments, start, end (seconds since the epoch)."""
OUTS = Path("outs.json")
"""The stages' outputs, with ``{dataset}`` and the like for the arguments: reading the table would take longer than writing them."""
FILES_IN_FOLDER = 9
"""In each output that is a folder, as many as a prepared dataset has."""


def main() -> None:
    start = time.time()
    stage, *arguments = sys.argv[1:]
    item = dict(argument.split("=", 1) for argument in arguments)
    write([out.format(**item) for out in json.loads(OUTS.read_text(encoding="utf-8"))[stage]])
    with JOBS.open("a", encoding="utf-8") as jobs:
        jobs.write(f"{' '.join([stage, *arguments])}\t{start}\t{time.time()}\n")


def write(outs: Sequence[str]) -> None:
    """Write files whose content depends on their name and on ``params.yaml``, so that a changed parameter reaches the later stages."""
    params = hashlib.sha256(Path("params.yaml").read_bytes()).hexdigest()
    for out in outs:
        path = Path(out)
        for file in [path] if path.suffix else [path / f"{number}.txt" for number in range(FILES_IN_FOLDER)]:
            file.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({str(file): {"params": params}}) if file.suffix == ".json" else f"{file} {params}"  # weights.json is read
            file.write_text(f"{text}\n", encoding="utf-8")


def write_all() -> None:
    """Every stage's outputs in the table's order, then the record that Snakemake leaves: the state after ``snakemake all``."""
    from pipeline import agreement, stage_table  # here, since no job needs them

    table = stage_table.load_table()
    agreement.before(table)
    agreement.begin(table)
    for stage in table.jobs():
        write(stage.outs)
    agreement.after(table)


if __name__ == "__main__":
    main()
