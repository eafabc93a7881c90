"""Which commit's code rendered a report and trained its runs, by git and by the runs' own hashes; found once for each report.

A commit names code for others. That it is the code which trained the runs is not taken on trust: each run recorded the hash of the code
that its training reaches, and the checkout's is compared with it. So the commit may be a later one than the one that was checked out when a
run was trained, as long as nothing that the training reaches has changed.

The file that says so lies in the report. A clean one is kept as long as the runs' files and the report's code are what they were: a report
that is committed, and rendered again at the commit that holds it or at a later one, is the same to the byte.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from cgm.experiment.params import Params
from cgm.report import origin
from cgm.report.origin import Origin
from cgm.report.results import Results, collect, tidy, tidy_csv
from pipeline.code import Code, training_code
from pipeline.fingerprint import report_code

MADE = ("reports/", "dvc.lock")
"""What the stages themselves write and git keeps."""
PROGRAM = "pipeline/report.py"
PARAMS, EXPERIMENTS = "params.yaml", "experiments"


def find(params: Params, folder: Path, without: Mapping[str, str], root: Path = Path()) -> Origin:
    """Of a report that is going to be in ``folder``; ``without``: runs that are left out of it."""
    if not (root / PROGRAM).is_file():
        return Origin(without=without)
    code = Code(root)
    results = collect(params, root, Origin(without=without))
    identity = origin.identity(tidy_csv(tidy(results)), results.records, report_code(params, code))
    before = read(folder)
    if before is not None and before.clean and before.identity == identity:
        return before
    commit, date, changed = checkout(root)
    return Origin(
        commit=commit,
        date=date,
        changed=changed,
        other_code=other_code(results, code) if commit else (),
        identity=identity,
        without=without,
    )


def read(folder: Path) -> Origin | None:
    """Of the report in ``folder``; None where there is none that can be read."""
    try:
        return Origin.from_json((folder / origin.FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def checkout(root: Path) -> tuple[str, str, tuple[str, ...]]:
    """Commit, its date, and what differs from it: changed files, and Python files that it doesn't hold. Empty where git doesn't keep the
    project. A ``params.yaml`` that is an experiment of the commit's doesn't differ: the commit and the experiment's name say all of it.
    """
    if _git(root, "ls-files", "--error-unmatch", PROGRAM) is None or (shown := _git(root, "show", "-s", "--format=%H %cs")) is None:
        return "", "", ()
    commit, date = shown.split()
    lines = (_git(root, "status", "--porcelain", "--no-renames", "--untracked-files=all", "-z") or "").split("\0")
    entries = [(line[:2], line[3:]) for line in lines if line]
    changed = [name for state, name in entries if not name.startswith(MADE) and (state != "??" or name.endswith(".py"))]
    if PARAMS in changed and _is_an_experiment(root, changed):
        changed.remove(PARAMS)
    return commit, date, tuple(sorted(changed))


def _is_an_experiment(root: Path, changed: list[str]) -> bool:
    """Whether ``params.yaml`` is what ``cgm experiment`` makes it of a file that is as the commit has it."""
    kept = [name for name in (_git(root, "ls-files", "-z", EXPERIMENTS) or "").split("\0") if name and name not in changed]
    return (root / PARAMS).is_file() and (root / PARAMS).read_bytes() in [(root / name).read_bytes() for name in kept]


def other_code(results: Results, code: Code) -> tuple[str, ...]:
    """Runs whose training recorded another hash than that of the code which is here."""
    return tuple(
        str(run.run)
        for run in results.all_runs
        if run.record and run.record.get("code_sha256") != training_code(results.params, run.run, code)
    )


def _git(root: Path, *arguments: str) -> str | None:
    """What it prints; None where it fails, or isn't there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
