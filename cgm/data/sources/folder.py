"""A user's own images, in a folder of any of the layouts of :mod:`cgm.data.layouts`, or in two folders."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from cgm.core.errors import UserError
from cgm.core.files import read_json, sha256, write_json
from cgm.core.registry import About
from cgm.data import layouts
from cgm.data.layouts import Found
from cgm.data.listing import NAME
from cgm.data.sources.files import Files, FileSettings

KNOWN = Path("build/folders")
"""Where the pictures' hashes are kept with size and times, so that a picture is read again only when one of these has changed."""


class Folder(Files):
    about = About(title="the user's own images")

    class Settings(FileSettings):
        path: str | None = None
        """The folder, or a table of pairs; ``~`` is the user's home."""
        a: str | None = None
        b: str | None = None
        """In place of ``path``: a folder of conditions and one of targets."""

        @model_validator(mode="after")
        def _one_place(self) -> Self:
            if (self.path is None) == (self.a is None) or (self.a is None) != (self.b is None):
                raise ValueError("found neither or too much, expected path, or a and b: where the pictures lie")
            return self

        def roots(self, root: Path) -> list[Path]:
            return [root / Path(each).expanduser() for each in (self.path, self.a, self.b) if each is not None]

        def folders(self, root: Path) -> list[Path]:
            """``roots``, with a table's folder in its place."""
            return [path.parent if path.is_file() else path for path in self.roots(root)]

    def bring(self, settings: Any, out: Path, paired: bool, root: Path, name: str) -> dict[str, Any]:
        folders = settings.folders(root)
        facts = self.gather(
            settings,
            self.layout(settings, root),
            out,
            paired=paired,
            base=Path(os.path.commonpath(folders)),
            roots=folders,
            name=name,
        )
        return {
            "licence": "the user's own",
            "attribution": "",
            "archive": {"name": " and ".join(map(str, folders)), "sha256": sha256(out / NAME)},
            "path": " and ".join(map(str, settings.roots(root))),
            **facts,
        }

    def layout(self, settings: Any, root: Path) -> tuple[str, Found]:
        """How the pictures lie; opens none of them. Raises :class:`UserError`, which says what was seen, where that isn't clear."""
        roots = settings.roots(root)
        if len(roots) == 2:
            return "two-folders", layouts.two_folders(*roots)
        if not roots[0].exists():
            raise UserError(f"{roots[0]}: not found; expected a folder of pictures, or a table of pairs")
        return layouts.read(roots[0], settings.layout, singles=settings.condition is not None)

    def identity(self, settings: Any, root: Path) -> dict[str, Any]:
        """The pictures by name and content: neither their times nor what isn't a picture counts. ``files`` is None where the folder isn't
        there, as in a clone whose prepared data came from elsewhere."""
        folders = settings.folders(root)
        there = all(folder.is_dir() for folder in folders)
        return {"read_by": settings.read_by(), "files": _digest(folders, root / KNOWN) if there else None}

    def check(self, settings: Any, root: Path) -> None:
        self.layout(settings, root)


FOLDER = Folder()


def _digest(folders: list[Path], known: Path) -> str:
    """SHA-256 over names and contents. ``known``: the folder with one list of hashes for every set of folders."""
    place = known / f"{hashlib.sha256(str([str(folder.resolve()) for folder in folders]).encode()).hexdigest()[:16]}.json"
    before: dict[str, list[Any]] = read_json(place) if place.is_file() else {}
    now: dict[str, list[Any]] = {}
    for index, folder in enumerate(folders):
        for path in _counted(folder):
            name, stat = f"{index}/{path.relative_to(folder).as_posix()}", path.stat()
            # The time of the last change of status too: a program may set the other one back, as archivers and `cp -p` do.
            state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
            *last, digest = before.get(name, [""])
            now[name] = [*state, digest if last == state else sha256(path)]
    if now != before:
        write_json(place, now)
    return hashlib.sha256(json.dumps([[name, facts[-1]] for name, facts in now.items()]).encode()).hexdigest()


def _counted(folder: Path) -> Iterator[Path]:
    yield from layouts.pictures_below(folder)
    if (folder / layouts.TABLE).is_file():
        yield folder / layouts.TABLE
