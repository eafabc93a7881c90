"""What a person should hear of a folder of pictures: what was found, what looks odd, what was left out. It ends in the card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgm.core.errors import UserError
from cgm.core.words import plural
from cgm.data import layouts
from cgm.data.layouts import Found
from cgm.data.listing import SIDES, SPLITS
from cgm.data.reading import reading_of
from cgm.data.sources.source import SIDES_OF
from cgm.data.survey import Look, said_on_error_output

if TYPE_CHECKING:
    from cgm.data.sources.files import FileSettings

DRAWINGS, PHOTOGRAPHS = "drawings on the ground", "photographs or the like"
NAMED = 10
"""How many files a message lists; the card lists all."""
DARK_BELOW, USED_BELOW = 32, 0.25
"""What one says something about: pictures of 8 bits whose values all lie below the one, deeper ones that use less than the other of their
range."""
Looks = dict[tuple[Path, str], Look]


@dataclass
class Report:
    """What a person should hear of a folder; ends in the card."""

    layout: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unusable: list[tuple[str, str]] = field(default_factory=list)
    """File and reason."""
    passed_over: list[str] = field(default_factory=list)


def odd_values(sides: Found, looks: Looks, report: Report, settings: FileSettings) -> None:
    """What the values look like: too few of a deep file's range, class numbers, clipping, several frames, odd widths."""
    for side in SIDES:
        seen = of_side(sides, looks, side)
        if not seen:
            continue
        deep = [look for look in seen if look.dtype != "uint8"]
        if deep and reading_of(settings, side).value_range is None:
            top = max(look.high for look in deep)
            whole = 1.0 if deep[0].dtype.startswith("float") else 65535.0 if deep[0].dtype == "uint16" else max(65535.0, top)
            report.facts[f"values of {side}"] = f"{deep[0].dtype}, {min(look.low for look in deep):g} to {top:g}"
            if top < USED_BELOW * whole:
                low = min(look.low for look in deep)
                report.notes.append(
                    f"side {side} holds {deep[0].dtype} values up to {top:g}, {100 * top / whole:.2g} % of their range, and is nearly"
                    f" black; set value_range, for example {{{side}: [{low:g}, {top:g}]}}"
                )
        classes = [look for look in seen if look.classes]
        if classes and settings.labels:
            report.facts[f"classes of {side}"] = (
                f"class numbers up to {max(look.high for look in classes):g} in {plural(len(classes), 'picture')}"
            )
        grey = all(look.dtype == "uint8" and not look.coloured for look in seen)
        high = max(look.high for look in seen)
        if grey and high < DARK_BELOW and not settings.labels:
            report.notes.append(f"side {side} holds values up to {high:g} of 255 and is nearly black; class numbers? then set labels: true")
        if clipped := sum(look.clipped for look in seen):
            report.notes.append(f"side {side}: values outside of value_range are clipped in {plural(clipped, 'picture')}")
        if several := sum(look.frames > 1 for look in seen):
            report.notes.append(f"side {side}: the first picture is taken of {plural(several, 'file')} with several (animation, pages)")
        if side == "A" and (odd := sum(look.odd for look in seen)):
            report.notes.append(f"the middle column of {plural(odd, 'file')} of odd width belongs to neither picture")
        if small := [look for look in seen if min(look.width, look.height) < SIDES_OF]:
            least = min(small, key=lambda look: (min(look.width, look.height), look.width * look.height))
            report.notes.append(
                f"side {side}: {plural(len(small), 'picture')} with a side below {SIDES_OF} px, the least image_size, must be enlarged; the"
                f" smallest has {least.width}×{least.height} px"
            )


def odd_colours(sides: Found, looks: Looks, report: Report, settings: FileSettings) -> None:
    for side in SIDES:
        seen = of_side(sides, looks, side)
        if seen and all(look.one_colour for look in seen) and len({look.thumb for look in seen}) == 1:
            raise UserError(
                f"side {side}: all {len(seen)} pictures are one and the same colour on the ground {settings.ground}, expected something to"
                " see; set ground to another colour, or value_range"
            )
        if plain := sum(look.one_colour for look in seen):
            report.facts[f"pictures of one colour in {side}"] = plain
    everything = [*of_side(sides, looks, "A"), *of_side(sides, looks, "B")]
    if settings.channels == 3 and not settings.labels and not any(look.coloured for look in everything):
        report.notes.append("all pictures are grey; channels: 1 trains and evaluates them as such")
    if settings.channels == 1 and (coloured := sum(look.coloured for look in everything)):
        report.notes.append(f"{plural(coloured, 'coloured picture')} made grey (ITU-R 601 luma)")


def told(report: Report, sides: Found, looks: Looks, drawing: bool, name: str) -> dict[str, Any]:
    """Say what was found, and give it to the card."""

    seen = [look for side in SIDES for look in of_side(sides, looks, side)]
    widths, heights = [look.width for look in seen], [look.height for look in seen]
    counts = {split: {side: len(sides.get(split, {}).get(side, [])) for side in SIDES} for split in SPLITS}
    spread = f"{min(widths)}×{min(heights)}" + (
        f" to {max(widths)}×{max(heights)}" if len({*zip(widths, heights, strict=True)}) > 1 else ""
    )
    numbers = "; ".join(
        f"{split} {count['A']} A, {count['B']} B" if count["A"] else f"{split} {count['B']}" for split, count in counts.items()
    )
    said_on_error_output(
        name,
        [
            f"found {layouts.TITLES[report.layout]}: {numbers}; {spread} px; {DRAWINGS if drawing else PHOTOGRAPHS}",
            *([f"passed over {plural(len(report.passed_over), 'file')}: no pictures"] if report.passed_over else []),
            *([f"left out {len(report.unusable)}: {enumerated(report.unusable)}"] if report.unusable else []),
            *report.notes,
        ],
    )
    return {
        "layout": report.layout,
        "sizes": spread,
        "drawings": drawing,
        "notes": report.notes,
        "left_out": [{"file": file, "reason": reason} for file, reason in report.unusable],
        "passed_over": {"count": len(report.passed_over), "files": report.passed_over[:NAMED]},
        **report.facts,
    }


def of_side(sides: Found, looks: Looks, side: str) -> list[Look]:
    return [looks[item.path, item.part] for by_side in sides.values() for item in by_side.get(side, [])]


def enumerated(found: Sequence[tuple[str, str]]) -> str:
    more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return "; ".join(f"{file}: {reason}" for file, reason in found[:NAMED]) + more


def short(path: Path, base: Path) -> str:
    """From ``base`` on, which messages start with, where the file lies there."""
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)
