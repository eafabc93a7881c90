"""Files that a user asks a command to write besides."""

from __future__ import annotations

from pathlib import Path

from cgm.core.errors import UserError


def check(*paths: Path | None) -> None:
    """Raises :class:`UserError` for a folder in a file's place, before anything is computed: a file that is written takes the place of
    whatever is there, and a folder would go with all that it holds."""
    for path in paths:
        if path is not None and path.is_dir():
            raise UserError(f"{path}: found a folder, expected the name of a file to write")
