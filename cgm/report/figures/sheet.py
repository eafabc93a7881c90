"""Sheets of images under headings. Nobody picks what they show."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cgm.data.listing import hash_order
from cgm.report.plotting import LIGHT
from cgm.report.results import RunResult

ROWS = 8
SIDE = 128
"""Least pixels a side of an image in a sheet; smaller ones are enlarged by whole factors, without smoothing."""
GAP = 6
FONT_SIZE = 17
COLOURS = 256
"""Of a sheet's palette: a third of the bytes of a full-colour PNG, and nearer to it than JPEG or WebP of that size. (DVC shows no WebP.)"""
Cells = list[list[np.ndarray | str]]
"""uint8 H×W×3 images, or words where there is none."""


def shown_items(ids: Sequence[str], count: int = ROWS) -> list[int]:
    """Places of the ids whose SHA-256 are smallest."""
    places = {name: place for place, name in enumerate(ids)}
    return [places[name] for name in hash_order(ids)[:count]]


def first_ok(runs: list[RunResult]) -> RunResult | None:
    return next((run for run in runs if run.ok), None)


def sheet(cells: Cells, headings: Sequence[str], stamp: str = "") -> tuple[bytes, int]:
    """PNG of rows of equally large images under centred headings, and its width in pixels; words stand in a cell of their own."""
    size = next(cell.shape[0] for row in cells for cell in row if not isinstance(cell, str))
    factor = max(1, -(-SIDE // size))
    side = size * factor
    font = _fitting([*headings, *(cell for row in cells for cell in row if isinstance(cell, str))], side)
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
    palette = canvas.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(file, format="PNG", optimize=True)
    return file.getvalue(), canvas.width


def _fitting(texts: Sequence[str], width: int) -> ImageFont.FreeTypeFont:
    """The largest font, up to the usual one, in which no word is wider than a cell."""
    usual = FONT_SIZE * max(1, width // SIDE)
    words = [word for text in texts for word in text.split()]
    widest = max((_font(usual).getlength(word) for word in words), default=0.0)
    return _font(usual if widest <= width else int(usual * width / widest))


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
