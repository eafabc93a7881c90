"""The first layers of the networks that the experiment looks through, beside random ones."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from cgm.evaluation import stats
from cgm.evaluation.filters import INITS, FirstLayer, Selective, first_layer, generator_of, random_filters
from cgm.networks.fixed import FIXED
from cgm.report import labels
from cgm.report.figures.figure import Figure, Picture
from cgm.report.figures.mosaic import place
from cgm.report.plotting import Theme, csv_bytes
from cgm.report.results import DatasetResult, Results

LECTURE = "The first layers of that network are edges, orientations and colour differences, near to human vision."
CLAIMS = ("first-layer-sees-orientations", "first-layer-sees-colour-differences", "first-layer-is-like-early-vision")
CLOUD = 160
"""Random filters that are drawn as dots."""


def filters(results: Results, dataset: DatasetResult) -> Picture | None:
    """The networks belong to the experiment, so they stand with its first dataset alone. None where no weights were at hand."""
    if dataset is not results.datasets[0] or not results.filters:
        return None
    layers = results.filters
    measured = {name: first_layer(weights, generator_of(name)) for name, weights in layers.items()}
    titles = {name: FIXED[name].about.title if name in FIXED else name for name in layers}

    def draw(figure: Canvas, theme: Theme) -> None:
        grid = figure.subplots(len(layers), 3, squeeze=False, width_ratios=(1, 1, 1.35))
        for (left, middle, right), (name, weights) in zip(grid, layers.items(), strict=True):
            alike = random_filters(weights.shape, generator_of(name), 1)[0]
            for axes, shown, title in ((left, weights, titles[name]), (middle, alike, "random")):
                sheet = _sheet(shown, theme)
                place(axes, sheet, 0, 0, sheet.shape[1], sheet.shape[0])
                axes.set_axis_off()
                axes.set_title(title, fontsize=8.5)
            _scatter(right, measured[name], theme)
        grid[0, 2].legend(fontsize=7, loc="upper right")
        grid[-1, 2].set_xlabel("orientation selectivity")

    rows = [
        (name, kind, init, index, float(orientation), float(chroma))
        for name, layer in measured.items()
        for kind, init, index, orientation, chroma in _values(layer)
    ]
    sentences = {name: _sentence(titles[name], layer) for name, layer in measured.items()}
    guides = {network["name"] for record in results.records for network in record.get("loss_network") or ()} & sentences.keys()
    takeaway = " ".join(sentence for name, sentence in sentences.items() if name in (guides or sentences))
    others = " ".join(sentence for name, sentence in sentences.items() if guides and name not in guides)
    return Picture(
        kind="filters",
        dataset=dataset.name,
        title="First-layer filters",
        takeaway=takeaway,
        lecture=LECTURE,
        claims=CLAIMS,
        note=f"Each filter is scaled by its own largest weight; grey: 0. Dots: filters; dashed: what one random filter in twenty exceeds, "
        f"of {INITS} initialisations of the same layer. Orientation selectivity: how much of a filter's power lies at one orientation "
        "(1 − circular variance); chroma share: the part of its squared weights that no grey picture excites (chance: ⅔). Filters that "
        "are all but 0 are left out. In brackets: exact 95% intervals over filters. The networks are the experiment's, not this dataset's. "
        + others,
        alt=f"For {labels.listing(list(titles.values()))}: the filters of the first layer, random filters of the same shape, and a scatter "
        f"plot of orientation selectivity and chroma share of both. {takeaway}",
        csv=csv_bytes(("network", "kind", "init", "filter", "orientation", "chroma"), rows),
        draw=draw,
        size=(8.2, 2.45 * len(layers)),
    )


def _scatter(axes: Axes, layer: FirstLayer, theme: Theme) -> None:
    x, y = layer.orientation, layer.chroma
    axes.plot(x.random.ravel()[:CLOUD], y.random.ravel()[:CLOUD], ".", color=theme.muted, markersize=2.5, label="random")
    axes.plot(x.trained, y.trained, "o", color=theme.colour(0), markersize=4, label="trained")
    axes.axvline(x.threshold, color=theme.muted, linewidth=0.9, linestyle=(0, (5, 3)))
    axes.axhline(y.threshold, color=theme.muted, linewidth=0.9, linestyle=(0, (5, 3)))
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("chroma share")


def _values(layer: FirstLayer) -> list[tuple[str, object, int, np.float64, np.float64]]:
    """Trained filters by their place in the layer; of the random ones those that are drawn."""
    trained = zip(np.flatnonzero(layer.alive), layer.orientation.trained, layer.chroma.trained, strict=True)
    found: list[tuple[str, object, int, np.float64, np.float64]] = [("trained", "", int(index), x, y) for index, x, y in trained]
    width = layer.orientation.random.shape[1]
    for place_, (x, y) in enumerate(zip(layer.orientation.random.ravel()[:CLOUD], layer.chroma.random.ravel()[:CLOUD], strict=True)):
        found.append(("random", place_ // width, place_ % width, x, y))
    return found


def _sheet(weights: np.ndarray, theme: Theme) -> np.ndarray:
    """Filters as pictures, uint8: grey is 0, and each filter's largest weight fills the range; a pixel between them."""
    count, _, height, width = weights.shape
    columns = math.ceil(math.sqrt(count * 1.2))
    rows = math.ceil(count / columns)
    gap = 1 if width < 8 else 2
    scale = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    dead = scale < 1e-2 * scale.max()
    pictures = np.where(dead, 0.5, 0.5 + 0.5 * weights / np.where(dead, 1, scale)).transpose(0, 2, 3, 1)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 1.0)
    for index, picture in enumerate(pictures):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        canvas[top : top + height, left : left + width] = picture
    found: np.ndarray = np.rint(255 * canvas).astype(np.uint8)
    return found


def _sentence(title: str, layer: FirstLayer) -> str:
    dead = int((~layer.alive).sum())
    parts = [f"{_share(layer.orientation.selective)} are more oriented", f"{_share(layer.chroma.selective)} more colourful"]
    parts.append(f"{_share(layer.grey)} greyer than all but 5% of random ones")
    beside = f" ({labels.plural(dead, 'filter')} of 0 left out)" if dead else ""
    return f"{title}: of {layer.either.n} filters{beside}, {labels.listing(parts)}."


def _share(found: Selective) -> str:
    low, high = (stats.format_number(100 * bound, 0) for bound in (found.low, found.high))
    return f"{stats.format_number(100 * found.share, 0)}% [{low}, {high}]"


FILTERS = Figure(kind="filters", make=filters)
