"""Rebuild the embedded archives, byte for byte, from the published npm packages.

    python data/embedded/rebuild.py [openmoji] [fluent] [--packages FOLDER] [--output FOLDER]

``npm pack`` downloads each package at its pinned version, and its bytes must have the SHA-512 in ``manifest.json``; ``--packages`` takes
the ``.tgz`` files from a folder instead, with the same check. Nothing is rendered or re-encoded: SVG and WebP files go in as published
(the icons of the flat set, which come as one JSON file, each in an ``<svg>`` of its own). The tar has sorted names, time 0, owner 0 and
mode 644. An archive whose SHA-256 isn't the one in ``manifest.json`` is refused.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import lzma
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cgm.core.errors import UserError
from cgm.core.files import read_json, replacing

HERE = Path(__file__).resolve().parent
Files = dict[str, bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild the embedded archives from the published npm packages.")
    parser.add_argument("names", nargs="*", metavar="archive", help=f"which to rebuild: {', '.join(BUILDERS)} (default: all)")
    parser.add_argument("--packages", type=Path, help="folder that holds the packages' .tgz files, in place of npm pack")
    parser.add_argument("--output", type=Path, default=HERE, help="where to write (default: beside this script)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BUILDERS):
        parser.error(f"unknown archive {min(unknown)!r}; expected {' or '.join(BUILDERS)}")
    try:
        for name in arguments.names or BUILDERS:
            rebuild(name, arguments.packages, arguments.output)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def rebuild(name: str, packages: Path | None, output: Path) -> None:
    """Build archive ``name`` of the manifest into ``output``; raises :class:`UserError` where a hash differs from its pin."""
    entry = read_json(HERE / "manifest.json")[name]
    with tempfile.TemporaryDirectory() as temporary:
        sources = [
            _read_package(_package(package, packages or Path(temporary), packages is None), package) for package in entry["packages"]
        ]
    tar = _tar(BUILDERS[name](*sources))
    path = output / entry["archive"]
    if (found := hashlib.sha256(tar).hexdigest()) != entry["tar_sha256"]:
        raise UserError(f"{path}: the rebuilt tar has SHA-256 {found}, expected {entry['tar_sha256']}; the script or a split list differs")
    archive = lzma.compress(tar, preset=9 | lzma.PRESET_EXTREME)
    if (found := hashlib.sha256(archive).hexdigest()) != entry["sha256"]:
        raise UserError(
            f"{path}: the tar inside is the pinned one, but this liblzma compresses it to SHA-256 {found}, expected {entry['sha256']}"
            " (made with liblzma 5.4.1); restore the file with git checkout"
        )
    with replacing(path) as temporary_path:
        temporary_path.write_bytes(archive)
    print(f"{path}: {len(archive)} bytes, sha256 {found}")


def _package(package: dict[str, str], folder: Path, download: bool) -> Path:
    """The package's ``.tgz`` in ``folder``, named as ``npm pack`` names it."""
    path = folder / f"{package['name'].removeprefix('@').replace('/', '-')}-{package['version']}.tgz"
    if download:
        spec = f"{package['name']}@{package['version']}"
        try:
            subprocess.run(
                ["npm", "pack", spec, "--loglevel=error", "--pack-destination", str(folder)], check=True, stdout=subprocess.DEVNULL
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise UserError(f"npm pack {spec}: {error}; check npm and the network, or give the packages with --packages") from None
    if not path.is_file():
        raise UserError(f"{path}: not found; put the npm package {package['name']} {package['version']} there")
    return path


def _read_package(path: Path, package: dict[str, str]) -> Files:
    """Every file of a ``.tgz`` by its path, once its SHA-512 is the pinned one."""
    data = path.read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != package["integrity"]:
        raise UserError(f"{path}: found {found}, expected {package['integrity']}; fetch {package['name']} {package['version']} again")
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                files[member.name.removeprefix("package/")] = file.read()
    return files


def _openmoji(package: Files) -> Files:
    split = (HERE / "openmoji_split.csv").read_bytes()
    files = {"LICENSE.txt": package["LICENSE.txt"], "split.csv": split}
    for row in csv.DictReader(io.StringIO(split.decode())):
        for side in ("black", "color"):
            files[f"{side}/{row['hexcode']}.svg"] = package[f"{side}/svg/{row['hexcode']}.svg"]
    return files


def _fluent(flat: Files, solid: Files) -> Files:
    """One skin tone a concept: with all of them the archive would be twice the 6 MB that a file here may have."""
    icons = json.loads(flat["icons.json"])
    names = {_plain(codepoints): name for codepoints, name in json.loads(flat["chars.json"]).items()}
    # Where a name stands both with and without FE0F, the one with it (the emoji presentation) wins.
    renders = {_plain(Path(name).stem): name for name in sorted(solid, key=lambda name: ("fe0f" in name, name)) if name.endswith(".webp")}
    reader = csv.DictReader(io.StringIO((HERE / "fluent_split.csv").read_text(encoding="utf-8")))
    rows = [row for row in reader if row["is_base"] == "1"]
    split = io.StringIO()
    writer = csv.DictWriter(split, reader.fieldnames or (), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    licences = ("Fluent-Emoji-MIT.txt", "LobeHub-MIT.txt")
    files = {name: (HERE / "LICENSES" / name).read_bytes() for name in licences} | {"split.csv": split.getvalue().encode()}
    for row in rows:
        files[f"flat/{row['hexcode']}.svg"] = _svg(icons, names[row["hexcode"]])
        files[f"3d/{row['hexcode']}.webp"] = solid[renders[row["hexcode"]]]
    return files


def _plain(codepoints: str) -> str:
    """``1f441-fe0f`` → ``1F441``: upper case, without the presentation selector FE0F."""
    return "-".join(part for part in codepoints.upper().split("-") if part != "FE0F")


def _svg(icons: dict[str, Any], name: str) -> bytes:
    icon = icons["icons"][name]
    if set(icon) != {"body"}:
        raise UserError(f"fluent_split.csv: icon {name!r} has a size or a turn of its own; expected the set's plain square")
    size = f"{icons['width']} {icons['height']}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}">{icon["body"]}</svg>\n'.encode()


def _tar(files: Files) -> bytes:
    """Files at the root first, then the folders; sorted by name without the suffix; nothing of this machine."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files, key=lambda name: ("/" in name, name.rpartition(".")[0])):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()


BUILDERS: dict[str, Callable[..., Files]] = {"openmoji": _openmoji, "fluent": _fluent}

if __name__ == "__main__":
    main()
