"""Pictures that lie in files, in whatever layout people keep them: what a folder of one's own and a downloaded set share.

Pillow and numpy are imported when pictures are opened: ``params.yaml`` is read without them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from cgm.data.layouts import Found, Layout
from cgm.data.sources.source import Dataset, Source


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"found {text!r}, expected a regular expression ({error})") from None
    return text


def _colour(text: str) -> str:
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise ValueError(f"found {text!r}, expected a colour such as '#ffffff'")
    return text.lower()


def _range(found: Any) -> tuple[float, float]:
    numbers = isinstance(found, list | tuple) and len(found) == 2 and all(type(each) in (int, float) for each in found)
    if not numbers or not found[0] < found[1]:
        raise ValueError(f"found {found!r}, expected [low, high] with low < high, or one for each side: {{A: [low, high], B: [low, high]}}")
    return float(found[0]), float(found[1])


def _ranges(found: Any) -> Any:
    if isinstance(found, dict):
        if unknown := [side for side in found if side not in ("A", "B")]:
            raise ValueError(f"found side {unknown[0]!r}, expected A or B")
        return {side: _range(each) for side, each in found.items()}
    return None if found is None else _range(found)


Range = tuple[float, float]


class FileSettings(Dataset):
    """How a folder is read. Every setting has a default that looks at the folder, or that loses nothing in silence."""

    variant: Literal["base"] = "base"
    layout: Layout = "auto"
    """How the pictures are laid out; ``auto``: as the folder shows (:mod:`cgm.data.layouts`)."""
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    """Which side is the condition: of pictures side by side A is the left one."""
    hidden_pairs: bool = False
    """Unpaired only: A and B of val and test belong together by their names, for scoring and not for training."""
    group: Annotated[str, AfterValidator(_expression)] | None = None
    """A regular expression on the id; what it finds (its first group, if it has one) names the pictures that no carved split tears apart:
    frames of a video, crops of a scan."""
    near_duplicates: bool = True
    """Whether pictures that look alike count as one group."""
    unusable: Literal["auto", "stop", "skip"] = "auto"
    """What happens to pictures that can't be used; ``auto``: stop where more than 1 % of the pairs would be lost, else skip them."""
    value_range: Annotated[Range | dict[str, Range] | None, BeforeValidator(_ranges)] = None
    """The values that become black and white, of both sides or of each, where a channel has more than 8 bits; without it the whole range
    of the file's type."""
    labels: bool = False
    """Pictures of one channel and palettes hold class numbers: they get colours of their own and are never blended."""
    ground: Annotated[str, AfterValidator(_colour)] = "#ffffff"
    """What transparent pictures lie on, and what ``fit: pad`` adds."""

    def range_of(self, side: str) -> Range | None:
        return self.value_range.get(side) if isinstance(self.value_range, dict) else self.value_range

    def read_by(self) -> dict[str, Any]:
        """What decides how the files become a listing: another value of these fetches again."""
        shared = set(Dataset.model_fields) - {"source"}
        found = self.model_dump(mode="json", exclude=shared)
        return {**found, "single": self.condition is not None}


class Files(Source):
    """A source whose pictures lie in files. Subclasses bring the folder, and call :meth:`gather`."""

    pairing: Literal["paired", "unpaired", "either"] = "either"
    Settings: type[FileSettings] = FileSettings

    def gather(
        self, settings: FileSettings, found: tuple[str, Found], out: Path, *, paired: bool, base: Path, roots: Sequence[Path], name: str
    ) -> dict[str, Any]:
        """:func:`cgm.data.gather.gather`, which is imported when it is called for."""
        from cgm.data.gather import gather

        return gather(settings, found, out, paired=paired, base=base, roots=roots, name=name)
