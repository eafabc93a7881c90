"""Sheets of images: the fixed grid of every method's outputs, and samples of stochastic generators. Nobody picks what they show."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cgm.report import labels
from cgm.report.drawing import LIGHT, Picture
from cgm.report.results import DatasetResult, Results, RunResult

ROWS = 8
SIDE = 128
"""Least pixels a side of an image in a sheet; smaller ones are enlarged by whole factors, without smoothing."""
GAP = 6
FONT_SIZE = 17
Cells = list[list[np.ndarray | str]]
"""uint8 H×W×3 images, or words where there is none."""


def all_pictures(results: Results) -> list[Picture]:
    found = (make(results, dataset) for dataset in results.datasets for make in (grid, samples))
    return [picture for picture in found if picture is not None]


def shown_items(ids: Sequence[str], count: int = ROWS) -> list[int]:
    """Places of the ids whose SHA-256 are smallest."""
    return sorted(range(len(ids)), key=lambda place: hashlib.sha256(ids[place].encode()).digest())[:count]


def grid(results: Results, dataset: DatasetResult) -> Picture | None:
    """Rows: test items by hash; columns: input, target, each method's output of its first ok seed. None without prepared data."""
    prepared = dataset.prepared
    if prepared is None:
        return None
    shown = shown_items(prepared.ids("test", "A"))
    aligned = prepared.paired or prepared.hidden_pairs
    headings = ["Input"] + (["Target (hidden)" if prepared.hidden_pairs else "Target"] if aligned else [])
    sources = [prepared.images("test", side) for side in ("AB" if aligned else "A")]
    cells: Cells = [[source[place] for source in sources] for place in shown]
    seeds = set()
    for method, runs in dataset.runs.items():
        headings.append(labels.method_title(method, dataset.methods[method]))
        run = first_ok(runs)
        outputs = run.outputs() if run else None
        for row, place in zip(cells, shown, strict=True):
            row.append(outputs[0, place] if outputs is not None else runs[0].status)
        seeds |= {run.seed} if run else set()
    names = [prepared.labels("test", "A")[place] or prepared.ids("test", "A")[place] for place in shown]
    image = sheet(cells, headings, labels.SMOKE if results.params.profile == "smoke" else "")
    takeaway = _colour_takeaway(dataset)
    which = f"seed {min(seeds)}" if len(seeds) == 1 else "each method's first seed that is ok"
    return Picture(
        name=f"grid-{dataset.name}",
        title="The same test items through every method",
        takeaway=takeaway,
        note=f"Rows are the {len(shown)} test items whose ids have the smallest SHA-256 (nobody picked them): {', '.join(names)}. "
        f"Outputs of {which}.",
        alt=f"Grid of images for {dataset.name}: {len(shown)} rows of test items, columns {labels.listing(headings)}. {takeaway}",
        files={"png": image},
        width=_width(image),
    )


def samples(results: Results, dataset: DatasetResult) -> Picture | None:
    """K outputs of one condition for each stochastic generator. None where there is none."""
    prepared = dataset.prepared
    if prepared is None:
        return None
    place = shown_items(prepared.ids("test", "A"), 1)[0]
    titles: list[str] = []
    cells: Cells = []
    count = 0
    for method, runs in dataset.runs.items():
        run = first_ok(runs)
        outputs = run.outputs() if run else None
        if outputs is not None and len(outputs) > 1:
            titles.append(labels.method_title(method, dataset.methods[method]))
            cells.append([titles[-1], prepared.images("test", "A")[place], *outputs[:, place]])
            count = max(count, len(outputs))
    if not cells:
        return None
    for row in cells:
        row += [""] * (count + 2 - len(row))
    image = sheet(
        cells, ["", "Input", *(f"Sample {k + 1}" for k in range(count))], labels.SMOKE if results.params.profile == "smoke" else ""
    )
    takeaway = _diversity_takeaway(dataset)
    return Picture(
        name=f"samples-{dataset.name}",
        title="Samples of one condition",
        takeaway=takeaway,
        note="The test item whose id has the smallest SHA-256, with fresh noise for each sample. "
        "An unconditional generator doesn't see the input.",
        alt=f"For {dataset.name}, {count} samples of one test item from {labels.listing(titles)}. {takeaway}",
        files={"png": image},
        width=_width(image),
    )


