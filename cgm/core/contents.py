"""The contents of a folder of pictures as one hash, without reading again what has not changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cgm.core.files import read_json, sha256, write_json

KNOWN = Path("build/folders")
"""Where the files' hashes are kept with size and times, below the project's root. A file is read again only when one of these has
changed."""


def digest(folder: Path, files: Iterable[Path], root: Path) -> str:
    """SHA-256 over names and contents of ``files``, all below ``folder``; their times don't count. ``root``: the project's."""
    place = root / KNOWN / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}.json"
    before: dict[str, list[Any]] = read_json(place) if place.is_file() else {}
    now: dict[str, list[Any]] = {}
    for path in sorted(files):
        name, stat = path.relative_to(folder).as_posix(), path.stat()
        # The time of the last change of status too: a program may set the other one back, as archivers and `cp -p` do.
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        *last, known = before.get(name, [""])
        now[name] = [*state, known if last == state else sha256(path)]
    if now != before:
        write_json(place, now)
    return hashlib.sha256(json.dumps([[name, facts[-1]] for name, facts in now.items()]).encode()).hexdigest()
