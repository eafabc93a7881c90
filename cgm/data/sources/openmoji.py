"""OpenMoji: line drawing → coloured picture (CC BY-SA 4.0), from the embedded archive."""

from __future__ import annotations

from typing import ClassVar, Literal

from cgm.core.registry import About
from cgm.data.sources.archives import SHARED, Embedded
from cgm.data.sources.source import Dataset


class OpenMoji(Embedded):
    about = About(title="OpenMoji", citation="openmoji.org, version 17.0.0, CC BY-SA 4.0")
    pairing = "paired"
    line_art = True
    archive = "openmoji"
    folders: ClassVar = {"A": "black", "B": "color"}
    suffixes: ClassVar = {"A": ".svg", "B": ".svg"}
    splits: ClassVar = {"train": ("train", "AB"), **SHARED}

    class Settings(Dataset):
        variant: Literal["base", "all"] = "base"
        """``base``: one skin tone a concept; ``all``: with skin tones."""


OPENMOJI = OpenMoji()
