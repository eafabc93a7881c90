"""The pictures and transcripts of docs/data.md and docs/use.md, made anew of the embedded archives.

    python docs/pictures.py           # writes docs/pictures/*.png and the generated sections
    python docs/pictures.py --check   # writes nothing, and fails where a picture or a section would come out otherwise

Folders of pictures are really made, in a temporary place, and read by the code that reads a user's. Which pictures they hold, the hash of
the names says.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import chdir, redirect_stderr
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
import yaml
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.page import renew_section  # noqa: E402
from cgm.core.errors import UserError  # noqa: E402
from cgm.data.batches import Batches  # noqa: E402
from cgm.data.conditions import CONDITIONS, make  # noqa: E402
from cgm.data.images import to_uint8  # noqa: E402
from cgm.data.layouts import LAYOUTS, TABLE, entries  # noqa: E402
from cgm.data.listing import SIDES, SPLITS, hash_order  # noqa: E402
from cgm.data.prepare import prepare  # noqa: E402
from cgm.data.prepared import Prepared, open_prepared  # noqa: E402
from cgm.data.raster import Job, Shape, rasterise  # noqa: E402
from cgm.data.sources import SOURCES  # noqa: E402
from cgm.data.sources.folder import FOLDER  # noqa: E402
from cgm.experiment.settings import Training  # noqa: E402

COMMAND = "python docs/pictures.py"
PICTURES = Path("docs/pictures")
DATA, USE = Path("docs/data.md"), Path("docs/use.md")
NAME = "mine"
"""The dataset's, as in the page's examples."""
TWO_FOLDERS = "two-folders"
COUNT, TESTED = 22, 5
"""Pictures that a folder gets, and in a test folder."""
SHOWN = 3
"""Files that a folder is shown with."""
SUBJECT = "cat"
"""The photograph that the conditions are shown of: one whose edges can be recognised."""

GROUND, INK, MUTED, RULE, ACCENT = "#ffffff", "#1f2328", "#59636e", "#c8ced4", "#0550ae"
WIDTH, MARGIN = 1080, 22
PREPARED, DRAWN = 64, 96
"""Pixels a side: of prepared pictures, and of drawings that lie in a folder."""
THUMB = 48
COLOURS = 160
ALIKE = 6.0
"""Grey levels by which a picture may differ on the average and count as the same: another Pillow decodes and reduces a little otherwise."""
PROGRESS = re.compile(r"^.*: \d+ of \d+ (images|pictures)\n", re.MULTILINE)
"""What stands in place of a bar where there is no terminal."""


# What the pictures are made of


@dataclass(frozen=True)
class Material:
    """Pictures by name: pairs of drawings (line, colour), photographs, and wide ones of both."""

    drawings: dict[str, tuple[Image.Image, Image.Image]]
    photographs: dict[str, Image.Image]
    wide_drawings: dict[str, Image.Image]
    wide_photographs: dict[str, Image.Image]


def material(folder: Path) -> Material:
    """Unpacked below ``folder`` by the sources themselves."""
    for name in ("openmoji", "photos"):
        settings = SOURCES[name].Settings(source=name, kimg=1.0)
        SOURCES[name].fetch(settings, folder / name, paired=True, root=ROOT)
    drawings, wide_drawings = _drawings(folder / "openmoji")
    photographs, wide_photographs = _photographs(folder / "photos")
    return Material(drawings, photographs, wide_drawings, wide_photographs)


def _drawings(raw: Path) -> tuple[dict[str, tuple[Image.Image, Image.Image]], dict[str, Image.Image]]:
    """Animals and plants of one short word, and whatever is much wider than high, without the white above and below."""
    with (raw / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["hexcode"]: row for row in csv.DictReader(file) if row["is_base"] == "1" and row["split"] == "train"}
    words = {code: row["annotation"] for code, row in rows.items() if row["annotation"].isascii() and row["annotation"].isalpha()}

    def drawn(side: str, code: str, size: int) -> Image.Image:
        folder = {"A": "black", "B": "color"}[side]
        return Image.fromarray(rasterise(Job(path=raw / folder / f"{code}.svg", sha256=""), Shape(height=size, width=size)))

    pairs: dict[str, tuple[Image.Image, Image.Image]] = {}
    wide: dict[str, Image.Image] = {}
    for code in hash_order(words):
        if len(pairs) < COUNT and rows[code]["category"] == "animals-nature" and len(words[code]) <= 8:
            pairs.setdefault(words[code], (drawn("A", code, DRAWN), drawn("B", code, DRAWN)))
        if len(wide) < COUNT and rows[code]["category"] in ("animals-nature", "travel-places"):
            picture = drawn("B", code, 2 * DRAWN)
            left, top, right, bottom = ImageOps.invert(picture.convert("L")).getbbox() or (0, 0, *picture.size)
            if right - left > 1.9 * (bottom - top):
                wide[words[code]] = picture.crop((0, max(0, top - 12), picture.width, min(picture.height, bottom + 12)))
    return pairs, wide


def _photographs(raw: Path) -> tuple[dict[str, Image.Image], dict[str, Image.Image]]:
    """Of each animal the largest crop, and of each photograph two crops that lie side by side as one wide picture."""
    with (raw / "photographs.csv").open(encoding="utf-8", newline="") as file:
        animals = {row["photograph"] for row in csv.DictReader(file) if "/animals/" in row["path"]}
    with (raw / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    places = {(row["photograph"], row["side"], row["top"], int(row["left"])): row["id"] for row in rows}

    def crop(identity: str) -> Image.Image:
        return Image.open(raw / "photos" / f"{identity}.webp").convert("RGB")

    single: dict[str, Image.Image] = {}
    wide: dict[str, Image.Image] = {}
    for name in hash_order({row["photograph"] for row in rows}):
        mine = sorted((row for row in rows if row["photograph"] == name), key=lambda row: (-int(row["side"]), row["id"]))
        if len(single) < COUNT and name in animals and len(name) <= 9:
            single[name] = crop(mine[0]["id"])
        for row in mine:
            beside = places.get((name, row["side"], row["top"], int(row["left"]) + int(row["side"])))
            if beside and name not in wide and len(wide) < COUNT:
                wide[name] = _side_by_side(crop(row["id"]), crop(beside))
    return single, wide


def _side_by_side(a: Image.Image, b: Image.Image) -> Image.Image:
    both = Image.new("RGB", (a.width + b.width, a.height))
    both.paste(a, (0, 0))
    both.paste(b, (a.width, 0))
    return both


def _sketch(picture: Image.Image, name: str) -> Image.Image:
    """The edges that are left after fur and leaves are smoothed away."""
    return Image.fromarray(make("edges", np.asarray(picture.filter(ImageFilter.GaussianBlur(2.5))), dataset=NAME, identity=name))


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=90) if path.suffix == ".jpg" else picture.save(path)


# Layouts: a function each that makes the folder


@dataclass(frozen=True)
class Example:
    """A layout's: how its folder is made, the entry in ``params.yaml``, and what the picture is called to those who can't see it."""

    build: Callable[[Material], None]
    entry: dict[str, Any]
    alt: str
    paired: bool = True


def _split_folders(found: Material) -> None:
    for place, (name, pair) in enumerate(found.drawings.items()):
        for side, picture in zip(SIDES, pair, strict=True):
            _save(picture, Path("my/pictures", "test" if place >= COUNT - TESTED else "train", side, f"{name}.png"))


def _joined_folders(found: Material) -> None:
    sides = {"A": found.photographs, "B": {name: pair[1] for name, pair in found.drawings.items()}}
    for side, pictures in sides.items():
        for place, (name, picture) in enumerate(pictures.items()):
            split = "test" if place >= COUNT - TESTED else "train"
            _save(picture, Path("my/pictures", split + side, f"{name}{'.jpg' if side == 'A' else '.png'}"))


def _flat_folders(found: Material) -> None:
    for name, pair in found.drawings.items():
        for side, picture in zip(SIDES, pair, strict=True):
            _save(picture, Path("my/pictures", side, f"{name}.png"))


def _side_by_side_files(found: Material) -> None:
    for place, (name, pair) in enumerate(found.drawings.items()):
        _save(_side_by_side(*pair), Path("my/pictures", "test" if place >= COUNT - TESTED else "train", f"{name}.png"))


def _single(found: Material) -> None:
    for name, picture in found.photographs.items():
        _save(picture, Path("my/pictures", f"{name}.jpg"))


def _table(found: Material) -> None:
    lines = ["a,b,split"]
    for place, (name, (line, colour)) in enumerate(found.drawings.items()):
        a, b = f"lines/{place:02}.png", f"{name}.png"
        _save(line, Path("my/pictures", a))
        _save(colour, Path("my/pictures/colours", b))
        lines.append(f"{a},colours/{b},{'test' if place >= COUNT - TESTED else 'train'}")
    Path("my/pictures", TABLE).write_text("\n".join([*lines, ""]), encoding="utf-8")


def _two_folders(found: Material) -> None:
    for name, picture in found.photographs.items():
        _save(picture, Path("photos", f"{name}.jpg"))
        _save(_sketch(picture, name), Path("sketches", f"{name}.png"))


ONE = {"path": "my/pictures"}
EXAMPLES = {
    "split-folders": Example(
        _split_folders, ONE, "train/A, train/B, test/A and test/B become pairs by their names; val is carved of train"
    ),
    "joined-folders": Example(
        _joined_folders,
        ONE,
        "trainA, trainB, testA and testB, here with other names on both sides, become two domains without pairs",
        False,
    ),
    "flat-folders": Example(_flat_folders, ONE, "A and B become pairs by their names; val and test are carved"),
    "side-by-side": Example(_side_by_side_files, ONE, "each file is cut into its left half, A, and its right half, B"),
    "single": Example(_single, {**ONE, "condition": "grey"}, "each picture is a target, of which a grey one is made as its condition"),
    "table": Example(_table, ONE, "pairs.csv says which files are a pair, whatever their names, and which split each is in"),
    TWO_FOLDERS: Example(
        _two_folders,
        {"a": "sketches", "b": "photos"},
        "the folders sketches and photos become pairs by their names; val and test are carved",
    ),
}
"""In the order of the page's table."""


