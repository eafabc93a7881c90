"""What must travel to a rented GPU machine, gathered into one folder: ``python -m benchmarks.carry``.

There are Python, CUDA and the packages of ``there.txt``, but no network, git or engine. The project's files travel, and this folder beside
them: the wheels that are missing there, in the versions of ``requirements.lock``, and the experiment's prepared data. The last line that is
printed is the command to run there: :mod:`benchmarks.unpack`, then the measurement.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from benchmarks.checkout import checkout_files
from benchmarks.page import ROOT, progress
from benchmarks.unpack import DATA, MANIFEST, PACKAGES, WEIGHTS, WHEELS, data_sha256
from cgm.core.errors import UserError
from cgm.core.files import replacing, sha256, write_json
from cgm.data.prepared import open_prepared
from cgm.experiment import paths
from cgm.experiment.params import Params
from cgm.experiment.reading import load_params
from cgm.networks.fixed import weights
from pipeline.cli import needed_weights

THERE = Path(__file__).with_name("there.txt")
LOCK = "requirements.lock"
TOOLS = ("psutil", "pytest")
"""Of the optional dependencies: what the benchmarks and the tests on that machine import."""
PLATFORMS = [*(f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)), "manylinux2014_x86_64"]
"""glibc 2.28, as torch's own wheels want it, and older. pip takes each of them by itself; manylinux2014 stands for its forerunners, too."""
ENTRY = re.compile(r"^(?=\w)([^\\#\n]+?) *\\\n((?: +--hash=\S+(?: *\\)?\n)+)", re.MULTILINE)
"""A package in the lock: its requirement, and the lines with its hashes."""
PRESET = 3
"""Of xz: a megabyte of seven less than gzip. From 4 on, half a megabyte less takes minutes rather than seconds."""
MIB = 1 << 20
NAMED = 5
"""Parts that are named where all of them are too large."""
COMMAND_LIMIT = 2000
"""Characters of the command to run there."""


@dataclass(frozen=True)
class Locked:
    """A package as ``requirements.lock`` pins it."""

    requirement: Requirement
    """Name, version and the environments that it is meant for."""
    hashes: tuple[str, ...]
    """``sha256:…``, one for each of its files."""

    @property
    def pin(self) -> str:
        """``name==version``."""
        return f"{self.requirement.name}{self.requirement.specifier}"

    @property
    def line(self) -> str:
        """For a file that pip reads."""
        return " ".join([self.pin, *(f"--hash={digest}" for digest in self.hashes)])


def target(python: str) -> dict[str, str]:
    """What environment markers see on a machine with Linux, x86-64 and CPython ``python`` (``3.12``)."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }


def read_lock(text: str, environment: dict[str, str]) -> dict[str, Locked]:
    """The packages of a lock file that are meant for ``environment``, by their normalised names."""
    entries = [Locked(Requirement(found[1]), tuple(re.findall(r"--hash=(\S+)", found[2]))) for found in ENTRY.finditer(text)]
    chosen = [entry for entry in entries if entry.requirement.marker is None or entry.requirement.marker.evaluate(environment)]
    return {canonicalize_name(entry.requirement.name): entry for entry in chosen}


def read_there(path: Path) -> dict[str, Version | None]:
    """The packages that the machine has, by their normalised names; ``None`` for a version that isn't given.

    Raises :class:`UserError` where the file can't be read or a line is neither a name nor ``name==version``.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read ({error}); expected what `python3 -m pip list --format=freeze` prints there") from None
    found: dict[str, Version | None] = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in lines)):
        name, _, version = line.partition("==")
        try:
            found[canonicalize_name(name, validate=True)] = Version(version) if version else None
        except (InvalidVersion, ValueError):
            raise UserError(f"{path}: found {line!r}, expected a package's name or name==version, one a line") from None
    return found


def direct_requirements(pyproject: str) -> list[Requirement]:
    """What the stages, the benchmarks and the tests there import, of the text of ``pyproject.toml``."""
    project = tomllib.loads(pyproject)["project"]
    optional = [Requirement(line) for group in project["optional-dependencies"].values() for line in group]
    return [*map(Requirement, project["dependencies"]), *(each for each in optional if each.name in TOOLS)]


