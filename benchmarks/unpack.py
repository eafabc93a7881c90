"""Set up what ``benchmarks.carry`` gathered, on the machine that it was carried to: ``python3 -m benchmarks.unpack carry``.

Installs the wheels into ``build/packages``, says what Python still lacks, and unpacks the prepared data. A second call finds all done.
It runs before any package is installed: nothing here, nor in the modules of ``cgm`` that it imports, needs more than Python's library.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from cgm.core.errors import UserError
from cgm.core.files import read_json, replacing, sha256, write_json
from cgm.data.listing import SIDES, SPLITS

ROOT = Path(__file__).parents[1]
PACKAGES = Path("build/packages")
"""Where the wheels are installed, below the project's root; belongs on PYTHONPATH."""
MANIFEST = "manifest.json"
WHEELS, DATA, WEIGHTS = "wheels", "prepared", "weights"
"""The folders beside the manifest."""
INSTALLED = "carried.json"
"""In :data:`PACKAGES`: the wheels that were installed, with their hashes."""
AGAIN = "make the folder again with `python -m benchmarks.carry` and bring all of it"


def data_sha256(folder: Path) -> str | None:
    """SHA-256 over the six ``.npy`` files of a prepared dataset, as its card has it; ``None`` where one of them is missing."""
    files = [folder / split / f"{side}.npy" for split in SPLITS for side in SIDES]
    return sha256(*files) if all(file.is_file() for file in files) else None


def unpack(carried: Path, root: Path) -> None:
    """Set up the project in ``root`` with what the folder ``carried`` holds. From here on this process finds the packages, too.

    Raises :class:`UserError` where the folder isn't whole, isn't for this Python, or where packages are missing in spite of it.
    """
    path = carried / MANIFEST
    if not path.is_file():
        raise UserError(f"{path}: not found; {AGAIN}")
    manifest = read_json(path)
    broken = [name for name, digest in manifest["files"].items() if not (carried / name).is_file() or sha256(carried / name) != digest]
    if broken:
        raise UserError(f"{carried}: missing or damaged: {', '.join(broken)}; {AGAIN}")
    python = "{}.{}".format(*sys.version_info)
    if python != manifest["python"]:
        raise UserError(f"{carried}: its wheels are for Python {manifest['python']}, this is {python}; carry with `--python {python}`")
    install(carried, [name for name in manifest["files"] if name.startswith(f"{WHEELS}/")], root / PACKAGES)
    sys.path.insert(0, str(root / PACKAGES))
    check_packages(manifest["requirements"])
    for folder, digest in manifest["datasets"].items():
        unpack_data(carried / DATA / f"{Path(folder).name}.tar.xz", root / folder, digest)
    print(f"{carried}: packages in {root / PACKAGES}; {', '.join(manifest['datasets'])}")


def install(carried: Path, names: Sequence[str], target: Path) -> None:
    """The wheels ``names``, paths below ``carried``, into ``target``: all of them and nothing else."""
    wheels = {name: sha256(carried / name) for name in names}
    mark = target / INSTALLED
    if mark.is_file() and read_json(mark) == wheels:
        return
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--disable-pip-version-check"]
    with replacing(target) as temporary:
        temporary.mkdir()
        if wheels:
            files = [str(carried / name) for name in wheels]
            command = [sys.executable, "-m", "pip", "install", *options, "--target", str(temporary), *files]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise UserError(f"{carried / WHEELS}: pip can't install the wheels: {' '.join(done.stderr.split())}")
        write_json(temporary / INSTALLED, wheels)


def check_packages(requirements: Mapping[str, str]) -> None:
    """Raise :class:`UserError`, which names all that is missing or isn't as ``requirements`` (``{"numpy": ">=1.26"}``) want it."""
    versions = {name: _version(name) for name in requirements}
    wrong = [f"{name}{requirements[name]} (not there)" for name, version in versions.items() if version is None]
    if not wrong:
        from packaging.specifiers import SpecifierSet  # here: it is one of the requirements, and may be among the wheels

        found = {name: version for name, version in versions.items() if version is not None}
        wrong = [
            f"{name}{requirements[name]} (found {version})"
            for name, version in found.items()
            if not SpecifierSet(requirements[name]).contains(version, prereleases=True)
        ]
    if wrong:
        raise UserError(
            f"this Python lacks {', '.join(wrong)}; give what `python3 -m pip list --format=freeze` prints here as a file to"
            " `python -m benchmarks.carry --there FILE`, or install them"
        )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def unpack_data(archive: Path, folder: Path, digest: str) -> None:
    """A prepared dataset into ``folder``, which becomes what it was where it was packed; one that is there already stays.

    Raises :class:`UserError` unless the :func:`data_sha256` of what was unpacked is ``digest``.
    """
    if data_sha256(folder) == digest:
        return
    with replacing(folder) as temporary:
        with tarfile.open(archive) as packed:
            packed.extractall(temporary, filter="data")
        if (found := data_sha256(temporary)) != digest:
            raise UserError(f"{archive}: holds data with SHA-256 {found}, expected {digest}; {AGAIN}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unpack", description="Set up what `python -m benchmarks.carry` gathered.")
    parser.add_argument("folder", type=Path, help="the folder that was carried here")
    try:
        unpack(parser.parse_args().folder, ROOT)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
