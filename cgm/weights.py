"""Published weights: where a file comes from, where it lies, and whether it is the one that was published.

A file is looked for in ``$CGM_WEIGHTS`` (``weights`` in params.yaml sets it), then in torch's own cache, where torchvision, lpips and
torch-fidelity look too. What an experiment asks for by name and has in neither is downloaded into the latter. Nothing is used unless its
SHA-256 is right. This module imports no torch, and what a download needs only for one, so that the commands start fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgm.errors import UserError
from cgm.files import replacing, sha256

ENVIRONMENT = "CGM_WEIGHTS"
PATIENCE = 30.0
"""Seconds without a byte after which a connection counts as dead."""
BLOCK = 1 << 20


@dataclass(frozen=True)
class Published:
    """A weights file as its publisher offers it."""

    file: str
    url: str
    sha256: str
    source: str
    """Whose it is, and under which licence."""


PUBLISHED = {
    "vgg16": Published(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "torchvision (BSD-3-Clause), trained on ImageNet-1k",
    ),
    "alexnet": Published(
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "torchvision (BSD-3-Clause), trained on ImageNet-1k",
    ),
    "inception-2015": Published(
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "TensorFlow's network of FID (Apache-2.0), converted by torch-fidelity",
    ),
}
"""A file's name holds the first digits of its SHA-256; the whole of it, unlike the name, can't be met by chance."""


def use_folder(folder: str) -> None:
    """Look in ``folder``, the value of ``weights`` in params.yaml, before torch's cache: in this process and those that it starts.

    A relative path counts from the working folder. ``$CGM_WEIGHTS``, if set already, wins. Raises :class:`UserError` without such a folder.
    """
    if not os.environ.get(ENVIRONMENT):
        path = Path(folder).expanduser().resolve()
        if not path.is_dir():
            raise UserError(f"params.yaml: weights: found no folder {path}, expected the one that holds the weights files, or null")
        os.environ[ENVIRONMENT] = str(path)


def torch_folder() -> Path:
    """Where torch keeps downloaded weights: ``torch.hub.get_dir()``, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"


def locate(name: str) -> Path:
    """Where the weights ``name`` lie, or would be downloaded to.

    Raises :class:`UserError` on an unknown name, or if ``$CGM_WEIGHTS`` is no folder.
    """
    file = _published(name).file
    if given := os.environ.get(ENVIRONMENT):
        folder = Path(given)
        if not folder.is_dir():
            raise UserError(f"{ENVIRONMENT}={given}: found no such folder, expected the one that holds the weights files; or unset it")
        if (folder / file).is_file():
            return folder / file
    return torch_folder() / file


def verify(path: Path, expected: str, remedy: str) -> str:
    """SHA-256 of ``path``; raises :class:`UserError` where the file is missing or its hash doesn't begin with ``expected``."""
    if not path.is_file():
        raise UserError(f"{path}: the weights file is not there; {remedy}")
    digest = sha256(path)
    if not digest.startswith(expected):
        raise UserError(f"{path}: found SHA-256 {digest[:16]}…, expected {expected[:16]}…; the file is damaged or another; {remedy}")
    return digest


def verified(name: str) -> tuple[Path, str] | None:
    """Path and SHA-256 of the weights ``name``; None where they are not there. Never downloads.

    Raises :class:`UserError` where the file is not the published one.
    """
    path, published = locate(name), _published(name)
    if not path.is_file():
        return None
    return path, verify(path, published.sha256, f"remove it, then run `cgm weights {name}` or place {published.url} there")


def fetch(name: str) -> tuple[Path, str]:
    """Path and SHA-256 of the weights ``name``, downloaded first where they are not there. Processes that want the same file download
    it once.

    Raises :class:`UserError`, with the file, its address and its place, where that is impossible or the file isn't the published one.
    """
    found = verified(name)
    return found if found is not None else _download(name)


def _published(name: str) -> Published:
    if name not in PUBLISHED:
        raise UserError(f"weights {name!r}: unknown; expected one of {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def _download(name: str) -> tuple[Path, str]:
    import pooch

    published, path = _published(name), torch_folder() / _published(name).file
    other = os.environ.get(ENVIRONMENT) or "the folder that `weights` in params.yaml names"
    remedy = f"download {published.url} by other means and place it at {path} or in {other}"
    try:
        with _alone(path):
            if (found := verified(name)) is not None:
                return found
            with replacing(path) as temporary:
                print(f"{path.name}: downloading {published.url} to {path.parent}", file=sys.stderr, flush=True)
                progress = _progress(path.name)
                try:
                    pooch.HTTPDownloader(progressbar=progress, chunk_size=BLOCK, timeout=PATIENCE)(published.url, str(temporary), None)
                finally:
                    progress.close()
                if (digest := sha256(temporary)) != published.sha256:
                    raise UserError(
                        f"{path}: {published.url} gave a file with SHA-256 {digest[:16]}…, expected {published.sha256[:16]}…, so it was "
                        f"not kept; try again, or {remedy}"
                    )
    except OSError as error:  # also every error of requests
        raise UserError(f"{path}: the weights file is not there; {remedy} (the download failed: {_cause(error)})") from None
    return path, digest


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
