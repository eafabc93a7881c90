"""``model.safetensors`` of a run whose weights stayed where it was trained: a valid file without tensors, which says so in its metadata.

Results may come from another machine without the weights, which are most of what a training leaves. Both engines and MLflow want the file.
"""

from __future__ import annotations

from pathlib import Path

from cgm.core.files import replacing, sha256

NOTE, DIGEST = "note", "weights_sha256"
SAYS = "The weights stayed on the machine of the training; this file only holds their SHA-256."


def write(path: Path, digest: str) -> None:
    """A file in the place of weights whose SHA-256 is ``digest``."""
    from safetensors.numpy import save_file  # here, as below: what reads this module's names alone needs no numpy

    with replacing(path) as temporary:
        save_file({}, temporary, metadata={NOTE: SAYS, DIGEST: digest})


def left(path: Path) -> str | None:
    """The SHA-256 of the weights that ``path`` stands for, or None where it is anything else than what :func:`write` makes.

    ``FileNotFoundError`` where it isn't there.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get(DIGEST)
    except SafetensorError:
        return None


def digest(path: Path) -> str:
    """SHA-256 of the file with the weights, whether it is ``path`` or was left elsewhere."""
    return left(path) or sha256(path)
