"""Every method's losses over the budget."""

from __future__ import annotations

import math

from matplotlib.figure import Figure as Canvas

from cgm.report import charts, labels
from cgm.report.figures.curves import Curve, curve_rows, curves_csv, curves_of, thinned
from cgm.report.figures.figure import Figure, Picture
from cgm.report.plotting import Theme
from cgm.report.results import DatasetResult, Results

OF_PLAYERS = ("G/", "D/")
"""A loss is a term of a player; the history's other columns with a slash are its gradients, accuracies and validation metrics."""


def loss_curves(results: Results, dataset: DatasetResult) -> Picture | None:
    """Every method's losses over the budget, as its optimisers saw them. None where no run has a history."""
    curves = {method: found for method in dataset.methods if (found := curves_of(dataset, method, OF_PLAYERS))}
    if not curves:
        return None
    columns = min(3, len(curves))
    rows = math.ceil(len(curves) / columns)

    def draw(figure: Canvas, theme: Theme) -> None:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for axes, (method, found) in zip(grid.flat, curves.items(), strict=False):
            axes.set_title(labels.method_title(method, dataset.methods[method]))
            for place, (name, curve) in enumerate(found.items()):
                curve = thinned(curve)
                kimg, middle, low, high, _ = zip(*curve, strict=True)
                axes.fill_between(kimg, low, high, color=theme.colour(place), alpha=0.15, linewidth=0)
                axes.plot(kimg, middle, color=theme.colour(place), linewidth=1.1, label=name)
            if _spans_decades(found):
                axes.set_yscale("log")
            axes.legend(fontsize=7, ncols=2 if len(found) > 3 else 1, loc="best", handlelength=1.2, columnspacing=0.9, labelspacing=0.3)
        for axes in list(grid.flat)[len(curves) :]:
            axes.set_visible(False)
        figure.supxlabel("thousand images seen", fontsize=9)

    panels = tuple(
        charts.curves(
            labels.method_title(method, dataset.methods[method]),
            "thousand images seen",
            [(charts.key(name, place), thinned(curve)) for place, (name, curve) in enumerate(found.items())],
            log=_spans_decades(found),
            method=method,
        )
        for method, found in curves.items()
    )
    size = (8.2, 2.2 * rows + 0.4)
    numbers = curves_csv(curve_rows(dataset, curves))
    takeaway = _loss_takeaway(dataset, curves)
    titles = [labels.method_title(method, dataset.methods[method]) for method in curves]
    return Picture(
        kind="losses",
        dataset=dataset.name,
        title="Losses over training",
        takeaway=takeaway,
        note="Weighted terms as each player's optimiser saw them; line: median over seeds; band: lowest to highest.",
        alt=f"Small line plots for {dataset.name}, one a method ({labels.listing(titles)}), of its losses against images seen. {takeaway}",
        csv=numbers,
        charts=panels,
        draw=draw,
        size=size,
    )


def _spans_decades(found: dict[str, Curve]) -> bool:
    """Whether a method's losses want a logarithmic axis, and can have one."""
    values = [value for curve in found.values() for _, value, *_ in curve]
    positive = [value for value in values if value]
    return bool(positive) and min(values) >= 0 and max(positive) > 20 * min(positive)


def _loss_takeaway(dataset: DatasetResult, curves: dict[str, dict[str, Curve]]) -> str:
    """How far each generator's objective fell: the sum of its terms, last ÷ first."""
    shares = {}
    for method, found in curves.items():
        terms = [curve for name, curve in found.items() if name.startswith("G/")]
        first, last = (sum(curve[place][1] for curve in terms) for place in (0, -1))
        if terms and first > 0:
            shares[method] = last / first
    if not shares:
        return "No generator loss was recorded."
    most, least = (pick(shares, key=lambda method: shares[method]) for pick in (min, max))

    def part(method: str) -> str:
        return f"{labels.method_title(method, dataset.methods[method])} ({100 * shares[method]:.0f}%)"

    if most == least:
        return (
            f"The generator's objective went to {100 * shares[most]:.0f}% of its first logged value under {part(most).rpartition(' ')[0]}."
        )
    return f"The generator's objective, last ÷ first logged value, is lowest under {part(most)} and highest under {part(least)}."


LOSSES = Figure(kind="losses", make=loss_curves, group="training")
