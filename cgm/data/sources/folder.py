"""A user's own images, in a folder of any of the layouts of :mod:`cgm.data.layouts`, or in two folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from cgm.core.contents import digest
from cgm.core.errors import UserError
from cgm.core.files import sha256
from cgm.core.registry import About
from cgm.data import layouts
from cgm.data.layouts import Found
from cgm.data.listing import NAME
from cgm.data.sources.files import Files, FileSettings


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
            return layouts.folders_of(self.roots(root))

    def bring(self, settings: Any, out: Path, paired: bool, root: Path, name: str) -> dict[str, Any]:
        folders = settings.folders(root)
        facts = self.gather(
            settings,
            self.layout(settings, root),
            out,
            paired=paired,
            base=Path(os.path.commonpath(folders)),
            roots=settings.roots(root),
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
        for each in (settings.path, settings.a, settings.b):
            if each is not None and each.startswith(layouts.ADDRESS):
                raise UserError(
                    f"{each}: found an address, expected a folder; what lies at an address is an entry of its own in params.yaml: {{source:"
                    f' url, url: "{each}", …}}'
                )
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
        files = [digest(folder, _counted(folder), root) for folder in folders] if there else None
        return {"read_by": settings.read_by(), "files": files}

    def check(self, settings: Any, root: Path) -> None:
        self.layout(settings, root)


FOLDER = Folder()


def _counted(folder: Path) -> Iterator[Path]:
    yield from layouts.pictures_below(folder)
    if (folder / layouts.TABLE).is_file():
        yield folder / layouts.TABLE
