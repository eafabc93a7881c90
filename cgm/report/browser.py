"""Test images for the page's browser: sheets of small pictures, lossy, and what each image scored.

The size is bounded, whatever the experiment: each dataset has a budget of pixels, and shows as many test items as fit into it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from cgm.data.prepared import Prepared
from cgm.evaluation.measures import metric_of
from cgm.report import labels
from cgm.report.figures.sheet import first_ok, shown_items
from cgm.report.results import DatasetResult, RunResult

FOLDER = "samples"
COLUMNS = 16
"""Pictures in a row of a sheet."""
LARGEST = 128
"""Pixels of a picture's longer side; larger ones are made smaller."""
MULTIPLE = 16
"""A picture's sides in a sheet are multiples of this: WebP's blocks have this side, and no block should hold two pictures."""
PIXELS = 8_000_000
"""Of a dataset: input, target and every method's first seed."""
SEED_PIXELS = 1_000_000
"""Of a dataset: the further seeds, for fewer items."""
QUALITY, EFFORT = 40, 2
"""Of WebP. A quarter more bytes go from 30 to 60; more effort takes twice the time for 3% fewer bytes."""
DIGITS = 4
"""Significant ones of what an image scored."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """``place``: of a method's seed, else empty. ``count``: how many of the shown items are in it."""

    key: str
    title: str
    seed: int | None
    file: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Browsed:
    """What the browser shows of one dataset."""

    dataset: str
    total: int
    """Test items that there are."""
    count: int
    """Those that are shown."""
    further: int
    """Those that are shown of the further seeds too."""
    size: tuple[int, int]
    """Height and width of a picture in a sheet."""
    native: tuple[int, int]
    sheets: tuple[Sheet, ...]
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def script(self) -> str:
        return f"{FOLDER}/{self.dataset}.js"

    @property
    def smaller(self) -> bool:
        return self.size != self.native