def read(entry: dict[str, Any], *, paired: bool = True) -> tuple[Prepared, list[str]]:
    """The folder that lies here, fetched and prepared as ``entry`` says; and what was said of it."""
    settings = FOLDER.Settings(source="folder", kimg=8.0, **({"image_size": PREPARED} | entry))
    said = io.StringIO()
    with redirect_stderr(said):
        FOLDER.fetch(settings, Path("raw", NAME), paired=paired)
        prepare(settings, Path("raw", NAME), Path("prepared", NAME), name=NAME, paired=paired)
    return open_prepared(Path("prepared", NAME)), PROGRESS.sub("", said.getvalue()).splitlines()


def layout_picture(name: str, found: Material) -> Image.Image:
    """Left the folder, right the first pictures of each split that are made of it."""
    example = EXAMPLES[name]
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        example.build(found)
        roots = [Path(example.entry[key]) for key in ("path", "a", "b") if key in example.entry]
        prepared, said = read(example.entry, paired=example.paired)
        chosen = prepared.card["reading"]["layout"]
        if chosen != name:
            raise UserError(f"{name}: the folder was read as {chosen}")
        sheet = Sheet()
        title = name if name in LAYOUTS else "two folders"
        sheet.text((MARGIN, MARGIN), title, bold=True, size=19)
        words = ", ".join(f"{key}: {value}" for key, value in example.entry.items())
        group = "datasets" if example.paired else "unpaired.datasets"
        sheet.text(
            (WIDTH - MARGIN, MARGIN + 2), f"{group}.{NAME}: {{source: folder, {words}, …}}", mono=True, size=14, colour=MUTED, right=True
        )
        left = TOP
        for root in roots:
            left = _tree(sheet, root, left)
        _arrow(sheet, (ARROW, ARROW + 44), ROWS + PREPARED + 3)
        bottom = 8 + max(left, _result(sheet, prepared, paired=example.paired))
        sheet.line((MARGIN, bottom, WIDTH - MARGIN, bottom))
        for number, line in enumerate(said):
            sheet.text((MARGIN, bottom + 12 + 21 * number), line, mono=True, size=13, colour=MUTED)
        return sheet.cut(bottom + 12 + 21 * len(said) + MARGIN - 8)


