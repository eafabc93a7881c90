"""Rebuild the embedded archives, byte for byte, from published npm and Debian packages.

    python data/embedded/rebuild.py [openmoji] [fluent] [photos] [--packages FOLDER] [--output FOLDER]

``npm pack`` and ``apt-get download`` bring each package at its pinned version, and its bytes must have the SHA-512 or SHA-256 in
``manifest.json``; ``--packages`` takes the ``.tgz`` and ``.deb`` files from a folder instead, with the same check. Emoji are neither
rendered nor re-encoded: SVG and WebP files go in as published (the icons of the flat set, which come as one JSON file, each in an ``<svg>``
of its own). Photographs are cut by the rule of :func:`boxes` and :func:`contrast`. The tar has sorted names, time 0, owner 0 and mode 644.
An archive whose SHA-256 isn't the one in ``manifest.json`` is refused.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import lzma
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cgm.core.errors import UserError
from cgm.core.files import read_json, replacing
from cgm.data.listing import hash_order

HERE = Path(__file__).resolve().parent
Files = dict[str, bytes]
Box = tuple[int, int, int, int]

CROP = 128
"""Side of a stored crop, in pixels."""
QUALITY = 90
"""Of its WebP."""
PARTS = (1, 2, 3)
"""Crops are squares of the photograph's shorter side divided by each of these."""
SMALLEST = 192
"""Least side of such a square, in pixels of the photograph: half as much again as is stored, which hides what a codec left there."""
LEAST_CONTRAST = 10.0
"""In grey levels; see :func:`contrast`."""
BLOCK = 8
COMPRESSED, FOLDER = 1, 2
"""Flags of a node in a Qt resource."""
MOST = 14
"""Crops of one photograph, so that none outweighs the others."""
HELD_OUT = {"test": 0.15, "val": 0.10}
"""Shares of the photographs."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild the embedded archives from published packages.")
    parser.add_argument("names", nargs="*", metavar="archive", help=f"which to rebuild: {', '.join(BUILDERS)} (default: all)")
    parser.add_argument("--packages", type=Path, help="folder that holds the packages' files, in place of downloading them")
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
        folder = packages or Path(temporary)
        sources = [_read_package(_package(package, folder, packages is None), package) for package in entry["packages"]]
    tar = _tar(BUILDERS[name](*sources))
    path = output / entry["archive"]
    if (found := hashlib.sha256(tar).hexdigest()) != entry["tar_sha256"]:
        raise UserError(
            f"{path}: the rebuilt tar has SHA-256 {found}, expected {entry['tar_sha256']}; the script, a list, or what"
            " encodes photographs differs (Pillow 13.0.0 with libwebp 1.6.0 made them)"
        )
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
    """The package's file in ``folder``, named as the command that downloads it names it."""
    name, version = package["name"], package["version"]
    if "integrity" in package:
        kind, path = "npm", folder / f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"
        command = ["npm", "pack", f"{name}@{version}", "--loglevel=error", "--pack-destination", str(folder)]
    else:
        kind, path = "Debian", folder / f"{name}_{version}_all.deb"
        command = ["apt-get", "download", f"{name}={version}"]
    if download:
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        except (OSError, subprocess.CalledProcessError) as error:
            shown = " ".join(command[:3])
            raise UserError(f"{shown}: {error}; check {command[0]} and the network, or give the packages with --packages") from None
    if not path.is_file():
        raise UserError(f"{path}: not found; put the {kind} package {name} {version} there")
    return path


def _read_package(path: Path, package: dict[str, str]) -> Files:
    """Every file of a package by its path, once its hash is the pinned one."""
    data = path.read_bytes()
    if "integrity" in package:
        found, expected = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode(), package["integrity"]
    else:
        found, expected = hashlib.sha256(data).hexdigest(), package["sha256"]
    if found != expected:
        raise UserError(f"{path}: found {found}, expected {expected}; fetch {package['name']} {package['version']} again")
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data if "integrity" in package else _data_of(data))) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)) is not None:
                files[member.name.removeprefix("package/").removeprefix("./")] = file.read()
    return files


def _data_of(package: bytes) -> bytes:
    """The tar with the files of a Debian package, which is an ``ar`` archive (deb(5)): headers of 60 bytes, members at even places."""
    place = len(b"!<arch>\n")
    while True:
        name, size = package[place : place + 16].decode().strip(" /"), int(package[place + 48 : place + 58])
        if name.startswith("data.tar"):
            return package[place + 60 : place + 60 + size]
        place += 60 + size + size % 2


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