def first_ok(runs: list[RunResult]) -> RunResult | None:
    return next((run for run in runs if run.ok), None)


def sheet(cells: Cells, headings: Sequence[str], stamp: str = "") -> bytes:
    """PNG of rows of equally large images under centred headings; words stand in a cell of their own."""
    size = next(cell.shape[0] for row in cells for cell in row if not isinstance(cell, str))
    factor = max(1, -(-SIDE // size))
    side = size * factor
    font = _font(FONT_SIZE * max(1, side // SIDE))
    wrapped = [_wrap(heading, font, side) for heading in headings]
    line = round(font.size * 1.25)
    top = max(len(lines) for lines in wrapped) * line + 2 * GAP + (line + GAP if stamp else 0)
    canvas = Image.new("RGB", (len(headings) * (side + GAP) + GAP, top + len(cells) * (side + GAP)), LIGHT.ground)
    draw = ImageDraw.Draw(canvas)
    if stamp:
        draw.text((GAP, GAP), stamp, fill=LIGHT.alert, font=font)
    for column, lines in enumerate(wrapped):
        centre = GAP + column * (side + GAP) + side / 2
        for place, text in enumerate(reversed(lines)):
            draw.text((centre, top - GAP - place * line), text, fill=LIGHT.ink, font=font, anchor="ms")
    for number, row in enumerate(cells):
        for column, cell in enumerate(row):
            corner = (GAP + column * (side + GAP), top + number * (side + GAP))
            if isinstance(cell, str):
                middle = (corner[0] + side / 2, corner[1] + side / 2)
                draw.multiline_text(middle, "\n".join(_wrap(cell, font, side)), fill=LIGHT.muted, font=font, anchor="mm", align="center")
            else:
                canvas.paste(Image.fromarray(np.ascontiguousarray(cell)).resize((side, side), Image.Resampling.NEAREST), corner)
                draw.rectangle((*corner, corner[0] + side - 1, corner[1] + side - 1), outline=LIGHT.grid)
    file = io.BytesIO()
    canvas.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _colour_takeaway(dataset: DatasetResult) -> str:
    """What the pictures should show, by its number: how colourful outputs are beside their targets."""
    medians = {}
    for method in dataset.methods:
        if values := list(dataset.by_seed(method, "colourfulness_ratio").values()):
            medians[method] = sum(values) / len(values)
    if not medians:
        return "Nothing has been evaluated yet."
    ordered = sorted(medians, key=lambda method: medians[method])
    parts = [f"{labels.method_title(method, dataset.methods[method])} ({medians[method]:.2f})" for method in ordered]
    if len(parts) == 1:
        return f"Colourfulness beside the targets' (1): {parts[0]}."
    return f"Outputs are palest under {parts[0]} and most colourful under {parts[-1]}, where the targets' own colourfulness is 1."


def _diversity_takeaway(dataset: DatasetResult) -> str:
    means = {}
    for method in dataset.methods:
        if values := list(dataset.by_seed(method, "intra_diversity").values()):
            means[method] = sum(values) / len(values)
    if not means:
        return "Diversity within a condition was not measured."
    ordered = sorted(means, key=lambda method: means[method])
    parts = [f"{labels.method_title(method, dataset.methods[method])} ({means[method]:.3f})" for method in ordered]
    title = labels.metric_title("pd", dataset.judge_of("pd"))
    if len(parts) == 1:
        return f"Mean {title} between samples of one condition: {parts[0]}."
    return f"Mean {title} between samples of one condition is lowest for {parts[0]} and highest for {parts[-1]}."


def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib ships it: the same glyphs on every machine."""
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size, layout_engine=ImageFont.Layout.BASIC)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines no wider than ``width``, broken between words where that is possible."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


def _width(png: bytes) -> int:
    return Image.open(io.BytesIO(png)).width
