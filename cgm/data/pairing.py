"""Which picture of A belongs to which of B, by their names and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cgm.core.errors import UserError
from cgm.data.findings import Looks, Report, short
from cgm.data.layouts import Found, Item
from cgm.data.listing import SIDES
from cgm.data.survey import Look


def paired_up(sides: Found, looks: Looks, report: Report, base: Path) -> Found:
    """Each split with the same ids on both sides, in which a pair's names may differ by an affix of the whole side. What has no partner,
    or one of another shape, is unusable; a test set without targets stays as it is."""
    found: Found = {}
    for split, by_side in sides.items():
        if split == "test" and not by_side.get("B"):
            found[split] = {"A": by_side["A"], "B": []}
            report.notes.append(
                "test holds conditions without targets: it is translated, and no metric that needs a target is computed on it"
            )
            continue
        named = {side: _unique(by_side.get(side, []), base) for side in SIDES}
        if not named["A"].keys() & named["B"].keys() and (renamed := by_affix(named)) is not None:
            named, cut = renamed
            report.notes.append(f"pairs are found by names {cut['A']} in A and {cut['B']} in B, * being what they share")
        kept: dict[str, list[Item]] = {side: [] for side in SIDES}
        for identity in sorted(named["A"].keys() | named["B"].keys()):
            both = [named[side].get(identity) for side in SIDES]
            a, b = both
            if a is None or b is None:
                alone = a or b
                assert alone is not None
                other = "B" if b is None else "A"
                report.unusable.append((short(alone.path, base), f"no picture of that name on side {other} of {split}"))
                continue
            first, second = looks[a.path, a.part], looks[b.path, b.part]
            if not (first.problem or second.problem) and not one_shape(first, second):
                sizes = f"{second.width}×{second.height} px beside {first.width}×{first.height} px of {short(a.path, base)}"
                report.unusable.append((short(b.path, base), f"{sizes}: the pair doesn't align"))
                continue
            for side, item in (("A", a), ("B", b)):
                kept[side].append(item)
        found[split] = kept
    return found


def _unique(listed: Sequence[Item], base: Path) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for item in listed:
        if item.id in found:
            raise UserError(
                f"{short(item.path, base)}: the same name as {short(found[item.id].path, base)} but for the suffix; rename one of them"
            )
        found[item.id] = item
    return found


def by_affix(named: dict[str, dict[str, Item]]) -> tuple[dict[str, dict[str, Item]], dict[str, str]] | None:
    """``0001_A`` and ``0001_B``: what all names of a side begin and end with is left out, if the rest pairs any.

    ``named``: by side, then by name. Returns the same by what is left of the names, and what they look like, ``*_A``, by side.
    """
    found, cut = {}, {}
    for side, items in named.items():
        names = list(items)
        if len(names) < 2:
            return None
        start, end = _shared_start(names), _shared_start([name[::-1] for name in names])[::-1]
        if any(len(name) <= len(start) + len(end) for name in names):
            end = ""
        if any(len(name) <= len(start) for name in names):
            start = ""
        cut[side] = f"{start}*{end}"
        short = {name: name[len(start) : len(name) - len(end)] for name in names}
        found[side] = {short[name]: Item(short[name], item.path, item.part, item.group) for name, item in items.items()}
        if len(found[side]) != len(items):
            return None
    if not found["A"].keys() & found["B"].keys():
        return None
    return found, cut


def _shared_start(names: Sequence[str]) -> str:
    least, most = min(names), max(names)
    return least[: next((place for place, (one, other) in enumerate(zip(least, most, strict=False)) if one != other), len(least))]


def one_shape(first: Look, second: Look) -> bool:
    """Whether one is the other but for its size: B's height is A's, enlarged as its width is, to a pixel of rounding."""
    if first.width == second.width:
        return first.height == second.height
    return abs(first.height * second.width / first.width - second.height) <= 1
