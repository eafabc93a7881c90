"""The report of an experiment of which a part failed: ``python -m pipeline.partial_report``, after either engine.

Both engines start the stage ``report`` only when every run is there. What is there is shown all the same, and the rest is marked: a run
whose stage failed names its log. Where a stage failed, files that an earlier experiment left of the stages after it are not read.
"""

from __future__ import annotations

import math
import sys

from cgm.core.errors import UserError
from pipeline import agreement, report
from pipeline.stage_command import INTERRUPTED
from pipeline.stage_table import Stage, Table, load_table

RUN = ("dataset", "method", "seed")


def main() -> None:
    """Nothing is written where no run is whole, or where all are: the report is then what a stage made of it."""
    try:
        table = load_table()
        if not (table.root / agreement.MARK).exists():  # else Snakemake has called this, and done it
            agreement.before(table)
        left_out, interrupted = unfinished(table)
        whole = sum(1 for _ in table.params.runs()) - len(left_out)
        if interrupted or not left_out or not whole:
            return
        report.run(table.params, left_out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{report.FOLDER}/index.html: made of {whole} runs; left out and marked there:", file=sys.stderr)
    for run, log in left_out.items():
        print(f"  {run}: {f'failed, see {log}' if log else 'not made'}", file=sys.stderr)


def unfinished(table: Table) -> tuple[dict[str, str], bool]:
    """Runs without results of the present experiment, each with the log of the stage that failed or ``""``; and whether it was Ctrl-C.

    A stage failed if its log is newer than the mark of this invocation and its outputs are not there.
    """
    mark = table.root / agreement.MARK
    since = mark.stat().st_mtime if mark.exists() else math.inf
    broken: dict[str, str] = {}
    interrupted = False
    for stage in table.jobs():
        if not stage.item:  # track and report, of all runs
            continue
        upstream = [broken[earlier.name] for earlier in table.before(stage) if earlier.name in broken]
        if upstream:
            broken[stage.name] = next(filter(None, upstream), "")
        elif not agreement.is_fresh(table, stage):
            log = table.root / table.log(stage)
            failed = log.exists() and log.stat().st_mtime >= since and not agreement.is_complete(table, stage)
            interrupted |= failed and INTERRUPTED in log.read_text(encoding="utf-8", errors="replace")
            broken[stage.name] = table.log(stage) if failed else ""
    runs = [(stage, broken[stage.name]) for stage in table.stages.values() if stage.name in broken and set(RUN) <= stage.item.keys()]
    return {_run(stage): next((log for other, log in runs if _run(other) == _run(stage) and log), "") for stage, _ in runs}, interrupted


def _run(stage: Stage) -> str:
    return "/".join(stage.item[key] for key in RUN)


if __name__ == "__main__":
    main()
