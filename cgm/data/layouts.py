"""How people lay out their pictures in folders: a function a layout, and one line each in :data:`LAYOUTS`.

A layout looks at a folder's names and says which picture belongs to which split and side, or None where the folder isn't laid out so. It
opens none of the pictures.
"""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cgm.core.errors import UserError
from cgm.core.words import plural
from cgm.data.listing import SIDES

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""What people call their splits, in any case."""
SIDECARS = frozenset({
    ".bib", ".cff", ".csv", ".css", ".db", ".doc", ".docx", ".html", ".ini", ".ipynb", ".json", ".jsonl", ".js", ".lnk", ".log",
    ".m", ".mat", ".md", ".npy", ".npz", ".odt", ".pdf", ".pickle", ".pkl", ".py", ".rst", ".sh", ".tsv", ".toml", ".txt", ".url",
    ".xls", ".xlsx", ".xml", ".yaml", ".yml",
})  # fmt: skip
"""Suffixes of what lies beside pictures and is none."""
LEFT_BEHIND = ("desktop.ini", "thumbs.db")
"""What file managers leave in a folder, beside files whose name starts with a dot."""
TABLE = "pairs.csv"
MOST_NAMED = 8
"""How many names a message lists."""


@dataclass(frozen=True)
class Item:
    """A file, or half of one, that should be a picture."""

    id: str
    """What the two sides of a pair share: the name without suffix, below its side's folder, in Unicode's composed form (NFC)."""
    path: Path
    part: Literal["", "left", "right"] = ""
    group: str = ""
    """As the table says; items of a group never stand in two carved splits."""


Sides = dict[str, list[Item]]
Found = dict[str, Sides]
"""By split, then by side."""


@dataclass
class Tree:
    """A folder's uppermost names, and which pictures lie below each."""

    root: Path
    folders: dict[str, Path] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    """Perhaps pictures: what lies directly in ``root``."""

    @classmethod
    def of(cls, root: Path) -> Tree:
        """Raises :class:`UserError` where ``root`` is no folder."""
        if not root.is_dir():
            raise UserError(f"{root}: not found; expected a folder of pictures")
        tree = cls(root)
        for path in entries(root):
            if path.is_dir():
                tree.folders[path.name] = path
            elif may_be_picture(path):
                tree.files.append(path)
        return tree

    def seen(self) -> str:
        """``folders photos (24 files), sketches (24 files); 2 files``."""
        folders = [f"{name} ({plural(sum(1 for _ in pictures_below(path)), 'file')})" for name, path in self.folders.items()]
        more = f" and {len(folders) - MOST_NAMED} more" if len(folders) > MOST_NAMED else ""
        words = [f"folders {', '.join(folders[:MOST_NAMED])}{more}"] if folders else []
        return "; ".join([*words, f"{plural(len(self.files), 'file')} that may be pictures"])


def entries(folder: Path) -> Iterator[Path]:
    """What lies in ``folder``, sorted, less what file managers leave there. Raises :class:`UserError` for a name that no list can hold."""
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and path.name.lower() not in LEFT_BEHIND:
            try:
                path.name.encode()
            except UnicodeEncodeError:
                raise UserError(f"{folder}: found a file name that isn't UTF-8, {os.fsencode(path.name)!r}; rename the file") from None
            if any(unicodedata.category(letter) == "Cc" for letter in path.name):
                raise UserError(f"{folder}: found a control character in the file name {path.name!r}; rename the file")
            yield path


def may_be_picture(path: Path) -> bool:
    """By its name; whether it is one, its content says."""
    return path.suffix.lower() not in SIDECARS


def pictures_below(folder: Path) -> Iterator[Path]:
    """Files that may be pictures, in ``folder`` and everything below it, sorted."""
    for path in entries(folder):
        if path.is_dir():
            yield from pictures_below(path)
        elif may_be_picture(path):
            yield path


def sidecars_below(folder: Path) -> Iterator[Path]:
    """The other files: what is passed over by its name."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from sidecars_below(path)
        elif path.name.startswith(".") or path.name.lower() in LEFT_BEHIND or not may_be_picture(path):
            yield path


def folders_of(roots: Sequence[Path]) -> list[Path]:
    """``roots``, with a table's folder in its place."""
    return [root.parent if root.is_file() else root for root in roots]


def item(path: Path, below: Path, part: Literal["", "left", "right"] = "") -> Item:
    name = path.relative_to(below).with_suffix("").as_posix()
    return Item(unicodedata.normalize("NFC", name), path, part)


