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


def checkout_files(root: Path = ROOT) -> list[str]:
    """The files of the checkout in ``root``, relative to its root, with those that are not committed and without those that git ignores.

    Raises :class:`UserError` outside a git checkout.
    """
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise UserError(f"{root}: git ls-files: {' '.join(listed.stderr.split())}; run the command in a git checkout of the project")
    return [name for name in listed.stdout.split("\0") if name and (root / name).is_file()]


def copy_checkout(folder: Path) -> None:
    """Copy the :func:`checkout_files` into ``folder``, less those that are :data:`LEFT_OUT`."""
    for name in checkout_files():
        if not name.startswith(LEFT_OUT):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def environment() -> dict[str, str]:
    """For the engines in a copy: ``python`` is this interpreter, and bytecode is kept, so that nothing here times the compiler."""
    own = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "true"}
    own.pop("PYTHONDONTWRITEBYTECODE", None)
    return own
