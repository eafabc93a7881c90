"""Weights of frozen networks: where a file lies, and whether it is the one that was published.

A published file is looked for in ``$CGM_WEIGHTS`` (``weights`` in params.yaml sets it), then in torch's own cache, where torchvision, lpips
and torch-fidelity look too. What an experiment asks for by name and has in neither is downloaded into the latter. Nothing is used unless
its SHA-256 is right.
"""

from __future__ import annotations

import importlib.resources
import os
from pathlib import Path
from typing import Any

from cgm.core.download import download
from cgm.core.errors import UserError
from cgm.core.files import sha256
from cgm.core.lazy import torch
from cgm.networks.fixed import FIXED
from cgm.networks.fixed.record import Fixed, Packaged, Published

ENVIRONMENT = "CGM_WEIGHTS"


def use_folder(folder: str) -> None:
    """Look in ``folder``, the value of ``weights`` in params.yaml, before torch's cache: in this process and those that it starts.

    A relative path counts from the working folder. ``$CGM_WEIGHTS``, if set already, wins. Raises :class:`UserError` without such a folder.
    """
    if not os.environ.get(ENVIRONMENT):
        path = Path(folder).expanduser().resolve()
        if not path.is_dir():
            raise UserError(f"params.yaml: weights: found no folder {path}, expected the one that holds the weights files, or null")
        os.environ[ENVIRONMENT] = str(path)


def published() -> list[str]:
    """Names of the networks whose weights are published files."""
    return [name for name, record in FIXED.items() if isinstance(record.weights, Published)]


def torch_folder() -> Path:
    """Where torch keeps downloaded weights: ``torch.hub.get_dir()``, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"


def locate(name: str) -> Path:
    """Where the published weights ``name`` lie, or would be downloaded to.

    Raises :class:`UserError` on an unknown name, or if ``$CGM_WEIGHTS`` is no folder.
    """
    file = entry(name).file
    if given := os.environ.get(ENVIRONMENT):
        folder = Path(given)
        if not folder.is_dir():
            raise UserError(f"{ENVIRONMENT}={given}: found no such folder, expected the one that holds the weights files; or unset it")
        if (folder / file).is_file():
            return folder / file
    return torch_folder() / file


def verify(path: Path, expected: str, remedy: str) -> str:
    """SHA-256 of ``path``; raises :class:`UserError` where the file is missing or its hash isn't ``expected``."""
    if not path.is_file():
        raise UserError(f"{path}: the weights file is not there; {remedy}")
    digest = sha256(path)
    if digest != expected:
        raise UserError(f"{path}: found SHA-256 {digest[:16]}…, expected {expected[:16]}…; the file is damaged or another; {remedy}")
    return digest


def verified(name: str) -> tuple[Path, str] | None:
    """Path and SHA-256 of the published weights ``name``; None where they are not there. Never downloads.

    Raises :class:`UserError` where the file is not the published one.
    """
    path, found = locate(name), entry(name)
    if not path.is_file():
        return None
    return path, verify(path, found.sha256, f"remove it, then run `cgm weights {name}` or place {found.url} there")


def fetch(name: str) -> tuple[Path, str]:
    """Path and SHA-256 of the published weights ``name``, downloaded first where they are not there. Processes that want the same file
    download it once.

    Raises :class:`UserError`, with the file, its address and its place, where that is impossible or the file isn't the published one.
    """
    if (found := verified(name)) is not None:
        return found
    wanted = entry(name)
    path = torch_folder() / wanted.file
    other = os.environ.get(ENVIRONMENT) or "the folder that `weights` in params.yaml names"
    remedy = f"download {wanted.url} by other means and place it at {path} or in {other}"
    download(wanted.url, path, wanted.sha256, what="weights file", found=lambda: verified(name) is not None, remedy=remedy)
    return verified(name) or (path, wanted.sha256)


def read(record: Fixed) -> tuple[dict[str, Any], str]:
    """State dictionary and SHA-256 of a network's weights: of its package, or of the published file (see :func:`fetch`)."""
    if isinstance(record.weights, Published):
        path, digest = fetch(record.name)
    else:
        path = _packaged(record.weights)
        remedy = f"reinstall the Python package {record.weights.package}=={record.weights.version}"
        digest = verify(path, record.weights.sha256, remedy)
    return torch.load(path, map_location="cpu", weights_only=True), digest


def entry(name: str) -> Published:
    """The published weights of a network; raises :class:`UserError` for a name that has none."""
    if name in FIXED and isinstance(found := FIXED[name].weights, Published):
        return found
    raise UserError(f"weights {name!r}: unknown; expected one of {', '.join(published())}")


def _packaged(weights: Packaged) -> Path:
    try:
        return Path(str(importlib.resources.files(weights.package.replace("-", "_")) / weights.file))
    except ModuleNotFoundError:
        raise UserError(
            f"{weights.file}: the Python package {weights.package} is not installed; install version {weights.version} of it"
        ) from None
