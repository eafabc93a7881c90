"""What `python -m benchmarks.carry` gathers, carried to a machine with another Python and an older torch: stages and measurement run there.

The machine is stood in for by a virtual environment that holds torch and what else ``carry`` believes to be there, and by a folder without
git. torch comes with its CUDA packages, 4 GB the first time: it doesn't import without them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename
from project import Project, pairs_only

from benchmarks.carry import LOCK, read_lock, target
from benchmarks.checkout import checkout_files
from cgm.core.files import read_json
from pipeline.stage_table import load_table

pytestmark = pytest.mark.slow

PYTHON = "3.12"
TORCH = ["torch==2.11.0", "torchvision==0.26.0"]
"""The oldest that the project runs with."""
METHODS = ("pix2pix", "cyclegan")
MEASUREMENT = ["--device", "cpu", "--minutes", "1"]
"""Of `python -m benchmarks.gpu`, in place of what it is given on a GPU."""


def two_methods(raw: dict) -> None:
    """The miniature on pairs, with other methods."""
    methods = {name: raw["methods"][name] for name in METHODS}
    pairs_only(raw)
    raw["methods"] = methods


@dataclass
class Machine:
    """The project's files and what was carried, in ``folder``."""

    folder: Path
    bin: Path
    """Holds python3."""
    line: str
    """What ``carry`` said to run."""

    def run(self, command: str) -> str:
        """In bash, as on that machine. Returns what was printed on standard output."""
        path = os.pathsep.join([str(self.bin), "/usr/bin", "/bin"])
        environment = {"PATH": path, "HOME": str(self.folder), "OUT": str(self.folder / "out"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout


def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False)


def other_python() -> str:
    """Python 3.12, or, which is then said, the one that runs this."""
    found = uv("python", "find", "--no-python-downloads", "--no-project", "--system", PYTHON)
    if found.returncode:
        warnings.warn(f"{sys.executable} stands for Python {PYTHON}, which isn't here: {found.stderr}", stacklevel=1)
        return sys.executable
    return found.stdout.strip()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """With everything set up by the first half of the line that ``carry`` printed."""
    binaries = tmp_path_factory.mktemp("environment") / "venv/bin"
    assert uv("venv", "--seed", "--python", other_python(), str(binaries.parent)).returncode == 0
    install = ("pip", "install", "--python", str(binaries / "python"))
    torch = uv(*install, *TORCH)
    if torch.returncode:
        pytest.skip(f"no package index, or none with {' '.join(TORCH)}: {torch.stderr[-500:]}")
    asked = [str(binaries / "python"), "-c", "import sys; print('{}.{}'.format(*sys.version_info))"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    here = Project(tmp_path_factory.mktemp("here"), two_methods)
    data = here.run(sys.executable, "-m", "snakemake", "--cores", "2", "data/prepared/openmoji")
    assert data.code == 0, data.output
    carried = here.run(sys.executable, "-m", "benchmarks.carry", "--python", version)
    assert carried.code == 0, carried.output

    there = tmp_path_factory.mktemp("there")
    for name in checkout_files(here.folder):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(here.folder / name, there / name)
    shutil.copytree(here.folder / "carry", there / "carry")
    manifest = read_json(there / "carry/manifest.json")
    brought = {parse_wheel_filename(Path(name).name)[0] for name in manifest["files"] if name.startswith("wheels/")}
    lock = read_lock((there / LOCK).read_text(encoding="utf-8"), target(version))
    believed = [lock[name].pin for name in manifest["requirements"] if name not in {*brought, "torch", "torchvision"}]
    rest = uv(*install, *TORCH, *believed)
    assert rest.returncode == 0, rest.stderr
    made = Machine(there, binaries, carried.output.splitlines()[-1])
    made.run(made.line.partition(" && ")[0])
    return made


@pytest.fixture
def run(machine: Machine) -> Callable[[str], str]:
    """Runs a command with the packages that were carried, as the second half of the line does."""
    variables, _, _ = machine.line.partition(" && ")[2].partition(" python3 ")
    return lambda command: machine.run(f"{variables} {command}")


def test_torch_is_the_older_one(run):
    version = TORCH[0].partition("==")[2]
    assert run("python3 -c 'import torch; print(torch.__version__)'").startswith(version)


@pytest.mark.parametrize("method", METHODS)
def test_the_stages_run_there(machine, run, method):
    table = load_table(machine.folder)
    for kind in ("reference", "train", "translate", "evaluate"):
        stage = next(stage for stage in table.stages.values() if stage.kind == kind and stage.item.get("method", method) == method)
        arguments = " ".join(f"{key}={value}" for key, value in stage.item.items())
        run(f"python3 -m pipeline.{kind} {arguments}")
        assert all((machine.folder / out).exists() for out in stage.outs)
    assert read_json(machine.folder / f"results/openmoji/{method}/0/run.json")["status"] == "ok"


def test_the_measurement_runs_there(machine, run):
    run(f'python3 -m benchmarks.gpu {" ".join(MEASUREMENT)} --out "$OUT"')
    assert any((machine.folder / "out").iterdir())
