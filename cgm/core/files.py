"""Whole files or none: everything is written under a temporary name beside its place, then renamed."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (a file or a folder, same suffix); rename it to ``path`` if the block succeeds.

    If the block raises, the temporary is removed and whatever stood at ``path`` stays. What a killed process left beside it goes too.
    ``durable``: a file that takes the other's place only when it is on the disk, so that a power cut leaves one of them whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.stem)}.*.tmp{glob.escape(path.suffix)}"):
        process = left.name.removesuffix(f".tmp{path.suffix}").rpartition(".")[2]
        if not (process.isdecimal() and _runs(int(process))):
            remove(left)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    remove(temporary)
    try:
        yield temporary
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        remove(temporary)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Sorted keys, two spaces, no NaN (``ValueError``), a newline at the end: the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def sha256(*paths: str | Path) -> str:
    """SHA-256 over the files' bytes, one after another."""
    digest = hashlib.sha256()
    for path in paths:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
