"""A copy of the project to run the engines in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.page import ROOT
from cgm.core.errors import UserError

LEFT_OUT = ("reports/", "tests/", "dvc.lock")
"""Results, and what no stage reads."""


def copy_checkout(folder: Path) -> None:
    """Copy the checkout into ``folder``, with what is not committed and without what git ignores."""
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise UserError(f"{ROOT}: git ls-files: {' '.join(listed.stderr.split())}; run the command in a git checkout of the project")
    for name in listed.stdout.split("\0"):
        if name and not name.startswith(LEFT_OUT) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def environment() -> dict[str, str]:
    """For the engines in a copy: ``python`` is this interpreter, and bytecode is kept, so that nothing here times the compiler."""
    own = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "true"}
    own.pop("PYTHONDONTWRITEBYTECODE", None)
    return own