def _photos(*packages: Files) -> Files:
    """Crops of the photographs in ``photographs.csv``, ``photos/<id>.webp``, and lists of both."""
    published = {path: data for package in packages for path, data in package.items()}
    reader = csv.DictReader(io.StringIO((HERE / "photographs.csv").read_text(encoding="utf-8")))
    photographs = list(reader)
    splits = held_out([row["photograph"] for row in photographs])
    files = {"LICENSE.txt": (HERE / "LICENSES" / "CC-BY-SA-4.0.txt").read_bytes(), "NOTICE.txt": _notice(photographs)}
    files["photographs.csv"] = (HERE / "photographs.csv").read_bytes()
    listed = io.StringIO()
    writer = csv.writer(listed, lineterminator="\n")
    writer.writerow(["id", "split", "photograph", "title", "left", "top", "side"])
    for row in photographs:
        with Image.open(io.BytesIO(_published(published, row["path"]))) as opened:
            photograph = opened.convert("RGB")
        crops = {}
        for name, box in boxes(*photograph.size).items():
            crop = photograph.resize((CROP, CROP), Image.Resampling.BICUBIC, box)
            if contrast(np.asarray(crop.convert("L"))) >= LEAST_CONTRAST:
                crops[f"{row['photograph']}-{name}"] = (crop, box)
        if not crops:
            raise UserError(f"photographs.csv: no crop of {row['photograph']!r} has a contrast of {LEAST_CONTRAST:g}; take the row out")
        for identity in sorted(hash_order(crops)[:MOST]):
            crop, (left, top, right, _) = crops[identity]
            files[f"photos/{identity}.webp"] = _webp(crop)
            writer.writerow([identity, splits[row["photograph"]], row["photograph"], row["title"], left, top, right - left])
    return files | {"split.csv": listed.getvalue().encode()}


def boxes(width: int, height: int) -> dict[str, Box]:
    """Where a photograph of this size is cut: for each of ``PARTS``, as many squares as fit, side by side from the middle.

    Squares of one size don't overlap; a pixel is in at most as many crops as there are sizes. Returns (left, top, right, bottom) by
    ``<part>-<row>-<column>``; nothing for sizes below ``SMALLEST``.
    """
    found = {}
    for part in PARTS:
        side = min(width, height) // part
        if side < SMALLEST:
            continue
        columns, rows = width // side, height // side
        left, top = (width - columns * side) // 2, (height - rows * side) // 2
        for row in range(rows):
            for column in range(columns):
                x, y = left + column * side, top + row * side
                found[f"{part}-{row}-{column}"] = (x, y, x + side, y + side)
    return found


def contrast(luma: np.ndarray) -> float:
    """How much there is to see: the root of the mean variance within blocks of ``BLOCK`` × ``BLOCK`` pixels, in grey levels.

    ``luma``: uint8 H×W, multiples of ``BLOCK``. Clear sky and what is out of focus have little, though the crop as a whole may run from
    dark to light.
    """
    height, width = luma.shape
    blocks = luma.astype(float).reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return float(np.sqrt(blocks.var(axis=(1, 3)).mean()))


def held_out(photographs: list[str]) -> dict[str, str]:
    """The split of each photograph, and so of all its crops: arbitrary, by the hash of its name."""
    order = hash_order(photographs)
    found = dict.fromkeys(order, "train")
    for split, share in HELD_OUT.items():
        count = round(share * len(photographs))
        found |= dict.fromkeys(order[:count], split)
        order = order[count:]
    return found


def _notice(photographs: list[dict[str, str]]) -> bytes:
    lines = [
        "Crops of the photographs below, reduced to 128 x 128 pixels. Each crop is under the licence of its photograph.",
        "What is made of several of them is under CC BY-SA 4.0 (LICENSE.txt), to which the others allow it to be.",
        "",
        "CC0 1.0: https://creativecommons.org/publicdomain/zero/1.0/",
        "CC BY 4.0: https://creativecommons.org/licenses/by/4.0/",
        "CC BY-SA 3.0: https://creativecommons.org/licenses/by-sa/3.0/",
        "CC BY-SA 4.0: https://creativecommons.org/licenses/by-sa/4.0/",
        "",
    ]
    for row in photographs:
        origin = f"{row['source']}, " if row["source"] else ""
        lines.append(f"{row['photograph']}: {row['title']}, {row['author']}, {row['licence']}, {origin}{row['package']} {row['version']}")
    return "\n".join([*lines, ""]).encode()


def _published(files: Files, path: str) -> bytes:
    """A file of a package, or ``FILE.rcc:PATH``, a file in a package's Qt resource."""
    path, _, inside = path.partition(":")
    return dict(_resource(files[path]))[inside] if inside else files[path]


def _resource(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of a Qt binary resource (``rcc``): a tree of nodes, each either a folder or the place of a file's data."""
    version, tree, contents, names = struct.unpack(">4xIIII", data[:20])
    size = 22 if version >= 2 else 14

    def below(node: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        place = tree + node * size
        name, flags = struct.unpack_from(">IH", data, place)
        if node:
            (length,) = struct.unpack_from(">H", data, names + name)
            start = names + name + 6
            prefix += data[start : start + 2 * length].decode("utf-16-be")
        if flags & FOLDER:
            count, first = struct.unpack_from(">II", data, place + 6)
            for child in range(first, first + count):
                yield from below(child, f"{prefix}/" if node else "")
            return
        (offset,) = struct.unpack_from(">I", data, place + 10)
        (length,) = struct.unpack_from(">I", data, contents + offset)
        content = data[contents + offset + 4 : contents + offset + 4 + length]
        # Compressed data starts with its length, 4 bytes.
        yield prefix, zlib.decompress(content[4:]) if flags & COMPRESSED else content

    yield from below(0, "")


def _webp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


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


BUILDERS: dict[str, Callable[..., Files]] = {"openmoji": _openmoji, "fluent": _fluent, "photos": _photos}

if __name__ == "__main__":
    main()
