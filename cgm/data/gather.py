"""From a layout's files to a listing: which of them are pictures, which belong together, which split each goes to, and what to say of it.

Nothing is lost in silence: what can't be used stops the fetch, or is named on standard error and in the card.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgm.core.errors import UserError
from cgm.core.words import plural
from cgm.data import layouts, splits
from cgm.data.findings import Looks, Report, enumerated, odd_colours, odd_values, short, told
from cgm.data.layouts import Found, Item
from cgm.data.listing import SIDES, SPLITS, Picture, write_listing
from cgm.data.pairing import paired_up
from cgm.data.raster import Job
from cgm.data.reading import reading_of
from cgm.data.survey import Look, survey

if TYPE_CHECKING:
    from cgm.data.sources.files import FileSettings

LOST_AT_MOST = 0.01
"""Share of the pairs that may be unusable before ``unusable: auto`` stops."""
NARROWEST = 0.95
"""Width ÷ height from which on half a file is taken for a picture of its own."""
FEWEST = 8
"""Training images of a side, after splits are carved, with which all metrics have a meaning."""


def gather(
    settings: FileSettings, found: tuple[str, Found], out: Path, *, paired: bool, base: Path, roots: Sequence[Path], name: str
) -> dict[str, Any]:
    """Look at every picture of a layout, decide on splits, write ``out/listing.csv`` and say on standard error what was found.

    ``found``: of :func:`cgm.data.layouts.read`, from ``roots``: folders, or a table. ``base``: the folder that messages name pictures
    from; the listing's paths are relative to ``out`` where the pictures lie in it, else as they were given. ``name``: of the dataset.
    Returns ``hidden_pairs``, ``fit``, ``augment`` and ``reading``, for the card. Raises :class:`UserError`, which names files, where the
    pictures can't be used.
    """
    report = Report(layout=found[0])
    _beside(found, roots, report, base)
    single = settings.condition is not None
    if single and not paired:
        raise UserError(
            f"{name}: condition: {settings.condition} makes pairs; move the dataset from unpaired.datasets to datasets (cgm add: leave out"
            " --unpaired)"
        )
    sides = _directed(found[1], settings)
    _expect_train(sides, base, single)
    looks = _looked_at(sides, settings, name)
    sides = _pictures(sides, looks, report, base)
    if report.layout == "side-by-side" and settings.layout == "auto":
        _expect_halves(looks, base)
    if paired and not single:
        sides = paired_up(sides, looks, report, base)
    sides = _usable(sides, looks, report, settings, base, paired=paired, name=name)
    odd_values(sides, looks, report, settings)
    odd_colours(sides, looks, report, settings)
    groups = _groups(sides, looks, settings, report, base, paired=paired or single)
    aligned = paired or settings.hidden_pairs
    sides = _carved(sides, groups, base, report, aligned=aligned)
    if settings.hidden_pairs and not paired:
        _expect_hidden_pairs(sides, base)
    _twins_across(sides, looks, report)
    listing = [
        Picture(split, side, item.id, "", str(groups.get((side, item.id), "")) if item.group or settings.group else "", True,
                _written(item.path, out), looks[item.path, item.part].sha256, item.part)
        for split, by_side in sides.items()
        for side, listed in by_side.items()
        for item in listed
    ]  # fmt: skip
    write_listing(out, listing)
    drawing = _drawing(looks[item.path, item.part] for by_side in sides.values() for listed in by_side.values() for item in listed)
    return {
        "hidden_pairs": settings.hidden_pairs and not paired,
        "fit": "pad" if drawing else "crop",
        "augment": "shift" if drawing else "resize-crop",
        "settings": settings.read_by(),
        "reading": told(report, sides, looks, drawing, name),
    }


def _directed(found: Found, settings: FileSettings) -> Found:
    if settings.direction == "AtoB" or settings.condition is not None:
        return found
    return {split: {SIDES[1 - SIDES.index(side)]: listed for side, listed in sides.items()} for split, sides in found.items()}


def _beside(found: tuple[str, Found], roots: Sequence[Path], report: Report, base: Path) -> None:
    """What lies in the folders, or beside a table, and isn't part of the layout."""
    layout, splits_found = found
    used = {item.path for by_side in splits_found.values() for listed in by_side.values() for item in listed}
    if layout == "table":
        used |= {root if root.is_file() else root / layouts.TABLE for root in roots}
    for folder in layouts.folders_of(roots):
        report.passed_over += [short(path, base) for path in layouts.sidecars_below(folder) if path not in used]
        others = [path for path in layouts.pictures_below(folder) if path not in used]
        for place, count in sorted(Counter(short(path.parent, base) for path in others).items()):
            report.notes.append(f"passed over {plural(count, 'file')} in {place}, no part of the layout")