def browse(dataset: DatasetResult) -> Browsed | None:
    """Sheets and scores. None where the dataset isn't prepared or no run is ok."""
    prepared = dataset.prepared
    if prepared is None or not any(first_ok(runs) for runs in dataset.runs.values()):
        return None
    native = prepared.height_width
    size = _size(native)
    area = size[0] * size[1]
    ids, names = prepared.ids("test", "A"), prepared.labels("test", "A")
    leading = {method: run for method, runs in dataset.runs.items() if (run := first_ok(runs))}
    others = [(method, run) for method, runs in dataset.runs.items() for run in runs if run.ok and run is not leading[method]]
    columns = len(leading) + (2 if prepared.aligned else 1)
    count = min(len(ids), max(1, PIXELS // (columns * area)))
    further = min(count, max(1, SEED_PIXELS // (len(others) * area))) if others else 0
    shown = shown_items(ids, count)

    wanted: list[tuple[Sheet, np.ndarray]] = []
    for key, title, side in (("input", "Input", "A"), ("target", _target(prepared), "B"))[: 2 if prepared.aligned else 1]:
        wanted.append((_sheet(dataset, key, title, None, count), prepared.rgb("test", side)))
    for method, run, most in [*((method, run, count) for method, run in leading.items()), *((*each, further) for each in others)]:
        outputs = run.outputs()
        if outputs is not None:
            title = labels.method_title(method, dataset.methods[method])
            wanted.append((_sheet(dataset, method, title, run.seed, most), outputs[0]))
    with ThreadPoolExecutor() as pool:  # Pillow works outside Python's lock
        made = pool.map(lambda each: _webp(each[1], shown[: each[0].count], size), wanted)
    files = {sheet.file: content for (sheet, _), content in zip(wanted, made, strict=True)}
    sheets = tuple(sheet for sheet, _ in wanted)
    runs = [(run, count if run is leading[run.run.method] else further) for runs in dataset.runs.values() for run in runs if run.ok]
    data = {
        "dataset": dataset.name,
        "columns": COLUMNS,
        "height": size[0],
        "width": size[1],
        "items": [[ids[place], names[place] or ids[place]] for place in shown],
        "sheets": [[sheet.key, sheet.title, sheet.seed, sheet.file, sheet.count] for sheet in sheets],
        **_scores(dataset, runs, shown),
    }
    text = "cgmSamples(" + json.dumps(data, ensure_ascii=False, separators=(",", ":")) + ");\n"
    found = Browsed(dataset=dataset.name, total=len(ids), count=count, further=further, size=size, native=native, sheets=sheets, files={})
    return Browsed(**{**vars(found), "files": {**files, found.script: text.encode()}})


def _target(prepared: Prepared) -> str:
    return "Target (hidden)" if prepared.hidden_pairs else "Target"


def _sheet(dataset: DatasetResult, key: str, title: str, seed: int | None, count: int) -> Sheet:
    name = key if seed is None else f"{key}-{seed}"
    return Sheet(key=key, title=title, seed=seed, file=f"{FOLDER}/{dataset.name}/{name}.webp", count=count)


def _size(native: tuple[int, int]) -> tuple[int, int]:
    """Height and width in a sheet: no larger than :data:`LARGEST`, and a multiple of :data:`MULTIPLE`."""
    share = min(1.0, LARGEST / max(native))
    height, width = (max(MULTIPLE, MULTIPLE * round(side * share / MULTIPLE)) for side in native)
    return height, width


def _webp(images: np.ndarray, shown: Sequence[int], size: tuple[int, int]) -> bytes:
    """uint8 N×H×W×3 → a sheet of those that are shown, row by row."""
    height, width = size
    rows = math.ceil(len(shown) / COLUMNS)
    canvas = np.zeros((rows, height, COLUMNS, width, 3), dtype=np.uint8)
    for number, place in enumerate(shown):
        picture = np.ascontiguousarray(images[place])
        if picture.shape[:2] != size:
            picture = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))
        canvas[number // COLUMNS, :, number % COLUMNS] = picture
    file = io.BytesIO()
    Image.fromarray(canvas.reshape(rows * height, COLUMNS * width, 3)).save(file, format="WEBP", quality=QUALITY, method=EFFORT)
    return file.getvalue()


def _scores(dataset: DatasetResult, runs: Sequence[tuple[RunResult, int]], shown: Sequence[int]) -> dict[str, Any]:
    """``metrics``: key, title, what is better (1, −1, or the target); ``scores``: by method and seed, a list a metric."""
    tables = []
    for run, count in runs:
        found = _per_image(run)
        tables.append((run, [found.get(str(place), {}) for place in shown[:count]]))
    keys = [key for key in dataset.measures if any(row.get(key) for _, rows in tables for row in rows)]
    metrics: list[list[Any]] = []
    for key in keys:
        metric = metric_of(key)
        better = {"higher": 1, "lower": -1, "target": 0}[metric.direction]
        target = None if metric.target is None else metric.target * metric.scale
        metrics.append([key, labels.scaled_title(key, dataset.judge_of(key)), labels.arrow(key), better, target])
    scores: dict[str, dict[str, list[list[float | None]]]] = {}
    for run, rows in tables:
        values = [[_short(row.get(key, ""), metric_of(key).scale) for row in rows] for key in keys]
        scores.setdefault(run.run.method, {})[str(run.seed)] = values
    return {"metrics": metrics, "scores": scores}


def _per_image(run: RunResult) -> dict[str, dict[str, str]]:
    """``per_image.csv`` by the image's place in test; empty where there is none."""
    path = run.folder / "per_image.csv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["index"]: row for row in csv.DictReader(file)}


def _short(text: str, scale: float) -> float | int | None:
    """A score as the tables scale it; None where there is none or it is no number that JSON has."""
    value = float(text) * scale if text else math.nan
    if not math.isfinite(value):
        return None
    value = float(f"{value:.{DIGITS}g}")
    return int(value) if value == int(value) else value
