"""Output to a terminal that lacks some of our characters."""

from __future__ import annotations

import io
import sys


def any_encoding() -> None:
    """Print ``?`` for what the terminal's encoding lacks (``…`` in Latin-1), rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
