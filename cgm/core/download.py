"""Downloads one file: once for all processes that want it, whole or not at all, and only if it is the right one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cgm.core.errors import UserError
from cgm.core.files import replacing, sha256

PATIENCE = 30.0
"""Seconds without a byte after which a connection counts as dead."""
BLOCK = 1 << 20


def download(url: str, path: Path, expected: str, *, what: str, found: Callable[[], bool], remedy: str) -> None:
    """Bring ``url`` to ``path``; ``expected`` is its SHA-256, ``what`` its kind in messages (``weights file``).

    ``found`` is asked again once this process has the file to itself: another may have brought it meanwhile. Raises :class:`UserError`,
    which ends with ``remedy``, where the file can't be had or is another.
    """
    import pooch

    try:
        with _alone(path):
            if found():
                return
            with replacing(path) as temporary:
                print(f"{path.name}: downloading {url} to {path.parent}", file=sys.stderr, flush=True)
                progress = _progress(path.name)
                try:
                    pooch.HTTPDownloader(progressbar=progress, chunk_size=BLOCK, timeout=PATIENCE)(url, str(temporary), None)
                finally:
                    progress.close()
                if (digest := sha256(temporary)) != expected:
                    raise UserError(
                        f"{path}: {url} gave a file with SHA-256 {digest[:16]}…, expected {expected[:16]}…, so it was not kept; try "
                        f"again, or {remedy}"
                    )
    except OSError as error:  # also every error of requests
        raise UserError(f"{path}: the {what} is not there; {remedy} (the download failed: {_cause(error)})") from None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process downloads ``path``. A process that dies lets go."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        print(f"{path.name}: another process downloads it; waiting", file=sys.stderr, flush=True)
        held = lock.acquire()
    with held:
        yield


def _cause(error: OSError) -> str:
    """In one line. requests wraps the errors of urllib3, which wraps those of the socket."""
    cause: Any = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    return " ".join(str(getattr(cause, "reason", cause)).split())


def _progress(label: str) -> Any:
    """A bar on a terminal; five plain lines in a log. Standard error."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        # pooch sets the total; until then there must be one, for it asks for the bar's truth
        return tqdm(desc=label, total=1, unit="B", unit_scale=True, file=sys.stderr)
    return _Lines(label)


class _Lines:
    """What pooch asks of a progress bar, as lines."""

    def __init__(self, label: str) -> None:
        self.label, self.total, self._done, self._fifths = label, 0, 0, 0

    def update(self, size: int) -> None:
        self._done += size
        fifths = min(self._done * 5 // self.total, 5) if self.total else 0
        if fifths > self._fifths:
            self._fifths = fifths
            print(f"{self.label}: {fifths * 20}% of {self.total / 1e6:.1f} MB", file=sys.stderr, flush=True)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        return
