"""Drawing with matplotlib such that the same numbers give the same bytes, in a light and a dark theme.

No pyplot: figures are objects, nothing global is left behind.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

if TYPE_CHECKING:
    from cgm.report.figures.figure import Picture

POINTS = 72.0
PLACES = 9
"""Decimal places of a box in shares of its figure: a millionth of a point, far above what the order of a sum changes."""


@dataclass(frozen=True, kw_only=True)
class Theme:
    """``palette``: Okabe & Ito's colours (told apart under the common colour blindnesses), and three more; markers differ as well."""

    ink: str
    muted: str
    grid: str
    ground: str
    alert: str
    palette: tuple[str, ...]

    def colour(self, place: int) -> str:
        return self.palette[place % len(self.palette)]


LIGHT = Theme(
    ink="#1d2025",
    muted="#6a7078",
    grid="#e4e6ea",
    ground="#ffffff",
    alert="#b3261e",
    palette=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5e3c99", "#8c510a", "#4d4d4d", "#b8a800", "#a50f3c"),
)
DARK = Theme(
    ink="#e7e9ec",
    muted="#9aa1ab",
    grid="#30353c",
    ground="#15181c",
    alert="#ff8a80",
    palette=("#4aa8e0", "#f28c4b", "#35c79f", "#e39ac3", "#8fd0f5", "#f2bb4b", "#a98be0", "#c98a4a", "#b5b8bd", "#e6dc5a", "#ef6a8d"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")


def render(picture: Picture, stamp: str = "") -> dict[str, bytes]:
    """A drawn figure as ``svg`` and ``pdf``, light; ``stamp``: a warning over it.

    Neither date nor version of matplotlib: the same numbers give the same bytes.
    """
    assert picture.draw is not None
    with _settings(LIGHT):
        figure = Figure(figsize=picture.size, layout="constrained")
        FigureCanvasAgg(figure)
        if stamp:
            figure.suptitle(stamp, color=LIGHT.alert, fontsize=9, fontweight="bold")
        picture.draw(figure, LIGHT)
        _as_written(figure)
        engine = figure.get_layout_engine()
        assert engine is not None
        engine.execute(figure)
        _cut_off_digits(figure)
        figure.set_layout_engine(None)  # once: with an engine, even "none", each savefig would draw everything twice
        files = {}
        for suffix, metadata in NAMELESS.items():
            file = io.BytesIO()
            figure.savefig(file, format=suffix, metadata=metadata)
            files[suffix] = file.getvalue()
    return {**files, "svg": _compact(files["svg"])}


def _as_written(figure: Figure) -> None:
    """Two dollar signs in the name of a thing begin no formula; only matplotlib's own labels of logarithmic axes are any."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if "$" in text.get_text() and "\\mathdefault" not in text.get_text():
            text.set_parse_math(False)


def _cut_off_digits(figure: Figure) -> None:
    """Of where the parts of a figure that is laid out lie: those that the layout can't vouch for.

    The layout's solver (kiwi) adds up in the order of its variables' addresses in memory, which differ from process to process: so do the
    last digits. matplotlib makes the name of a clipping rectangle in an SVG of all of them, and a PDF writes ten.
    """
    for part in figure.subfigs:
        part.bbox_relative.set_points(_cut_off(part.bbox_relative))
    for axes in figure.axes:
        laid_out = axes.get_in_layout()
        axes.set_position(Bbox(_cut_off(axes.get_position(original=True))))
        axes.set_in_layout(laid_out)  # placing axes takes them out of it


def _cut_off(box: Bbox) -> np.ndarray:
    """2×2: the corners of a box in shares of the figure, to :data:`PLACES` places."""
    found: np.ndarray = np.round(box.get_points(), PLACES)
    return found


NAMELESS: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_PATH = re.compile(rb' d="[^"]*"')
_TAIL = re.compile(rb"(\.\d)\d+")
_PLACED = re.compile(rb' [xy]="[^"]*"|translate\([^)]*\)')
_UNREAD = re.compile(rb"<metadata>.*?</metadata>|<!-- .*? -->| id=\"[A-Za-z.]+_\d+\"", re.DOTALL)
"""Comments repeat the texts that are drawn, and nothing refers to a numbered part."""
_BETWEEN = re.compile(rb">\s+<")
_COLOUR = re.compile(rb"#[0-9a-f]{6}")
_FONT = re.compile(rb"font-family: [^;\"]*")
_UNTURNED = re.compile(rb' transform="rotate\(-0 [^)]*\)"')
FAMILY = b"font-family: DejaVu Sans, Verdana, sans-serif"
"""matplotlib's own font, and one as wide: texts stay texts in an SVG, which a reader can search, and take a third of the bytes."""


def _compact(svg: bytes) -> bytes:
    """Tenths of a point are finer than a screen shows, and nobody reads the line breaks."""
    svg = _PATH.sub(lambda path: b" ".join(_TAIL.sub(rb"\1", path.group()).split()).replace(b"d=", b" d=", 1), svg)
    svg = _PLACED.sub(lambda place: _TAIL.sub(rb"\1", place.group()), svg)
    svg = _UNTURNED.sub(b"", _FONT.sub(FAMILY, svg))
    return _BETWEEN.sub(b"><", _UNREAD.sub(b"", svg))


def for_both_themes(svg: bytes) -> bytes:
    """A light figure whose colours follow the reader's light or dark page, by variables that a browser resolves."""
    used = sorted(set(_COLOUR.findall(svg)) & set(_IN_THE_DARK))
    names = {colour: f"--c{place}".encode() for place, colour in enumerate(used)}
    svg = _COLOUR.sub(lambda found: b"var(" + names[found.group()] + b")" if found.group() in names else found.group(), svg)
    light, dark = (b"".join(names[colour] + b":" + table.get(colour, colour) + b";" for colour in used) for table in ({}, _IN_THE_DARK))
    style = b"<style>:root{" + light + b"}@media(prefers-color-scheme:dark){:root{" + dark + b"}}</style>"
    start = svg.index(b"<svg")
    end = svg.index(b">", start) + 1
    return svg[start:end] + style + svg[end:]


@contextmanager
def _settings(theme: Theme) -> Iterator[None]:
    """matplotlib's own defaults, not the user's matplotlibrc, and the theme's colours."""
    settings = {
        **{key: value for key, value in mpl.rcParamsDefault.items() if key not in ("backend", "backend_fallback", "interactive")},
        "svg.hashsalt": "cgm",
        "svg.fonttype": "none",
        "font.size": 9,
        "figure.facecolor": theme.ground,
        "axes.facecolor": theme.ground,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "text.color": theme.ink,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
    }
    with mpl.rc_context(settings):
        yield


def readable(colour: str, theme: Theme) -> str:
    """The colour, mixed with the ink until text in it has WCAG's contrast of 4.5 on the ground."""
    ink, start, ground = (to_rgb(name) for name in (theme.ink, colour, theme.ground))
    for step in range(21):
        red, green, blue = (a + (b - a) * step / 20 for a, b in zip(start, ink, strict=True))
        if _contrast((red, green, blue), ground) >= 4.5:
            return to_hex((red, green, blue))
    return theme.ink


def _dark_colours() -> dict[bytes, bytes]:
    """Each colour of the light theme, as in SVG, with its place in the dark one."""
    fixed = [(getattr(LIGHT, name), getattr(DARK, name)) for name in ("ink", "muted", "grid", "ground", "alert")]
    palette = list(zip(LIGHT.palette, DARK.palette, strict=True))
    text = [(readable(light, LIGHT), readable(dark, DARK)) for light, dark in palette]
    return {light.encode(): dark.encode() for light, dark in (*text, *palette, *fixed)}


def _contrast(a: Sequence[float], b: Sequence[float]) -> float:
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(rgb: Sequence[float]) -> float:
    linear = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb)
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def place_labels(
    axes: Axes,
    anchors: Sequence[tuple[float, float]],
    texts: Sequence[str],
    colours: Sequence[str],
    obstacles: Sequence[tuple[float, float]],
    theme: Theme,
) -> list[Bbox]:
    """Write each text beside its anchor (data coordinates), off the other labels and, where it can, off the obstacles.

    Greedy over rings of candidate places, the most crowded anchor first; a thin line leads from a distant label to its anchor.
    Returns the labels' boxes in pixels.
    """
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    _as_written(figure)
    figure.draw_without_rendering()  # lays it out, so that pixels mean what they will mean
    _cut_off_digits(figure)
    renderer, frame = canvas.get_renderer(), axes.get_window_extent()
    pixels = [(float(x), float(y)) for x, y in axes.transData.transform(list(anchors))]
    dots = [(float(x), float(y)) for x, y in axes.transData.transform(list(obstacles))] if obstacles else []
    scale = figure.dpi / POINTS
    order = sorted(range(len(texts)), key=lambda index: (-sum(math.dist(pixels[index], other) < 60 * scale for other in pixels), index))
    boxes: dict[int, Bbox] = {}
    for index in order:
        label = axes.text(0, 0, texts[index], fontsize=8.5)
        extent = label.get_window_extent(renderer)
        label.remove()
        best: tuple[float, tuple[float, float], str, str, Bbox] | None = None
        for radius, turn in itertools.product((7, 12, 18, 26, 36, 48, 62, 78), range(16)):
            angle = turn * math.pi / 8
            x = pixels[index][0] + radius * scale * math.cos(angle)
            y = pixels[index][1] + radius * scale * math.sin(angle)
            horizontal = "left" if math.cos(angle) > 0.3 else "right" if math.cos(angle) < -0.3 else "center"
            vertical = "bottom" if math.sin(angle) > 0.3 else "top" if math.sin(angle) < -0.3 else "center"
            left = x - {"left": 0, "center": extent.width / 2, "right": extent.width}[horizontal]
            bottom = y - {"bottom": 0, "center": extent.height / 2, "top": extent.height}[vertical]
            box = Bbox.from_bounds(left, bottom, extent.width, extent.height)
            cost = float(radius) + 2e4 * (not _inside(box, frame))
            cost += sum(1e4 for other in boxes.values() if _overlap(box, other, 2 * scale))
            x0, y0, x1, y1 = box.padded(2 * scale).extents
            cost += sum(40.0 for at, up in dots if x0 <= at <= x1 and y0 <= up <= y1)
            own = _distance(box, pixels[index])
            cost += sum(30.0 for place, other in enumerate(pixels) if place != index and _distance(box, other) < own + 3 * scale)
            if best is None or cost < best[0]:
                best = (cost, (x, y), horizontal, vertical, box)
        assert best is not None
        _, place, horizontal, vertical, boxes[index] = best
        offset = ((place[0] - pixels[index][0]) / scale, (place[1] - pixels[index][1]) / scale)
        distant = math.hypot(*offset) > 10
        axes.annotate(
            texts[index],
            anchors[index],
            offset,
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
            fontsize=8.5,
            color=colours[index],
            arrowprops={"arrowstyle": "-", "color": theme.muted, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4} if distant else None,
        )
    return [boxes[index] for index in range(len(texts))]


def _inside(box: Bbox, frame: Bbox) -> bool:
    return bool(box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1)


def _distance(box: Bbox, point: tuple[float, float]) -> float:
    return math.hypot(max(box.x0 - point[0], 0, point[0] - box.x1), max(box.y0 - point[1], 0, point[1] - box.y1))


def _overlap(a: Bbox, b: Bbox, gap: float) -> bool:
    return bool(a.x0 < b.x1 + gap and b.x0 < a.x1 + gap and a.y0 < b.y1 + gap and b.y0 < a.y1 + gap)


def csv_bytes(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """What a figure shows, at full precision."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([repr(cell) if isinstance(cell, float) else cell for cell in row] for row in rows)
    return file.getvalue().encode()


_IN_THE_DARK = _dark_colours()
