"""Downloads one file: once for all processes that want it, whole or not at all, and only if it is the right one.

What has arrived is kept when a connection breaks, and the next attempt asks for the rest alone: with ``If-Range``, so that a file that has
changed meanwhile comes whole.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgm.core.errors import NotToBeHad, UserError
from cgm.core.files import remove, sha256, write_json

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 16
"""Bytes written at a time: what a broken connection may lose."""
REDIRECTS = 10
PAGE = (b"<!doctype html", b"<html")
"""How a web page begins."""
SPARE = 1 << 26
"""Bytes that shall stay free on the disk."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for a server, in seconds."""

    connect: float = 10.0
    read: float = 30.0
    """Without a byte."""
    attempts: int = 4
    """At one address."""
    pause: float = 1.0
    """Before the second attempt; twice as long before each further one."""
    longest_pause: float = 60.0


PATIENCE = Patience()


class _Refused(Exception):
    """This address won't give the file; another may."""


class _Broken(Exception):
    """The next attempt may go on. ``pause``: what the server asks to wait for."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


def download(
    urls: str | Sequence[str],
    path: Path,
    expected: str | None,
    *,
    what: str,
    found: Callable[[], bool],
    remedy: str,
    size: int | None = None,
    room: int = 0,
    patience: Patience | None = None,
) -> str:
    """Bring the file to ``path`` from the first of ``urls`` that gives it. Returns its SHA-256.

    ``expected``: its SHA-256; None where nobody knows it, and then the server must say how long the file is. ``size``: its bytes, where
    known. ``what``: its kind in messages (``weights file``). ``found`` is asked again once this process has the file to itself: another may
    have brought it meanwhile. ``room``: bytes that must be free on the disk beside the file's own.
    Raises :class:`UserError`, which ends with ``remedy``, where the file can't be had or is another.
    """
    urls = [urls] if isinstance(urls, str) else list(urls)
    patience = patience or PATIENCE
    try:
        with _alone(path):
            if found():
                return sha256(path)
            return _Download(path, expected, size, room, what, remedy, patience).from_any(urls)
    except OSError as error:
        cause = _cause(error)
        raise NotToBeHad(
            f"{path}: the {what} is not there; {remedy} (the download failed: {cause})", f"the download failed: {cause}"
        ) from None


def within_reach(url: str, seconds: float) -> bool:
    """Whether any answer comes from an address within so many seconds, those of looking up its name included."""
    import requests

    answered = threading.Event()

    def ask() -> None:
        with contextlib.suppress(requests.RequestException, OSError):
            requests.head(url, timeout=seconds, allow_redirects=False).close()
            answered.set()

    asking = threading.Thread(target=ask, daemon=True)  # looking up a name can't be given up, only left alone
    asking.start()
    asking.join(seconds)
    return answered.is_set()


class _Download:
    """One file on its way: ``.NAME.part`` beside its place, and what the server said of it in ``.NAME.part.json``."""

    def __init__(self, path: Path, expected: str | None, size: int | None, room: int, what: str, remedy: str, patience: Patience) -> None:
        self.path, self.expected, self.size, self.room, self.what, self.remedy = path, expected, size, room, what, remedy
        self.patience = patience
        self.part = path.with_name(f".{path.name}.part")
        self.note = path.with_name(f".{path.name}.part.json")

    def from_any(self, urls: Sequence[str]) -> str:
        reasons = []
        for url in urls:
            print(f"{self.path.name}: downloading {url} to {self.path.parent}", file=sys.stderr, flush=True)
            try:
                return self.from_one(url)
            except (_Refused, _Broken) as error:
                reasons.append(f"{url}: {error}" if len(urls) > 1 else str(error))
        failed = f"the download failed: {'; '.join(reasons)}"
        raise NotToBeHad(f"{self.path}: the {self.what} is not there; {self.remedy} ({failed})", failed)

    def from_one(self, url: str) -> str:
        import requests

        with requests.Session() as session:
            session.max_redirects = REDIRECTS
            for attempt in range(self.patience.attempts):
                resumed = self.part.exists()
                try:
                    self._receive(session, url)
                    return self._accept(url, again=resumed and attempt + 1 < self.patience.attempts)
                except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                    broken = _Broken(_cause(error))
                except requests.RequestException as error:  # a loop of redirects, an address that is none
                    raise _Refused(_cause(error)) from None
                except _Broken as error:
                    broken = error
                if attempt + 1 == self.patience.attempts:
                    raise broken
                pause = self.patience.pause * 2**attempt if broken.pause is None else broken.pause
                time.sleep(min(pause, self.patience.longest_pause))
        raise AssertionError("unreachable")

    def _receive(self, session: requests.Session, url: str) -> None:
        """Fetch what is missing of the file."""
        have, headers = self._asked(url)
        with session.get(url, stream=True, headers=headers, timeout=(self.patience.connect, self.patience.read)) as answer:
            self._refuse(answer)
            if have and answer.status_code == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                remove(self.part)
                raise _Broken("the server gave another part of the file than was asked for", pause=0.0)
            if answer.status_code != 206:
                have = 0
            encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
            length = None if encoded else answer.headers.get("Content-Length")
            total = have + int(length) if length is not None and length.isdecimal() else None
            self._check_length(total)
            note = {"url": url, "validator": answer.headers.get("ETag") or answer.headers.get("Last-Modified"), "total": total}
            write_json(self.note, note)
            self._write(answer, have, total)

    def _asked(self, url: str) -> tuple[int, dict[str, str]]:
        """How much is here, and the headers that ask for the rest."""
        headers = {"Accept-Encoding": "identity"}
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            have = self.part.stat().st_size
        except (OSError, ValueError):
            return 0, headers
        validator = note.get("validator")
        # A weak tag says that a file is as good as another, not that its bytes are.
        if not have or note.get("url") != url or not validator or validator.startswith("W/"):
            return 0, headers
        return have, {**headers, "Range": f"bytes={have}-", "If-Range": validator}

    def _refuse(self, answer: requests.Response) -> None:
        code = answer.status_code
        if code == 416:  # what is here is as long as the file, or longer
            remove(self.part)
            raise _Broken("the server has no such part of the file", pause=0.0)
        if code in (408, 425, 429) or code >= 500:
            asked = answer.headers.get("Retry-After", "")
            raise _Broken(f"the server answered {code} {answer.reason}", float(asked) if asked.isdecimal() else None)
        if code not in (200, 206):
            raise _Refused(f"the server answered {code} {answer.reason}")
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise _Refused("the server gave a web page and not the file")

    def _check_length(self, total: int | None) -> None:
        if self.size is not None and total is not None and total != self.size:
            raise _Refused(f"the server's file has {total} bytes, expected {self.size}")
        if total is None and self.expected is None:
            raise _Refused("the server doesn't say how long the file is, so that a part of it would pass for the whole; give its sha256")
        need = (total or self.size or 0) + self.room + SPARE
        here = self.part.stat().st_size if self.part.exists() else 0
        if (free := shutil.disk_usage(self.path.parent).free + here) < need:
            raise UserError(
                f"{self.path}: the {self.what} needs {need / 1e9:.1f} GB, found {free / 1e9:.1f} GB free on this disk; free some, "
                f"or {self.remedy}"
            )

    def _write(self, answer: requests.Response, have: int, total: int | None) -> None:
        progress = _progress(self.path.name, total or self.size or 0, have)
        try:
            with self.part.open("r+b" if have else "wb") as file:
                file.seek(have)
                for block in answer.iter_content(BLOCK):
                    if not have and file.tell() == 0 and block[:64].lstrip().lower().startswith(PAGE):
                        raise _Refused("the server gave a web page and not the file")
                    file.write(block)
                    progress.update(len(block))
                    if self.size is not None and file.tell() > self.size:
                        raise _Refused(f"the server's file has more than the expected {self.size} bytes")
                file.truncate()
        except _Refused:
            remove(self.part)
            raise
        finally:
            progress.close()
        if total is not None and (found := self.part.stat().st_size) < total:
            raise _Broken(f"the connection ended after {found} of {total} bytes")

    def _accept(self, url: str, *, again: bool) -> str:
        """The whole file to its place; ``again``: a wrong one may come of joining two, so it is asked for once more."""
        digest = sha256(self.part)
        if self.expected is not None and digest != self.expected:
            remove(self.part)
            remove(self.note)
            if again:
                raise _Broken("the file changed while it was downloaded", pause=0.0)
            raise _Refused(f"gave a file with SHA-256 {digest[:16]}…, expected {self.expected[:16]}…, so it was not kept; try again")
        self.part.replace(self.path)
        remove(self.note)
        return digest


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


def _progress(label: str, total: int, done: int) -> Any:
    """A bar on a terminal; five plain lines in a log. Standard error."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        return tqdm(desc=label, total=total or None, initial=done, unit="B", unit_scale=True, file=sys.stderr)
    return _Lines(label, total, done)


class _Lines:
    """What is used of a progress bar, as lines."""

    def __init__(self, label: str, total: int, done: int) -> None:
        self.label, self.total, self._done = label, total, done
        self._fifths = done * 5 // total if total else 0

    def update(self, size: int) -> None:
        self._done += size
        fifths = min(self._done * 5 // self.total, 5) if self.total else 0
        if fifths > self._fifths:
            self._fifths = fifths
            print(f"{self.label}: {fifths * 20}% of {self.total / 1e6:.1f} MB", file=sys.stderr, flush=True)

    def close(self) -> None:
        return
