"""A set of pictures in an archive at an address: downloaded once for all clones, verified, unpacked, and read like a folder."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from cgm.core.errors import UserError
from cgm.core.files import read_json, sha256, write_json
from cgm.core.registry import About
from cgm.core.settings import Count
from cgm.data import layouts
from cgm.data.layouts import Found
from cgm.data.sources.files import Files, FileSettings

CACHE, MIRROR = "CGM_CACHE", "CGM_MIRROR"
"""Environment variables: the folder for downloads, and an address that is asked first, for ``<mirror>/<place in the cache>``."""
PINS = Path("data/pins.json")
"""Hashes of archives whose publisher names none, as they were at their first download. Committed, so that every clone gets the same."""
PICTURES = "pictures"
"""Where the archive is unpacked, below the raw folder."""
DIGITS = 16
"""Of a hash, in names of folders and in messages."""


def cache() -> Path:
    """Where archives are kept: ``$CGM_CACHE``, else the user's cache folder. Clones share it."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get(CACHE) or user_cache_dir("cgm")).expanduser() / "datasets"


class Archive(Files):
    """A source whose pictures come in an archive. Subclasses say which."""

    @abstractmethod
    def place(self, settings: Any) -> Path:
        """Of the archive in the cache, and at a mirror: another archive of the same file name has another one."""

    @abstractmethod
    def addresses(self, settings: Any) -> list[str]:
        """In the order in which they are tried."""

    @abstractmethod
    def published(self, settings: Any) -> tuple[str | None, int | None]:
        """SHA-256 and bytes, where its publisher, or the user, says."""

    def read(self, settings: Any, folder: Path) -> tuple[str, Found]:
        return layouts.read(folder, settings.layout, singles=settings.condition is not None)

    def credits(self, settings: Any) -> dict[str, str]:
        return {"licence": "as its publisher says", "attribution": ""}

    def bring(self, settings: Any, out: Path, paired: bool, root: Path, name: str) -> dict[str, Any]:
        from cgm.core.unpack import unpack

        path, digest = self.download(settings, root)
        pictures = out / PICTURES
        pictures.mkdir()
        unpack(path, pictures)
        folder = _stepped_into(pictures)
        facts = self.gather(settings, self.read(settings, folder), out, paired=paired, base=folder, roots=[folder], name=name)
        return {**self.credits(settings), "archive": {"name": self.addresses(settings)[0], "sha256": digest}, "path": None, **facts}

    def download(self, settings: Any, root: Path) -> tuple[Path, str]:
        """The archive in the cache, brought there if need be, and its SHA-256.

        Raises :class:`UserError`, which says what to place where, if it can't be had or isn't the one that is wanted.
        """
        from cgm.core.download import download

        expected, size = self.published(settings)
        pinned = _pins(root).get(self.pin(settings)) if expected is None else None
        changed = ""
        if pinned:
            expected = pinned["sha256"]
            changed = f"; if its publisher has changed the file and you want the new one, take {self.pin(settings)} out of {root / PINS}"
        urls = self.addresses(settings)
        place = self.place(settings)
        path = cache() / place
        remedy = f"download {urls[0]} by other means and place it at {path}, or name a mirror in ${MIRROR}{changed}"
        if not path.is_file():
            mirror = os.environ.get(MIRROR)
            first = [f"{mirror.rstrip('/')}/{place.as_posix()}"] if mirror else []
            room = 2 * (size or 0)  # its pictures, unpacked
            digest = download([*first, *urls], path, expected, what="archive", found=path.is_file, remedy=remedy, size=size, room=room)
        else:
            digest = sha256(path)
            print(f"{path.name}: found at {path} (SHA-256 {digest[:DIGITS]}…), so nothing is downloaded", file=sys.stderr, flush=True)
        if expected is not None and digest != expected:
            raise UserError(
                f"{path}: found SHA-256 {digest[:DIGITS]}…, expected {expected[:DIGITS]}…; remove it, then run the fetch stage again"
                f"{changed}"
            )
        if expected is None:
            self._pin(settings, root, path, digest)
        return path, digest

    def pin(self, settings: Any) -> str:
        """The archive's name in :data:`PINS`."""
        return self.addresses(settings)[0]

    def _pin(self, settings: Any, root: Path, path: Path, digest: str) -> None:
        pins = _pins(root)
        pins[self.pin(settings)] = {"sha256": digest, "bytes": path.stat().st_size, "date": time.strftime("%Y-%m-%d")}
        write_json(root / PINS, pins)
        print(f"{path.name}: no hash is published; SHA-256 {digest[:DIGITS]}… is pinned in {PINS}, which should be committed")

    def identity(self, settings: Any, root: Path) -> dict[str, Any]:
        """The hash, where one is known; where not, the address. Another mirror of the same file changes nothing."""
        expected, _ = self.published(settings)
        return {"archive": expected or self.pin(settings), "read_by": settings.read_by()}


def _pins(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(root / PINS) if (root / PINS).is_file() else {}
    return found


def _stepped_into(folder: Path) -> Path:
    """The folder with the pictures: archives often hold one folder of their own name."""
    while len(inside := [*layouts.entries(folder)]) == 1 and inside[0].is_dir():
        folder = inside[0]
    return folder


def _addresses(found: Any) -> Any:
    """One address, or YAML's list of them, as a tuple."""
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list | tuple) or not listed:
        raise ValueError(f"found {found!r}, expected an address, or a list of them in the order in which they are tried")
    for each in listed:
        if not isinstance(each, str) or not each.startswith(layouts.ADDRESS):
            raise ValueError(f"found {each!r}, expected an address that starts with https:// or http://")
    return tuple(listed)


class Url(Archive):
    about = About(title="an archive at an address")

    class Settings(FileSettings):
        url: Annotated[tuple[str, ...], BeforeValidator(_addresses)]
        """Where the archive is; several addresses are mirrors of one file."""
        sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
        """Of the archive; without it, that of the first download is pinned."""
        bytes: Count | None = None

        def read_by(self) -> dict[str, Any]:
            return {name: value for name, value in super().read_by().items() if name not in ("url", "sha256", "bytes")}

    def addresses(self, settings: Any) -> list[str]:
        return list(settings.url)

    def place(self, settings: Any) -> Path:
        """In a folder named by the archive's hash where the entry has it, so that mirrors share one file; else by that of the address."""
        address = self.addresses(settings)[0]
        known = settings.sha256 or hashlib.sha256(address.encode()).hexdigest()
        name = urlsplit(address).path.rstrip("/").rpartition("/")[2]
        return Path(known[:DIGITS], name if name.strip(".") else "archive")

    def published(self, settings: Any) -> tuple[str | None, int | None]:
        return settings.sha256, settings.bytes


URL = Url()