def installed_requirements(name: str) -> list[str]:
    """What the package ``name`` requires, read where it is installed: here, where the lock's versions are."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        raise UserError(f"{name}: not installed here, where its requirements are read; run `make setup`") from None


def choose(
    roots: Iterable[Requirement],
    there: Mapping[str, Version | None],
    environment: dict[str, str],
    requires: Callable[[str], Iterable[str]] = installed_requirements,
) -> tuple[dict[str, SpecifierSet], list[str]]:
    """Everything that ``roots`` need on the machine, with the versions that will do; and of it what is missing there, sorted.

    A package that is ``there`` without a version is taken to do, and to have what it requires itself.
    """
    asked: dict[str, SpecifierSet] = {}
    followed: set[tuple[str, frozenset[str]]] = set()
    missing: set[str] = set()
    left = deque(roots)
    while left:
        requirement = left.popleft()
        name = canonicalize_name(requirement.name)
        asked[name] = asked.get(name, SpecifierSet()) & requirement.specifier
        if name in there:
            version = there[name]
            if version is None or requirement.specifier.contains(version, prereleases=True):
                continue
        missing.add(name)
        wanted = name, frozenset(requirement.extras)
        if wanted not in followed:
            followed.add(wanted)
            extras = requirement.extras or {""}
            left += [
                each
                for each in map(Requirement, requires(name))
                if each.marker is None or any(each.marker.evaluate({**environment, "extra": extra}) for extra in extras)
            ]
    return asked, sorted(missing)


def pin(names: Iterable[str], lock: Mapping[str, Locked]) -> list[Locked]:
    """Raises :class:`UserError` for a name that the lock lacks."""
    names = list(names)
    if absent := [name for name in names if name not in lock]:
        raise UserError(f"{LOCK}: no entry for {', '.join(absent)}; compile it anew, its first lines say how")
    return [lock[name] for name in names]


def download(packages: Sequence[Locked], python: str, out: Path) -> None:
    """The wheels of ``packages`` into the folder ``out``, their hashes checked.

    Raises :class:`UserError` with pip's own words where one can't be had.
    """
    out.mkdir(parents=True)
    if not packages:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("".join(f"{package.line}\n" for package in packages), encoding="utf-8")
        platforms = [f"--platform={name}" for name in PLATFORMS]
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:",
            f"--python-version={python}", "--implementation=cp", *platforms, f"--dest={out}", f"--requirement={file}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"pip download of the wheels: {' '.join(done.stderr.split())}; it needs pip here and a package index")


def check_data(params: Params, root: Path) -> dict[str, Path]:
    """The experiment's prepared datasets below ``root``, by name.

    Raises :class:`UserError`, which names the command that makes them, where one is missing, damaged, or of other settings.
    """
    folders = {name: root / paths.prepared(name) for name in params.all_datasets}
    remedy = f"run `snakemake --cores 2 {' '.join(str(paths.prepared(name)) for name in folders)}`"
    for name, folder in folders.items():
        if not folder.is_dir():
            raise UserError(f"{folder}: not found; {remedy}")
        prepared = open_prepared(folder)
        settings = params.all_datasets[name].model_dump(include={"source", "variant", "image_size", "limit"})
        for key, expected in {**settings, "paired": params.is_paired(name)}.items():
            if prepared.card[key] != expected:
                raise UserError(f"{folder}: {key} is {prepared.card[key]!r}, expected {expected!r} as in params.yaml; {remedy}")
        if data_sha256(folder) != prepared.data_sha256:
            raise UserError(f"{folder}: its arrays aren't those that its card was written for; remove it and {remedy}")
    return folders


def pack(folder: Path, out: Path) -> None:
    """A prepared dataset as one archive, without the marks of an engine."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out, "w:xz", preset=PRESET) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                archive.add(file, file.relative_to(folder).as_posix())


