"""Sources whose archive comes with the project: verified, then unpacked."""

from __future__ import annotations

import csv
import hashlib
import lzma
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from cgm.core.errors import UserError
from cgm.core.files import read_json, sha256
from cgm.data.listing import Picture, write_listing
from cgm.data.sources.source import EMBEDDED, Source

MANIFEST = EMBEDDED / "manifest.json"
SHARED = {"val": ("val", "AB"), "test": ("test", "AB")}


class Embedded(Source):
    """An entry of ``data/embedded/manifest.json``."""

    archive: ClassVar[str]
    """Its name there."""
    folders: ClassVar[Mapping[str, str]]
    suffixes: ClassVar[Mapping[str, str]]
    """Folder and suffix of a picture in the archive, by side."""
    splits: ClassVar[Mapping[str, tuple[str, str]]]
    """Which split and sides a row of the archive's ``split.csv`` goes to, by the name it has there."""
    columns: ClassVar[Mapping[str, str]] = {"id": "hexcode", "label": "annotation", "group": "group_root", "base": "is_base"}
    """Columns of ``split.csv`` by what they hold; without ``base``, every row is of ``variant: base``."""

    def bring(self, settings: Any, out: Path, paired: bool, root: Path, name: str) -> dict[str, Any]:
        path, entry = self._verified(root)
        extract(path, out)
        write_listing(out, self._pictures(out))
        return {
            "licence": entry["licence"],
            "attribution": entry["attribution"],
            "archive": {"name": entry["archive"], "sha256": entry["sha256"]},
            "hidden_pairs": not paired,
            "path": None,
        }

    def identity(self, settings: Any, root: Path) -> dict[str, Any]:
        return {"archive": self._entry(root)["sha256"]}

    def check(self, settings: Any, root: Path) -> None:
        self._verified(root)

    def _entry(self, root: Path) -> dict[str, Any]:
        """What the manifest says of the archive; raises :class:`UserError` where it says nothing."""
        try:
            entry: dict[str, Any] = read_json(root / MANIFEST)[self.archive]
        except (FileNotFoundError, KeyError) as error:
            found = "not found" if isinstance(error, FileNotFoundError) else f"has no entry {self.archive!r}"
            raise UserError(f"{root / MANIFEST}: {found}; restore it with `git checkout -- {MANIFEST}`") from None
        return entry

    def _verified(self, root: Path) -> tuple[Path, dict[str, Any]]:
        """The archive and its entry in the manifest; raises :class:`UserError` where it is missing or isn't the pinned one."""
        entry = self._entry(root)
        path = root / EMBEDDED / entry["archive"]
        remedy = f"restore it with `git checkout -- {path}` or `python {root / EMBEDDED / 'rebuild.py'} {self.archive}`"
        if not path.is_file():
            raise UserError(f"{path}: not found; {remedy}")
        if (found := sha256(path)) != entry["sha256"]:
            raise UserError(f"{path}: found SHA-256 {found}, expected {entry['sha256']}; {remedy}")
        return path, entry

    def _pictures(self, folder: Path) -> Iterator[Picture]:
        """The pictures of an unpacked archive, by its ``split.csv``."""
        with (folder / "split.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                split, sides = self.splits[row["split"]]
                found = {name: row[column] for name, column in self.columns.items()}
                base = found.get("base", "1") == "1"
                for side in sides:
                    path = f"{self.folders[side]}/{found['id']}{self.suffixes[side]}"
                    digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()
                    yield Picture(split, side, found["id"], found["label"], found["group"], base, path, digest)


def extract(path: Path, out: Path) -> None:
    """Unpack a tar into ``out``; raises :class:`UserError` for one that isn't whole, or that would write outside ``out``."""
    try:
        with tarfile.open(path) as archive:
            archive.extractall(out, filter="data")
    except tarfile.FilterError as error:
        raise UserError(f"{path}: {error}; expected only plain files below one folder, so don't use this archive") from None
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise UserError(f"{path}: can't be unpacked ({error}); expected a whole tar archive, so fetch it again") from None
