"""What `make setup` would do, said by make itself: nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project import ROOT


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A project with an environment as `make setup` leaves it: links to an interpreter, and commands that name their folder."""
    folder = tmp_path / "a project"
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "requirements-weights.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    base = tmp_path / "python"
    base.symlink_to(sys.executable)
    (folder / ".venv/bin/python").symlink_to(base)
    (folder / ".venv/bin/snakemake").write_text(f"#!/bin/sh\n'''exec' \"{folder}/.venv/bin/python\" \"$0\" \"$@\"\n' '''\n")
    mark = folder / ".venv/.installed"
    mark.touch()
    os.utime(mark, (time.time() + 1,) * 2)
    return folder


def planned(folder: Path) -> str:
    # Under `make test` the outer make hands its flags down, and the inner one would tell of folders and levels.
    alone = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    return subprocess.run(["make", "-n", "setup"], cwd=folder, env=alone, capture_output=True, text=True, check=True).stdout


def test_a_setup_that_is_done_costs_nothing(installed: Path) -> None:
    assert planned(installed) == "make: Nothing to be done for 'setup'.\n"


def test_packages_are_brought_up_to_date_without_a_new_environment(installed: Path) -> None:
    later = time.time() + 60
    os.utime(installed / "requirements.lock", (later, later))
    assert "pip install" in planned(installed)
    assert "-m venv" not in planned(installed)


def test_a_renamed_folder_gets_a_new_environment(installed: Path) -> None:
    assert "python3 -m venv --clear .venv" in planned(installed.rename(installed.with_name("another name")))


@pytest.mark.parametrize("lost", ["../python", ".venv/bin/snakemake", ".venv"])
def test_so_does_one_without_its_python_or_half_of_a_setup(installed: Path, lost: str) -> None:
    path = installed / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "python3 -m venv --clear .venv" in planned(installed)
