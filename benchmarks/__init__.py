"""Measurements of this project, each a command that can renew its own sections of ``docs/performance.md`` or ``docs/metrics.md``; run from
the repository's root.

Nobody edits the figures there: a section stands between two comments, and the rest of the page is left alone.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cgm.errors import UserError
from cgm.files import write_text

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/performance.md")
TITLE = "# Performance\n\nEvery section is written by the command that it names. Figures are of one machine at one time.\n"
LEFT_OUT = ("reports/", "tests/", "dvc.lock")
"""What a copy of the project begins without: results, and what no stage reads."""


def copy_checkout(folder: Path) -> None:
    """The checkout as it stands, with what is not committed and without what git ignores, copied into ``folder``."""
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise UserError(f"{ROOT}: git ls-files: {' '.join(listed.stderr.split())}; run the command in a git checkout of the project")
    for name in listed.stdout.split("\0"):
        if name and not name.startswith(LEFT_OUT) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def environment() -> dict[str, str]:
    """For the engines in a copy: ``python`` is this interpreter."""
    own = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "true"}
    # Hundreds of jobs import the same modules; nothing here shall time the compiler.
    own.pop("PYTHONDONTWRITEBYTECODE", None)
    return own


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