INDENT, FILES, ARROW, RESULT = 26, 118, 518, 570
FILE_STEP, ROW = 94, 74
TOP, ROWS = 70, 118
"""Where the folder begins, and the pictures that are made of it."""


def _tree(sheet: Sheet, root: Path, top: int) -> int:
    """The folder from ``root`` on, with the first files of each as small pictures. Returns where it ends."""
    sheet.text((MARGIN, top), f"{root.as_posix()}/", mono=True, bold=True)
    return _branches(sheet, root, _files(sheet, root, top) if any(map(_is_file, entries(root))) else top + 26, MARGIN + 6)


def _is_file(path: Path) -> bool:
    return path.is_file() and path.name != TABLE


def _branches(sheet: Sheet, folder: Path, top: int, x: int) -> int:
    start = top - 4
    middle = start
    for path in entries(folder):
        if path.is_dir() or path.name == TABLE:
            middle = top + 10
            sheet.line((x, middle, x + INDENT - 10, middle))
            sheet.text((x + INDENT - 4, top), path.name + "/" * path.is_dir(), mono=True)
            if path.name == TABLE:
                top = _lines_of(sheet, path, x + INDENT + 90, top) + 10
            elif any(below.is_dir() for below in entries(path)):
                top = _branches(sheet, path, top + 28, x + INDENT)
            else:
                top = _files(sheet, path, top)
    if middle > start:
        sheet.line((x, start, x, middle))
    return top


