"""The file that a training goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cgm.core.files import replacing

FORMAT = 4


class Checkpoint:
    """Written whole or not at all: until the new one is on the disk, the one before stays."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        """``fingerprint``: of parameters, data and code; a checkpoint of another one is not used."""
        self.path, self.fingerprint = path, fingerprint

    def save(self, state: dict[str, Any]) -> None:
        with replacing(self.path, durable=True) as temporary:
            torch.save({"format": FORMAT, "fingerprint": self.fingerprint, "state": state}, temporary)

    def load(self, device: torch.device) -> tuple[dict[str, Any] | None, str]:
        """The state, or None and why it can't be used; the reason is empty where there is no file."""
        if not self.path.exists():
            return None, ""
        try:
            found = torch.load(self.path, map_location=device, weights_only=True)
        except Exception as error:  # whatever torch's reader meets in a truncated file
            return None, f"{self.path}: not readable ({type(error).__name__})"
        if found.get("format") != FORMAT or found.get("fingerprint") != self.fingerprint:
            return None, f"{self.path}: made with other parameters, data or code"
        return found["state"], ""
