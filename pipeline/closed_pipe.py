"""A command whose output nobody reads to its end, as in ``cgm compare A B | head``, or has no room for."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

CLOSED = 141
"""Exit code: 128 + SIGPIPE, as shells have it of any other command."""


@contextmanager
def ends_quietly() -> Iterator[None]:
    """Around a command: ends it without a word where the reader has gone, and with one where the disk behind ``>`` is full (exit code 2).

    What stands in the buffer is written within, so that the interpreter, which writes it at its end otherwise, has nothing to complain of.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard()
        sys.exit(CLOSED)
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        _discard()
        print("error: standard output: no space left on device; free some, or write to another place", file=sys.stderr)
        sys.exit(2)


def _discard() -> None:
    """What is still to be written to standard output goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