def _expect_train(sides: Found, base: Path, single: bool) -> None:
    for side in ("B",) if single else SIDES:
        if not sides.get("train", {}).get(side):
            raise UserError(f"{base}: found no training pictures of side {side}, expected some")
        if "val" in sides and not sides["val"].get(side):
            raise UserError(
                f"{base}: found no pictures of side {side} in val, expected some, or no val at all: then it is carved from train"
            )
    if "test" in sides and not sides["test"].get("B" if single else "A"):
        raise UserError(f"{base}: found no conditions in test, expected some, or no test at all: then it is carved from train")


def _looked_at(sides: Found, settings: FileSettings, name: str) -> Looks:

    readings = {side: reading_of(settings, side) for side in SIDES}
    wanted = {
        (item.path, item.part): Job(path=item.path, sha256="", part=item.part, reading=readings[side])
        for by_side in sides.values()
        for side, listed in by_side.items()
        for item in listed
    }
    return dict(zip(wanted, survey([*wanted.values()], name), strict=True))


def _pictures(sides: Found, looks: Looks, report: Report, base: Path) -> Found:
    """Less what is no picture, by its content."""
    report.passed_over += sorted(short(path, base) for path in {path for (path, _), look in looks.items() if not look.picture})
    return {
        split: {side: [item for item in listed if looks[item.path, item.part].picture] for side, listed in by_side.items()}
        for split, by_side in sides.items()
    }