def _lines_of(sheet: Sheet, path: Path, x: int, top: int) -> int:
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines()[: SHOWN + 1], "…"]):
        sheet.text((x, top + 18 * number + 1), line, mono=True, size=13, colour=MUTED)
    return top + 18 * (SHOWN + 2)


def _files(sheet: Sheet, folder: Path, top: int) -> int:
    """The first pictures that lie directly in ``folder``, each over its name."""
    files = [path for path in entries(folder) if _is_file(path)]
    x = MARGIN + FILES
    for path in files[:SHOWN]:
        picture = ImageOps.contain(Image.open(path).convert("RGB"), (FILE_STEP - 10, THUMB), Image.Resampling.LANCZOS)
        sheet.picture(picture, (x + (FILE_STEP - picture.width) // 2, top + (THUMB - picture.height) // 2))
        sheet.text((x + FILE_STEP // 2, top + THUMB + 4), path.name, size=12, colour=MUTED, centre=True)
        x += FILE_STEP
    sheet.text((x + 8, top + THUMB // 2 - 8), f"… {len(files) - SHOWN} more", size=13, colour=MUTED)
    return top + ROW


def _result(sheet: Sheet, prepared: Prepared, *, paired: bool) -> int:
    """The first pictures of each split: columns of pairs, or two rows that have nothing to do with each other. Returns where it ends."""
    columns, step, x = {"train": 3, "val": 1, "test": 2}, PREPARED + 6, RESULT + 30
    rows = {"A": ROWS, "B": ROWS + PREPARED + (6 if paired else 34)}
    for split in SPLITS:
        sheet.text((x, TOP), split, bold=True, size=14)
        count = prepared.card["counts"][split]
        words = f"{count['B']} pairs" if paired else f"{count['A']} A, {count['B']} B"
        sheet.text((x, TOP + 20), words, size=13, colour=MUTED)
        for side, y in rows.items():
            for column in range(columns[split]):
                place = x + column * step
                sheet.picture(prepared.rgb(split, side)[column], (place, y))
                if side == "B" or not paired:
                    name = Path(prepared.ids(split, side)[column]).name
                    sheet.text((place + PREPARED // 2, y + PREPARED + 5), name, size=12, colour=MUTED, centre=True)
        x += columns[split] * step + 18
    for side, y in rows.items():
        sheet.text((RESULT + 8, y + PREPARED // 2 - 10), "xy"[SIDES.index(side)] if paired else side, bold=True, size=16)
    return rows["B"] + PREPARED + 26


def _arrow(sheet: Sheet, across: tuple[int, int], y: int) -> None:
    sheet.draw.line((across[0], y, across[1] - 8, y), fill=ACCENT, width=3)
    sheet.draw.polygon([(across[1], y), (across[1] - 13, y - 8), (across[1] - 13, y + 8)], fill=ACCENT)


# Conditions, shapes, movements


def conditions_picture(found: Material) -> Image.Image:
    """A column a condition: x, as the registry makes it, over y."""
    y = np.asarray(found.photographs[SUBJECT])
    step = y.shape[1] + 36
    sheet = Sheet(MARGIN + 34 + step * len(CONDITIONS) + MARGIN - 36)
    for column, (kind, function) in enumerate(CONDITIONS.items()):
        x = MARGIN + 34 + column * step
        sheet.text((x, MARGIN - 4), kind, mono=True, bold=True, size=15)
        sheet.text((x, MARGIN + 18), (function.__doc__ or "").partition(":")[0], size=13, colour=MUTED)
        sheet.picture(make(kind, y, dataset=NAME, identity=SUBJECT), (x, 66))  # type: ignore[arg-type]
        sheet.picture(y, (x, 66 + y.shape[0] + 8))
    for number, word in enumerate("xy"):
        sheet.text((MARGIN, 66 + number * (y.shape[0] + 8) + y.shape[0] // 2 - 10), word, bold=True, size=17)
    return sheet.cut(66 + 2 * y.shape[0] + 8 + MARGIN)


def fit_picture(found: Material) -> Image.Image:
    """A wide photograph and a wide drawing, and what each ``fit`` makes of them."""
    size = 96
    sheet = Sheet(624 + MARGIN)
    columns = {"in the folder": MARGIN, "pad": 262, "crop": 395, "stretch": 528}
    for word, x in columns.items():
        sheet.text((x, MARGIN - 2), word, mono=word != "in the folder", bold=word != "in the folder", size=15)
    top = 56
    for pictures in (found.wide_photographs, found.wide_drawings):
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            for name, picture in pictures.items():
                _save(picture, Path("wide", f"{name}.png"))
            entry = {"path": "wide", "condition": "grey", "image_size": (size, size)}
            prepared, _ = read(entry)
            auto, first = prepared.card["fit"], next(iter(pictures))
            lies = pictures[first]
            sheet.picture(lies.resize((round(size * lies.width / lies.height), size), Image.Resampling.LANCZOS), (MARGIN, top))
            for fit in ("pad", "crop", "stretch"):
                prepared, _ = read({**entry, "fit": fit})
                split, place = next((s, prepared.ids(s, "B").index(first)) for s in SPLITS if first in prepared.ids(s, "B"))
                sheet.picture(prepared.rgb(split, "B")[place], (columns[fit], top))
                if fit == auto:
                    sheet.text((columns[fit] + size // 2, top + size + 5), "auto", mono=True, size=14, colour=ACCENT, centre=True)
        top += size + 36
    return sheet.cut(top + 4)


def augment_picture(found: Material) -> Image.Image:
    """A photograph and a drawing as they are prepared, and as training sees them in its first epochs."""
    draws, step, left, top = 4, PREPARED + 8, MARGIN + 130, 74
    training = Training()
    half = step * (draws + 1) + 40
    sheet = Sheet(left + 2 * half - 40 + MARGIN)
    photographs, drawings = found.photographs, {name: pair[1] for name, pair in found.drawings.items()}
    for x, title, pictures in ((left, "photograph", photographs), (left + half, "drawing", drawings)):
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            for name, picture in pictures.items():
                _save(picture, Path("pictures", f"{name}.png"))
            prepared, _ = read({"path": "pictures", "condition": "grey"})
            image = np.array(prepared.rgb("train", "B")[:1])
        sheet.text((x, MARGIN - 4), title, bold=True)
        sheet.text((x, MARGIN + 20), "prepared", size=13, colour=MUTED)
        sheet.text((x + step + 8, MARGIN + 20), "in training", size=13, colour=MUTED)
        for row, augment in enumerate(("shift", "resize-crop", "none")):
            y = top + row * (PREPARED + 30)
            batches = Batches(
                image, image, paired=True, dataset=NAME, seed=0, augment=augment, jitter=training.jitter, flip=training.flip,
                device=torch.device("cpu"),
            )  # fmt: skip
            sheet.text((MARGIN, y + PREPARED // 2 - 10), augment, mono=True, bold=True)
            if augment == prepared.card["augment"]:
                sheet.text((x + step + 8, y + PREPARED + 4), "auto", mono=True, size=14, colour=ACCENT)
            sheet.picture(image[0], (x, y))
            for epoch in range(draws):
                moved = to_uint8(batches.take(epoch, 1, torch.Generator()).y)[0]  # of one picture: each is an epoch of its own
                sheet.picture(moved, (x + 8 + (epoch + 1) * step, y))
    return sheet.cut(top + 3 * (PREPARED + 30) - 8)


# Drawing


class Sheet:
    """A white panel in a thin frame, which shows in light and in dark."""

    def __init__(self, width: int = WIDTH) -> None:
        self.image = Image.new("RGB", (width, 1200), GROUND)
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self, place: tuple[float, float], words: str, *, mono: bool = False, bold: bool = False, size: int = 15, colour: str = INK,
        right: bool = False, centre: bool = False,
    ) -> None:  # fmt: skip
        self.draw.text(place, words, fill=colour, font=font(mono, bold, size), anchor="ra" if right else "ma" if centre else "la")

    def line(self, ends: tuple[int, int, int, int]) -> None:
        self.draw.line(ends, fill=RULE, width=1)

    def picture(self, picture: np.ndarray | Image.Image, place: tuple[int, int]) -> None:
        """In a thin frame, so that white on white shows."""
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.ascontiguousarray(picture))
        self.image.paste(image, place)
        self.draw.rectangle((place[0] - 1, place[1] - 1, place[0] + image.width, place[1] + image.height), outline=RULE)

    def cut(self, height: int) -> Image.Image:
        found = self.image.crop((0, 0, self.image.width, height))
        ImageDraw.Draw(found).rectangle((0, 0, found.width - 1, found.height - 1), outline=RULE)
        return found


@cache
def font(mono: bool, bold: bool, size: int) -> ImageFont.FreeTypeFont:
    """DejaVu as matplotlib ships it: the same glyphs on every machine."""
    name = f"DejaVuSans{'Mono' * mono}{'-Bold' * bold}.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts/ttf" / name), size, layout_engine=ImageFont.Layout.BASIC)


def encoded(image: Image.Image) -> bytes:
    """PNG of a palette."""
    file = io.BytesIO()
    image.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True)
    return file.getvalue()


# Commands


def session(*commands: str) -> str:
    """A transcript of ``cgm`` and of what a shell has, here, less progress and what depends on the machine."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": ""}
    said = []
    for command in commands:
        program, *words = command.split()
        call = [sys.executable, "-m", "pipeline.cli", *words] if program == "cgm" else [program, *words]
        done = subprocess.run(call, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise UserError(f"`{command}` ended with {done.returncode}:\n{done.stdout}")
        said.append(f"$ {command}\n{PROGRESS.sub('', done.stdout)}")
    text = re.sub(r"about [\d.]+ (s|minutes|hours)", "about …", "\n".join(said))
    return re.sub(r"\(cpu, \d+ at once\)", "(cpu, … at once)", text).strip()


def adding(found: Material) -> tuple[str, Image.Image]:
    """Transcripts of ``cgm add`` and ``cgm remove`` with the default experiment, and the contact sheet."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        shutil.copy(ROOT / "experiments/default.yaml", "params.yaml")
        _flat_folders(found)
        added = session("cgm add mine my/pictures", "grep mine: params.yaml")
        sheet = Image.open("build/add/prepared/mine/sheet.png").convert("RGB")
        removed = session("cgm remove mine")
        return f"{added}\n\n{removed}", sheet


def translating(found: Material) -> str:
    """A transcript of ``cgm translate``, by a network that was trained for two steps."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for name in ("cgm", "pipeline", "data/embedded", "dvc.yaml"):
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).symlink_to(ROOT / name)
        raw = yaml.safe_load((ROOT / "experiments/smoke.yaml").read_text(encoding="utf-8"))
        raw |= {"seeds": [0], "methods": {"pix2pix": raw["methods"]["pix2pix"]}, "unpaired": {"datasets": {}, "methods": {}}}
        raw["datasets"] = {"openmoji": {"source": "openmoji", "image_size": PREPARED, "kimg": 0.016, "limit": COUNT}}
        Path("params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        for stage in ("fetch dataset=openmoji", "prepare dataset=openmoji", "train dataset=openmoji method=pix2pix seed=0"):
            call = [sys.executable, "-m", *f"pipeline.{stage}".split()]
            subprocess.run(call, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
        for name, (line, _) in list(found.drawings.items())[:SHOWN]:
            _save(line, Path("my/pictures", f"{name}.png"))
        Path("my/pictures/notes.txt").write_text("drawn by hand\n", encoding="utf-8")
        command = "cgm translate openmoji/pix2pix/0 my/pictures -o out"
        return session(command, "ls out", command)


# The pages

PHOTOGRAPHS = "photographs whose authors and licences are in [photographs.csv](../data/embedded/photographs.csv)"
OPENMOJI = "drawings by [OpenMoji](https://openmoji.org) (CC BY-SA 4.0)"


def shown(name: str, alt: str) -> str:
    return f"![{alt}](pictures/{name}.png)"


def section(*parts: str, of: Sequence[str] = ()) -> str:
    """``of``: what its pictures are made of."""
    made = [f"Made of {' and of '.join(of)}.", "The pictures are CC BY-SA 4.0."] if of else []
    return "\n\n".join([*parts, "\n".join([*made, f"Renewed by `{COMMAND}`."])])


def everything(folder: Path) -> tuple[dict[str, bytes], dict[tuple[Path, str], str]]:
    """PNG files by name, and sections by page and name."""
    found = material(folder)
    pictures = {name: layout_picture(name, found) for name in EXAMPLES}
    pictures |= {"conditions": conditions_picture(found), "fit": fit_picture(found), "augment": augment_picture(found)}
    transcript, pictures["sheet"] = adding(found)
    layouts = [shown(name, f"{name}: {example.alt}") for name, example in EXAMPLES.items()]
    conditions = f"one photograph below, and above it the condition that is made of it: {', '.join(CONDITIONS)}"
    sections = {
        (DATA, "add"): section(
            "The estimate depends on the machine, so its numbers are left out here, as are bars of progress.",
            f"```text\n{transcript}\n```",
            "The sheet has a row of conditions over a row of targets for each of train, val and test, twelve pairs at most:",
            shown("sheet", "three pairs of rows of small pictures, line drawings over the same drawings in colour"),
            of=[OPENMOJI],
        ),
        (DATA, "layouts"): section(
            "A picture a layout. Left is what lies in the folder, right is what is made of it, below is what the command prints.",
            *layouts,
            of=[OPENMOJI, PHOTOGRAPHS],
        ),
        (DATA, "fit"): section(
            shown(
                "fit",
                "a wide photograph and a wide drawing, each padded, cropped and stretched to a square; auto crops the photograph and pads"
                " the drawing",
            ),
            of=[OPENMOJI, PHOTOGRAPHS],
        ),
        (DATA, "augment"): section(
            shown(
                "augment",
                "a photograph and a drawing as they are prepared, and four times each as training sees them by shift, resize-crop and none;"
                " auto shifts the drawing, and enlarges and crops the photograph",
            ),
            "Pictures are mirrored at random by `training.flip`, whatever `augment` says.",
            of=[OPENMOJI, PHOTOGRAPHS],
        ),
        (DATA, "conditions"): section(shown("conditions", conditions), of=[PHOTOGRAPHS]),
        (USE, "translate"): section(f"```text\n{translating(found)}\n```"),
    }
    return {name: encoded(image) for name, image in pictures.items()}, sections


def difference(one: bytes, other: bytes) -> float:
    """Mean over pixels, in grey levels; infinite for another size."""
    a, b = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64) for data in (one, other))
    return float(np.abs(a - b).mean()) if a.shape == b.shape else float("inf")


def differing(pictures: dict[str, bytes], sections: dict[tuple[Path, str], str]) -> Iterable[str]:
    """Which of these aren't what the project holds."""
    for name, data in pictures.items():
        path = ROOT / PICTURES / f"{name}.png"
        if not path.is_file() or difference(data, path.read_bytes()) > ALIKE:
            yield f"{PICTURES / name}.png"
    for (page, name), text in sections.items():
        if f"<!-- {name}: generated, do not edit -->\n{text}\n" not in (ROOT / page).read_text(encoding="utf-8"):
            yield f"{page}, section {name}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Make the pictures and transcripts of docs/data.md and docs/use.md.")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where something would come out otherwise")
    arguments = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            pictures, sections = everything(Path(folder))
    except UserError as error:
        sys.exit(f"error: {error}")
    if arguments.check:
        if found := list(differing(pictures, sections)):
            sys.exit(f"error: out of date: {'; '.join(found)}; run {COMMAND}")
        return
    (ROOT / PICTURES).mkdir(exist_ok=True)
    for name, data in pictures.items():
        (ROOT / PICTURES / f"{name}.png").write_bytes(data)
        print(f"{PICTURES / name}.png  {len(data) / 1000:.0f} kB")
    for (page, name), text in sections.items():
        renew_section(name, text, ROOT / page)


if __name__ == "__main__":
    main()
