"""Unpacks archives that come from elsewhere: plain files below one folder, or nothing."""

from __future__ import annotations

import lzma
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cgm.core.errors import UserError

RATIO = 200
"""Bytes that may come of one byte of an archive; pictures shrink by little, drawings by less than this."""
ALWAYS = 1 << 28
"""Bytes that any archive may become, whatever its ratio."""
LARGEST = 400 << 30
"""Bytes that none may exceed."""
MOST = 3_000_000
"""Files."""
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    folder: bool
    odd: str
    """What it is if neither a plain file nor a folder."""


def unpack(path: Path, out: Path) -> None:
    """Unpack a tar (plain, gzip, bzip2, xz) or a zip into the folder ``out``, which should be temporary: an error leaves a part behind.

    Raises :class:`UserError` for an archive that isn't whole, that holds links, devices or encrypted files, whose names lead out of
    ``out``, mean one file twice (also on a disk that doesn't tell upper from lower case) or can't be names everywhere, or that would become
    larger than its size makes likely.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check(path, _of_zip(archive))
                archive.extractall(out)
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                _check(path, _of_tar(tar))
            with tarfile.open(path) as tar:
                tar.extractall(out, filter="data")
        else:
            raise UserError(f"{path}: neither a tar nor a zip archive; expected one of them, so fetch it again or name another file")
    except DAMAGED as error:
        raise UserError(
            f"{path}: can't be unpacked ({' '.join(str(error).split())}); expected a whole archive, so fetch it again"
        ) from None


def _of_zip(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        kind = info.external_attr >> 16
        odd = "encrypted" if info.flag_bits & 1 else "a link" if stat.S_ISLNK(kind) else ""
        yield _Member(info.filename, info.file_size, info.is_dir(), odd)


def _of_tar(archive: tarfile.TarFile) -> Iterator[_Member]:
    for info in archive:
        odd = "" if info.isreg() or info.isdir() else "a link" if info.issym() or info.islnk() else "no plain file"
        yield _Member(info.name, info.size, info.isdir(), odd)


def _check(path: Path, members: Iterator[_Member]) -> None:
    allowed = min(LARGEST, max(ALWAYS, RATIO * path.stat().st_size))
    total = 0
    seen: dict[str, str] = {}
    for count, member in enumerate(members, start=1):
        name = member.name
        if member.odd:
            raise _hostile(path, f"{name!r} is {member.odd}")
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name or re.match(r"[A-Za-z]:", name):
            raise _hostile(path, f"{name!r} leads out of the folder")
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise _hostile(path, f"{name!r} is no name on every system")
        key = unicodedata.normalize("NFC", "/".join(parts)).casefold()
        if not member.folder and key in seen:
            raise _hostile(path, f"{name!r} and {seen[key]!r} would be one file")
        if not member.folder:
            seen[key] = name
        total += member.size
        if total > allowed:
            raise _hostile(path, f"it would become more than {allowed / 1e9:.1f} GB, {allowed / path.stat().st_size:.0f} times its size")
        if count > MOST:
            raise _hostile(path, f"it holds more than {MOST} files")


def _hostile(path: Path, reason: str) -> UserError:
    return UserError(f"{path}: {reason}; expected plain files below one folder, so don't use this archive")