def _expect_halves(looks: Looks, base: Path) -> None:
    """Two pictures side by side make a wide one; half a photograph is a narrow one."""
    ratios = sorted(look.width / look.height for look in looks.values() if look.picture and not look.problem)
    if ratios and ratios[len(ratios) // 2] < NARROWEST:
        raise UserError(
            f"{base}: found files whose halves are narrower than high, so that they look like single pictures rather than two side by"
            " side; to make conditions of single pictures set condition: (cgm add: --set condition=grey), for two in one file set layout:"
            " side-by-side (cgm add: --set layout=side-by-side)"
        )


def _usable(sides: Found, looks: Looks, report: Report, settings: FileSettings, base: Path, *, paired: bool, name: str) -> Found:
    """Less what can't be read; with its partner where the reading is paired."""
    bad = {
        (split, item.id)
        for split, by_side in sides.items()
        for listed in by_side.values()
        for item in listed
        if looks[item.path, item.part].problem
    }
    report.unusable += {(short(path, base), look.problem) for (path, part), look in looks.items() if look.problem and part != "right"}
    partners = paired and settings.condition is None

    def stays(split: str, item: Item) -> bool:
        return (split, item.id) not in bad if partners else not looks[item.path, item.part].problem

    kept = {
        split: {side: [item for item in listed if stays(split, item)] for side, listed in by_side.items()}
        for split, by_side in sides.items()
    }
    report.unusable.sort()
    lost = len(report.unusable)
    left = sum(max(map(len, by_side.values()), default=0) for by_side in kept.values())
    stop = settings.unusable == "stop" or (settings.unusable == "auto" and paired and lost > LOST_AT_MOST * (lost + left))
    if lost and (stop or not left):
        alone = sum("no picture of that name" in reason for _, reason in report.unusable)
        unpaired = "; if A and B aren't pairs, the dataset's place is unpaired.datasets, and not datasets (cgm add: --unpaired)"
        advice = unpaired if 10 * alone > left else ""
        raise UserError(
            f"{base}: {lost} of {lost + left} {'pairs' if partners else 'pictures'} can't be used: {enumerated(report.unusable)}; mend or "
            f"remove them, or set {name}.unusable: skip (cgm add: --set unusable=skip){advice}"
        )
    for split, by_side in kept.items():
        for side, listed in by_side.items():
            if not listed and sides[split][side]:
                raise UserError(f"{base}: side {side} of {split}: none of its pictures can be used: {enumerated(report.unusable)}")
    return kept


Groups = dict[tuple[str, str], str]
"""By (side, id) the group's name; in paired data both sides of a pair have the same."""


def _groups(sides: Found, looks: Looks, settings: FileSettings, report: Report, base: Path, *, paired: bool) -> Groups:
    """Of the training pictures, which a missing split is carved from. Raises :class:`UserError` where ``group`` finds nothing in any id."""
    train = [(side, item) for side, listed in sides["train"].items() for item in listed]
    union = splits.Groups()

    def unit(side: str, item: Item) -> tuple[str, str]:
        return ("", item.id) if paired else (side, item.id)

    by_expression = {unit(side, item): _matched(settings.group, item.id) for side, item in train}
    if settings.group is not None and (alone := [one for one, named in by_expression.items() if not named]):
        count = f"group: {settings.group} matched {len(by_expression) - len(alone)} of {plural(len(by_expression), 'id')}"
        example = f"such as {alone[0][1]!r}"
        if len(alone) == len(by_expression):
            raise UserError(f"{base}: {count}, {example}; expected a regular expression that finds the group's name in each")
        report.notes.append(f"{count}; of the others, {example}, each is taken for a group of its own")
    for side, item in train:
        union.of(unit(side, item))
        if named := by_expression[unit(side, item)] or item.group:
            union.join(("", f"\0{named}"), unit(side, item))
    rules = ["the table's column group"] * any(item.group for _, item in train) + [f"group: {settings.group}"] * (
        settings.group is not None
    )
    carves = not {"val", "test"} <= sides.keys()
    if settings.near_duplicates and carves:
        rules.append("look-alikes")
        listed = {side: items for side, items in sides["train"].items() if items}
        twins = {side: splits.near_twins([looks[item.path, item.part] for item in items]) for side, items in listed.items()}
        if paired and len(twins) == 2:
            # A pair is another's twin if both of its pictures are: line drawings and masks are often alike where what they stand for isn't.
            # (Both sides stand in the order of their ids.)
            twins = {"A": splits.in_both(twins["A"], twins["B"])}
        for side, found_twins in twins.items():
            items = listed[side]
            for item, least in zip(items, splits.families(found_twins, len(items)), strict=True):
                union.join(unit(side, items[least]), unit(side, item))
        report.facts["near twins in train"] = sum(map(len, twins.values()))
    # Which file is the same, byte for byte, on the side of the conditions?
    same: dict[str, tuple[str, str]] = {}
    for side, item in train:
        look = looks[item.path, item.part]
        if (side == "A" or not paired) and not look.one_colour:
            union.join(same.setdefault(f"{side}{item.part}{look.sha256}", unit(side, item)), unit(side, item))
    names = {unit(side, item): union.of(unit(side, item)) for side, item in train}
    sizes = Counter(names.values())
    found = {one: f"{group[0]}{group[1]}".replace("\0", "group ") if sizes[group] > 1 else one[1] for one, group in names.items()}
    report.facts["groups"] = splits.figures({f"{one}": name for one, name in found.items()}, rules)
    return {(side, item.id): found[unit(side, item)] for side, item in train}


def _matched(group: str | None, identity: str) -> str:
    """What the expression ``group`` finds in an id, its first group where it has one; empty for nothing."""
    match = re.search(group, identity) if group is not None else None
    return "" if match is None else (match.group(1) or "") if match.re.groups else match.group()


def _carved(sides: Found, groups: Groups, base: Path, report: Report, *, aligned: bool) -> Found:
    missing = [split for split in ("test", "val") if split not in sides]
    train = sides["train"]
    if missing:
        sides = {split: dict(by_side) for split, by_side in sides.items()}
        order = [side for side in SIDES if train.get(side)]
        if aligned and len(order) == 2:
            common = {item.id for item in train["A"]} & {item.id for item in train["B"]}
            parts = splits.carve(sorted(common), missing, {one: groups["A", one] for one in common}, str(base))
            chosen = dict.fromkeys(order, parts)
        else:
            chosen = {
                side: splits.carve(
                    sorted(item.id for item in train[side]),
                    missing,
                    {item.id: groups[side, item.id] for item in train[side]},
                    f"{base}, side {side}",
                )
                for side in order
            }
        for side in order:
            gone = {one for split in missing for one in chosen[side][split]}
            for split in missing:
                wanted = set(chosen[side][split])
                sides.setdefault(split, {})[side] = [item for item in train[side] if item.id in wanted]
            sides["train"] = {**sides["train"], side: [item for item in train[side] if item.id not in gone]}
        report.facts["carved"] = missing
    for side, listed in sides["train"].items():
        if len(listed) < FEWEST:
            raise UserError(
                f"{base}: found {len(listed)} training pictures of side {side}"
                + (f" after carving {' and '.join(missing)}" if missing else "")
                + f", expected {FEWEST} or more; add images"
            )
    return sides


def _expect_hidden_pairs(sides: Found, base: Path) -> None:
    for split in ("val", "test"):
        names = [{item.id for item in sides[split].get(side, [])} for side in SIDES]
        if names[0] != names[1]:
            odd = min(names[0] ^ names[1])
            raise UserError(
                f"{base}: hidden_pairs: true, but {odd!r} stands on one side of {split} only; in val and test A and B must hold the same"
                " names"
            )


def _twins_across(sides: Found, looks: Looks, report: Report) -> None:
    """Look-alikes that stand in two splits, which is a leak; where splits are given, nobody else would have looked."""
    found: Counter[str] = Counter()
    for side in SIDES:
        listed = [(split, item) for split in SPLITS for item in sides.get(split, {}).get(side, [])]
        twins = splits.near_twins([looks[item.path, item.part] for _, item in listed])
        found.update(splits.across(twins, [split for split, _ in listed]))
    report.facts["near twins across splits"] = dict(found)
    if leaks := {name: count for name, count in found.items() if count}:
        report.notes.append(
            "near twins stand in two splits: "
            + ", ".join(f"{count} in {name}" for name, count in leaks.items())
            + "; what is measured on them is partly remembered"
        )


def _drawing(looks: Iterable[Look]) -> bool:
    """Whether these are drawings on the ground: nine of ten have it all around. Padding such a picture shows nowhere."""
    seen = list(looks)
    return sum(look.on_ground for look in seen) >= 0.9 * len(seen)


def _written(path: Path, out: Path) -> str:
    return path.relative_to(out).as_posix() if path.is_relative_to(out) else str(path)
