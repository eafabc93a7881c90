"""Fluent Emoji: flat drawing → 3-D rendering (MIT), from the embedded archive, in pairs or as two domains of different concepts."""

from __future__ import annotations

from typing import ClassVar, Literal

from cgm.core.registry import About
from cgm.data.sources.archives import SHARED, Embedded
from cgm.data.sources.source import Dataset


class Archive(Embedded):
    about = About(title="Fluent Emoji", citation="Microsoft, MIT")
    archive = "fluent"
    folders: ClassVar = {"A": "flat", "B": "3d"}
    suffixes: ClassVar = {"A": ".svg", "B": ".webp"}

    class Settings(Dataset):
        variant: Literal["base"] = "base"


class Fluent(Archive):
    pairing = "paired"
    splits: ClassVar = {"trainA": ("train", "AB"), "trainB": ("train", "AB"), **SHARED}


class FluentUnpaired(Archive):
    """No concept stands in both training domains; val and test are hidden pairs."""

    pairing = "unpaired"
    splits: ClassVar = {"trainA": ("train", "A"), "trainB": ("train", "B"), **SHARED}


FLUENT, FLUENT_UNPAIRED = Fluent(), FluentUnpaired()
