"""The generated sections of a page, and the command line that all benchmarks share.

A section stands between two comments. A command replaces its own section and leaves the rest of the page alone.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from cgm.core.errors import UserError
from cgm.core.files import write_text

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/performance.md")
TITLE = "# Performance\n\nEach section names the command that wrote it, the machine and the commit.\n"
Lines = list[list[str]]


def renew_section(name: str, text: str, page: Path) -> None:
    """Put ``text`` between the comments of section ``name``; a page that has no such section yet gets it at its end."""
    opening, closing = f"<!-- {name}: generated, do not edit -->", f"<!-- end of {name} -->"
    section = f"{opening}\n{text.strip()}\n{closing}\n"
    old = page.read_text(encoding="utf-8") if page.exists() else TITLE
    place = re.compile(re.escape(opening) + ".*?" + re.escape(closing) + "\n", re.DOTALL)
    new = place.sub(lambda _: section, old, count=1) if place.search(old) else f"{old.rstrip()}\n\n{section}"
    write_text(page, new)


def run_command(
    parser: argparse.ArgumentParser,
    measure: Callable[[argparse.Namespace], tuple[str, str]],
    argv: Sequence[str] | None = None,
) -> None:
    """Parse the arguments and ``measure``, which returns a section's name and its text; print it, or with ``--write`` renew the section.

    A :class:`~cgm.core.errors.UserError` ends the command with one line and exit code 2.
    """
    parser.add_argument("--write", action="store_true", help=f"renew the section in {PAGE}; otherwise it is printed")
    arguments = parser.parse_args(argv)
    try:
        name, text = measure(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if arguments.write:
        renew_section(name, text, ROOT / PAGE)
    else:
        print(text)


def heading(title: str, command: str, packages: Sequence[str] = ("torch",)) -> str:
    """A section's first lines: machine, versions, date, commit, and the ``command`` (without ``python -m``) that renews it."""
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])
    return (
        f"## {title}\n\n{machine()}; {versions}; {datetime.date.today().isoformat()}, commit {commit()}.\n"
        f"Renewed by `python -m {command} --write`."
    )


def machine() -> str:
    """Processor, cores, system."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    return f"{model[1] if model else platform.processor() or platform.machine()}, {cores()} cores, {platform.system()}"


def cores() -> int:
    """Of those that there are, the ones that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str:
    """The commit that was measured; ``+`` after it where the checkout differs from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--exclude=*", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def thread_limits(threads: int) -> dict[str, str]:
    """Environment variables that hold a process to so many threads."""
    return {f"{name}_NUM_THREADS": f"{threads}" for name in ("OMP", "MKL", "OPENBLAS")}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = True) -> str:
    """Markdown. ``numbers``: all columns but the first hold numbers and are set flush right."""
    rule = ["---", *["---:" if numbers else "---"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def spread(values: Sequence[float], places: int = 1) -> tuple[str, str]:
    """The median, and the least and the greatest value."""
    return f"{statistics.median(values):.{places}f}", f"{min(values):.{places}f}–{max(values):.{places}f}"


def number(value: float) -> str:
    """About three digits."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def progress(*cells: str) -> None:
    """What has been measured, on standard error."""
    print(*filter(None, cells), sep="  ", file=sys.stderr, flush=True)