def copy_weights(params: Params, out: Path) -> None:
    """The published weights that trainings need and that are here; says on standard error which aren't. Evaluation is done here."""
    if params.weights is not None:
        weights.use_folder(params.weights)
    for name in needed_weights(params, evaluation=False):
        if (found := weights.verified(name)) is None:
            progress(f"note: the weights {name} are not here and will be missing there; `cgm weights {name}` brings them")
        else:
            out.mkdir(exist_ok=True)
            shutil.copy2(found[0], out)


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file below ``folder``, by its path there."""
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in sorted(folder.rglob("*")) if file.is_file()}


def check_size(parts: Mapping[str, int], tree: int, limit: float) -> None:
    """Raise :class:`UserError`, which names the largest of ``parts``, where they and the ``tree``, all bytes, exceed ``limit`` MiB."""
    total = sum(parts.values()) + tree
    if total > limit * MIB:
        largest = sorted(parts, key=lambda name: -parts[name])[:NAMED]
        raise UserError(
            f"found {mebibytes(total)}, {mebibytes(tree)} of it the project's own files, expected at most {limit:g} MiB; the largest parts:"
            f" {', '.join(f'{name} {mebibytes(parts[name])}' for name in largest)}; take datasets or judges out of params.yaml, list"
            " packages that are there with --there, or raise --limit if the machine takes more"
        )


def mebibytes(size: int) -> str:
    return f"{size / MIB:.1f} MiB"


def command(carried: Path, parts: Iterable[str]) -> str:
    """The line to run there, in the project's folder; ``$OUT`` is where the results shall lie."""
    variables = [f'PYTHONPATH="$PWD/{PACKAGES}${{PYTHONPATH:+:$PYTHONPATH}}"']
    if any(part.startswith(f"{WEIGHTS}/") for part in parts):
        variables.append(f'{weights.ENVIRONMENT}="$PWD"/{shlex.quote(f"{carried}/{WEIGHTS}")}')
    line = (
        f"python3 -m benchmarks.unpack {shlex.quote(str(carried))}"
        f' && {" ".join(variables)} python3 -m benchmarks.gpu --minutes 8 --out "$OUT"'
    )
    if len(line) >= COMMAND_LIMIT:
        raise UserError(f"--out: the command to run there has {len(line)} characters, expected under {COMMAND_LIMIT}; use a shorter name")
    return line


def carry(root: Path, out: Path, there: Path, python: str, limit: float) -> None:
    """Make the folder ``root / out`` from the project in ``root``, all of it or nothing; print what it holds and the command to run there.

    Raises :class:`UserError` where the prepared data or a wheel can't be had, or where all of it is larger than ``limit`` MiB.
    """
    params = load_params(root / "params.yaml")
    environment = target(python)
    lock = read_lock((root / LOCK).read_text(encoding="utf-8"), environment)
    roots = direct_requirements((root / "pyproject.toml").read_text(encoding="utf-8"))
    asked, missing = choose(roots, read_there(there), environment)
    folders = check_data(params, root)
    tree = sum((root / name).stat().st_size for name in checkout_files(root))
    with replacing(root / out) as temporary:
        download(pin(missing, lock), python, temporary / WHEELS)
        for name, folder in folders.items():
            pack(folder, temporary / DATA / f"{name}.tar.xz")
        copy_weights(params, temporary / WEIGHTS)
        write_json(
            temporary / MANIFEST,
            {
                "python": python,
                "requirements": {name: str(specifier) for name, specifier in asked.items()},
                "files": {name: sha256(temporary / name) for name in sizes(temporary)},
                "datasets": {str(paths.prepared(name)): data_sha256(folder) for name, folder in folders.items()},
            },
        )
        parts = sizes(temporary)
        check_size(parts, tree, limit)
        line = command(out, parts)
    for name, size in parts.items():
        print(f"{mebibytes(size):>10}  {name}")
    print(f"{mebibytes(sum(parts.values())):>10}  {out}: {len(missing)} wheels, {len(folders)} datasets")
    print(f"{mebibytes(tree):>10}  the project's own files")
    print(f"{mebibytes(sum(parts.values()) + tree):>10}  of {limit:g} MiB\n\nBring the project's files and {out}; run there:\n\n{line}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.carry", description="Gather what must travel to a rented GPU machine.")
    parser.add_argument(
        "--out", type=Path, default=Path("carry"), help="a folder that git ignores, below the project's (default: %(default)s)"
    )
    parser.add_argument(
        "--there",
        type=Path,
        default=THERE,
        metavar="FILE",
        help="what `python3 -m pip list --format=freeze` prints there (default: what a CUDA image for machine learning usually holds)",
    )
    parser.add_argument("--python", default="3.12", metavar="X.Y", help="Python's version there (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=64, metavar="MIB", help="of the project's files and the folder (default: 64)")
    arguments = parser.parse_args()
    if not re.fullmatch(r"3\.\d+", arguments.python):
        parser.error(f"--python {arguments.python}: expected two numbers, such as 3.12")
    try:
        carry(ROOT, arguments.out, arguments.there, arguments.python, arguments.limit)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
