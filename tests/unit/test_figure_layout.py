"""A figure's bytes don't hang on the last digits of its layout, which differ from process to process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from cgm.report.figures.figure import Picture
from cgm.report.plotting import LIGHT, Theme, place_labels, render

OTHER = 1.1 * (1 + 1e-13)
"""Beside 1.1 it changes the layout as little as adding up in another order does."""


Draw = Callable[[Canvas, Theme], None]


def panels(ratio: float) -> Draw:
    def draw(figure: Canvas, theme: Theme) -> None:
        for axes in figure.subplots(1, 2, width_ratios=(1, ratio)):
            axes.plot([0, 1, 3], [0.1, 10, 7])
            axes.set_ylabel("loss")

    return draw


def parts(ratio: float) -> Draw:
    def draw(figure: Canvas, theme: Theme) -> None:
        for part in figure.subfigures(2, 1, height_ratios=(1, ratio)):
            part.subplots().plot([0, 1, 3], [0.1, 10, 7])

    return draw


def labelled(ratio: float) -> Draw:
    def draw(figure: Canvas, theme: Theme) -> None:
        _, axes = figure.subplots(1, 2, width_ratios=(1, ratio))
        points = [(0.0, 0.0), (0.1, 0.1), (0.1, 0.0)]
        axes.plot(*zip(*points, strict=True), "o")
        place_labels(axes, points, ["one", "two", "three"], [theme.ink] * 3, points, theme)

    return draw


@pytest.mark.parametrize("drawing", [panels, parts, labelled])
def test_last_digits_of_a_layout_change_no_byte(drawing: Callable[[float], Draw]) -> None:
    found, boxes = [], []
    for ratio in (1.1, OTHER):
        picture = Picture(kind="x", dataset="", title="x", alt="x", takeaway="x", draw=drawing(ratio))
        found.append(render(picture))
        laid_out = Canvas(figsize=picture.size, layout="constrained")
        FigureCanvasAgg(laid_out)
        drawing(ratio)(laid_out, LIGHT)
        laid_out.draw_without_rendering()
        boxes.append([axes.bbox.bounds for axes in laid_out.axes])
    assert boxes[0] != boxes[1]  # so there is something to cut off
    assert found[0] == found[1]


def test_a_larger_change_shows() -> None:
    one, other = (
        render(Picture(kind="x", dataset="", title="x", alt="x", takeaway="x", draw=panels(ratio)))["svg"] for ratio in (1.1, 1.2)
    )
    assert one != other