def items(folder: Path) -> list[Item]:
    return [item(path, folder) for path in pictures_below(folder)]


def split_of(name: str) -> str | None:
    """``valid`` → ``val``."""
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def splits(tree: Tree) -> dict[str, Path]:
    """The folders that are splits. Raises :class:`UserError` where two folders are the same one."""
    found: dict[str, Path] = {}
    for name, path in tree.folders.items():
        split = split_of(name)
        if split in found:
            raise UserError(f"{tree.root}: {found[split].name} and {name} are both the {split} split; keep one of them")
        if split is not None:
            found[split] = path
    return found


def _sides(folder: Path) -> dict[str, Path]:
    """``A`` and ``B`` in a folder, in any case."""
    return {path.name.upper(): path for path in entries(folder) if path.is_dir() and path.name.upper() in SIDES}


def split_folders(tree: Tree) -> Found | None:
    """``train/A``, ``train/B`` and, if there are any, ``val/…`` and ``test/…``."""
    found = {split: {side: items(path) for side, path in _sides(folder).items()} for split, folder in splits(tree).items()}
    return found if "train" in found and any(found.values()) else None


def joined_folders(tree: Tree) -> Found | None:
    """CycleGAN's ``trainA``, ``trainB``, ``testA``, ``testB`` and perhaps ``valA``, ``valB``."""
    found: Found = {}
    for name, path in tree.folders.items():
        split, side = split_of(name[:-1].rstrip("_- ")), name[-1:].upper()
        if split is not None and side in SIDES:
            found.setdefault(split, {})[side] = items(path)
    return found or None


def flat_folders(tree: Tree) -> Found | None:
    """``A`` and ``B``; splits are carved."""
    found = {side: items(path) for side, path in _sides(tree.root).items()}
    return {"train": found} if found else None


def side_by_side(tree: Tree) -> Found | None:
    """pix2pix's: a pair a file, A left and B right; in ``train``, ``val``, ``test``, or all in one folder, whose splits are carved."""
    return _single(tree, halves=True)


def single(tree: Tree) -> Found | None:
    """Pictures that are targets only, whose conditions are made from them; in ``train``, ``val``, ``test`` or all in one folder."""
    return _single(tree, halves=False)


def _single(tree: Tree, *, halves: bool) -> Found | None:
    folders = splits(tree)
    if not folders:
        # Two pictures in a file lie in one folder; single ones may lie in folders of folders.
        fits = tree.files and not tree.folders if halves else tree.files or tree.folders
        if not fits or _sides(tree.root) or joined_folders(tree):
            return None
        folders = {"train": tree.root}
    found: Found = {}
    for split, folder in folders.items():
        if _sides(folder):
            return None
        pictures = [*pictures_below(folder)]
        if pictures:
            parts: Sequence[tuple[str, Literal["", "left", "right"]]] = (("A", "left"), ("B", "right")) if halves else (("B", ""),)
            found[split] = {side: [item(path, folder, part) for path in pictures] for side, part in parts}
    return found if "train" in found else None


def table(tree: Tree) -> Found | None:
    """``pairs.csv`` with columns ``a`` and ``b`` (paths below the table's folder) and perhaps ``split`` and ``group``."""
    path = tree.root / TABLE
    return read_table(path) if path.is_file() else None


def read_table(path: Path) -> Found:
    """Raises :class:`UserError`, which names the line, where the table doesn't say what it must."""
    found: Found = {}
    seen: set[str] = set()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            if not {"a", "b"} <= columns:
                raise UserError(f"{path}: found the columns {', '.join(reader.fieldnames or ['none'])}, expected a,b[,split][,group]")
            for row in reader:
                line = f"{path}, line {reader.line_num}"
                split = split_of(row.get("split") or "train")
                if split is None:
                    raise UserError(f"{line}: found split {row['split']!r}, expected one of {', '.join(SPLIT_NAMES)}")
                if not row["a"] or not (row["b"] or split == "test"):
                    raise UserError(f"{line}: found no file for {'a' if not row['a'] else 'b'}, expected a path below {path.parent}")
                files = {side: path.parent / row[side.lower()] for side in SIDES if row[side.lower()]}
                for each in files.values():
                    if not each.is_file():
                        raise UserError(f"{line}: {each} is not there; correct the path, which starts at {path.parent}")
                name = unicodedata.normalize("NFC", Path(row["a"]).with_suffix("").as_posix().lstrip("./"))
                if name in seen:
                    raise UserError(f"{line}: {row['a']} stands in the table twice; list each a once")
                seen.add(name)
                for side, each in files.items():
                    found.setdefault(split, {}).setdefault(side, []).append(Item(name, each, group=row.get("group") or ""))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    if not found:
        raise UserError(f"{path}: found no rows, expected one a pair: a,b[,split][,group]")
    return found


