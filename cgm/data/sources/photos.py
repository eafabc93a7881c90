"""Photographs of buildings, animals and landscapes, from the embedded archive: targets only, of which the conditions are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from cgm.core.registry import About
from cgm.data.conditions import Condition
from cgm.data.sources.archives import Embedded
from cgm.data.sources.source import Dataset


class Photos(Embedded):
    about = About(title="Photographs", citation="GCompris 3.1 and Lomiri wallpapers 20.04.0, each photograph under a licence of its own")
    pairing = "paired"
    archive = "photos"
    folders: ClassVar = {"B": "photos"}
    suffixes: ClassVar = {"B": ".webp"}
    splits: ClassVar = {split: (split, "B") for split in ("train", "val", "test")}
    columns: ClassVar = {"id": "id", "label": "title", "group": "photograph"}

    class Settings(Dataset):
        variant: Literal["base"] = "base"
        condition: Condition = "downscale-4"
        """There is no other x, so it can't be null."""

    def bring(self, settings: Any, out: Path, paired: bool, root: Path, name: str) -> dict[str, Any]:
        """As other archives, and that these are photographs: cropped where the shape differs, and enlarged where they are moved."""
        return {**super().bring(settings, out, paired, root, name), "fit": "crop", "augment": "resize-crop"}


PHOTOS = Photos()
