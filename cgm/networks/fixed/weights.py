"""Weights of frozen networks: where a file lies, and whether it is the one that was published.

A Python package may bring them. Else the publisher's file is looked for in ``$CGM_WEIGHTS`` (``weights`` in params.yaml sets it), then in
torch's own cache, where torchvision, lpips and torch-fidelity look too. What an experiment asks for by name and is in none of these is
downloaded into the last. Nothing is used unless its SHA-256 is right.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from cgm.core.download import Patience, download
from cgm.core.errors import NotToBeHad, UserError
from cgm.core.files import sha256
from cgm.core.lazy import torch
from cgm.core.registry import resolve
from cgm.networks.fixed import FIXED
from cgm.networks.fixed.record import Fixed, Published

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
    return [name for name, record in FIXED.items() if record.published]


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
        found = f"found SHA-256 {digest[:16]}…, expected {expected[:16]}…; the file is damaged or another"
        raise NotToBeHad(f"{path}: {found}; {remedy}", found.replace(";", ":"))
    return digest


def packaged(record: Fixed) -> Path | None:
    """Where the package's file lies: in the package, which is not imported, or in ``$CGM_WEIGHTS``; None without either."""
    if record.package is None:
        return None
    spec = importlib.util.find_spec(record.package.package.replace("-", "_"))
    folders = [Path(each) for each in (spec.submodule_search_locations or () if spec else ())]
    places = [folder / record.package.file for folder in folders]
    if given := os.environ.get(ENVIRONMENT):
        places.append(Path(given) / Path(record.package.file).name)
    return next((place for place in places if place.is_file()), None)


def verified(name: str) -> tuple[Path, str] | None:
    """Path and SHA-256 of the weights ``name``, a package's or published ones; None where they are not there. Never downloads.

    Raises :class:`UserError` where the file is not the right one.
    """
    record = FIXED[name]
    if record.package and (inside := packaged(record)) is not None:
        remedy = f"reinstall the Python package {record.package.package}=={record.package.version}"
        return inside, verify(inside, record.package.sha256, remedy)
    if record.published is None or not (path := locate(name)).is_file():
        return None
    return path, verify(path, record.published.sha256, f"remove it, then run `cgm weights {name}` or place {record.published.url} there")


def fetch(name: str, patience: Patience | None = None) -> tuple[Path, str]:
    """Path and SHA-256 of the weights ``name``, downloaded first where they are not there. Processes that want the same file download it
    once.

    Raises :class:`UserError`, with the file, its address and its place, where that is impossible or the file isn't the right one.
    """
    if (found := verified(name)) is not None:
        return found
    record = FIXED[name]
    if record.published is None:
        missing = record.package
        raise UserError(
            f"{missing.file}: the Python package {missing.package} is not installed; install version {missing.version} of it"
            if missing
            else f"network {name!r}: its record names no weights; give it a package or a published file"
        )
    wanted = record.published
    path = torch_folder() / wanted.file
    other = os.environ.get(ENVIRONMENT) or "the folder that `weights` in params.yaml names"
    remedy = f"download {wanted.url} by other means and place it at {path} or in {other}"
    if record.package:
        remedy += f", or install the Python package {record.package.package}=={record.package.version} without its dependencies"
    download(
        wanted.url, path, wanted.sha256, what="weights file", found=lambda: verified(name) is not None, remedy=remedy, patience=patience
    )
    return verified(name) or (path, wanted.sha256)


def read(record: Fixed) -> tuple[dict[str, Any], str]:
    """State dictionary, as torchvision or the publisher names its tensors, and SHA-256 of the file that it was read from.

    The same values from a package as from the published file. See :func:`fetch`.
    """
    path, digest = fetch(record.name)
    if record.package and record.package.reader and digest == record.package.sha256:
        return resolve(record.package.reader)(path, record.package.convolutions), digest
    return torch.load(path, map_location="cpu", weights_only=True), digest


def entry(name: str) -> Published:
    """The published weights of a network; raises :class:`UserError` for a name that has none."""
    if name in FIXED and (found := FIXED[name].published):
        return found
    raise UserError(f"weights {name!r}: unknown; expected one of {', '.join(published())}")