LAYOUTS: dict[str, Callable[[Tree], Found | None]] = {
    "table": table,
    "split-folders": split_folders,
    "joined-folders": joined_folders,
    "flat-folders": flat_folders,
    "side-by-side": side_by_side,
    "single": single,
}
TITLES = {
    "table": "pairs.csv",
    "split-folders": "train/A, train/B",
    "joined-folders": "trainA, trainB",
    "flat-folders": "A, B",
    "side-by-side": "A|B side by side in one file",
    "single": "single pictures",
    "two-folders": "two folders",
}
"""``two-folders`` is what ``a:`` and ``b:`` say; no folder shows it."""
Layout = Literal["auto", "table", "split-folders", "joined-folders", "flat-folders", "side-by-side", "single"]


ADDRESS = ("http://", "https://")


def two_folders(a: Path, b: Path) -> Found:
    """Any two folders; splits are carved. Raises :class:`UserError` where one isn't there, or holds the other."""
    for folder in (a, b):
        if not folder.is_dir():
            raise UserError(f"{folder}: not found; expected a folder of pictures")
    for outer, inner in ((a, b), (b, a)):
        if inner.resolve().is_relative_to(outer.resolve()):
            words = "the same folder as" if inner.resolve() == outer.resolve() else "holds"
            raise UserError(f"{outer}: {words} {inner}; expected two folders apart, one of conditions and one of targets")
    return {"train": {"A": items(a), "B": items(b)}}


def read(root: Path, layout: str, *, singles: bool) -> tuple[str, Found]:
    """The pictures below ``root`` by the ``layout`` that is named, or, for ``auto``, by the one that the folder shows.

    ``singles``: whether single pictures are wanted (conditions are made from them), rather than two in one file. Returns the layout's name
    too. Raises :class:`UserError`, which says what was seen, where none or several fit.
    """
    if root.is_file():
        if may_be_picture(root):
            raise UserError(f"{root}: found a file, expected a folder of pictures, or a table of pairs ({TABLE})")
        return "table", read_table(root)
    tree = Tree.of(root)
    if layout != "auto":
        found = LAYOUTS[layout](tree)
        if found is None:
            raise UserError(f"{root}: isn't laid out as {layout} ({TITLES[layout]}): found {tree.seen()}")
        return layout, found
    fits = _fits(tree, singles)
    if len(fits) == 1:
        return next(iter(fits.items()))
    if fits:
        what = f"which fits several layouts ({', '.join(fits)}); say which with layout: (cgm add: --set layout=…)"
    else:
        what = f"which fits no layout that is known{_advice(tree, singles)}"
    raise UserError(f"{root}: found {tree.seen()}, {what}")


def _fits(tree: Tree, singles: bool) -> dict[str, Found]:
    """The layouts that the folder shows."""
    fits = {name: found for name, function in LAYOUTS.items() if (found := function(tree)) is not None}
    fits.pop("side-by-side" if singles else "single", None)
    return {"table": fits["table"]} if "table" in fits else fits


def _advice(tree: Tree, singles: bool) -> str:
    if deeper := _deeper(tree):
        return f"; {deeper[0]} is laid out as {TITLES[deeper[1]]}: name that folder"
    if len(tree.folders) == 2 and not any(map(split_of, tree.folders)):
        a, b = tree.folders.values()
        return f"; for pairs of these two folders write a: {a}, b: {b} in place of path: (cgm add NAME {a} {b})"
    known = [TITLES[name] + (" with condition: (cgm add: --set condition=grey)" if name == "single" else "") for name in LAYOUTS]
    return f"; expected one of: {'; '.join(known)}; or two folders, by a: and b: (cgm add NAME CONDITIONS TARGETS)"


def _deeper(tree: Tree) -> tuple[Path, str] | None:
    """The first folder, one or two levels down, that shows one layout with names of its own."""
    level = [*tree.folders.values()][:MOST_NAMED]
    for _ in range(2):
        trees = [Tree.of(folder) for folder in level]
        for each in trees:
            try:
                fits = [name for name in _fits(each, singles=True) if name != "single"]
            except UserError:  # a layout with a mistake, of which nobody asked
                continue
            if len(fits) == 1:
                return each.root, fits[0]
        level = [folder for each in trees for folder in each.folders.values()][:MOST_NAMED]
    return None
