"""Measurements of this project, each a command that can renew its own sections of ``docs/performance.md`` or ``docs/metrics.md``; run from
the repository's root.

Nobody edits the figures there: a section stands between two comments, and the rest of the page is left alone.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from cgm.files import write_text

PAGE = Path("docs/performance.md")
TITLE = "# Performance\n\nEvery section is written by the command that it names. Figures are of one machine at one time.\n"


def renew_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put ``text`` between the comments of section ``name``, at the end of the page if it has no such section yet."""
    opening, closing = f"<!-- {name}: generated, do not edit -->", f"<!-- end of {name} -->"
    section = f"{opening}\n{text.strip()}\n{closing}\n"
    old = page.read_text(encoding="utf-8") if page.exists() else TITLE
    place = re.compile(re.escape(opening) + ".*?" + re.escape(closing) + "\n", re.DOTALL)
    new = place.sub(lambda _: section, old, count=1) if place.search(old) else f"{old.rstrip()}\n\n{section}"
    write_text(page, new)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = True) -> str:
    """Markdown; all columns but the first are ``numbers`` (set flush right), or none is."""
    rule = ["---", *["---:" if numbers else "---"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def machine() -> str:
    """Processor, cores and system, for the line above a table."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model[1] if model else platform.processor() or platform.machine()}, {cores} cores, {platform.system()}"
