"""Validation metrics over the budget."""

from __future__ import annotations

import math
from statistics import median

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from cgm.evaluation import stats
from cgm.evaluation.metrics import METRICS
from cgm.report import charts, labels
from cgm.report.competence import competent
from cgm.report.figures.curves import MEASURED, Curve, curve_rows, curves_csv, curves_of
from cgm.report.figures.figure import Figure, Picture
from cgm.report.plotting import MARKERS, Theme
from cgm.report.results import DatasetResult, Results


def validation_curves(results: Results, dataset: DatasetResult) -> Picture | None:
    """Validation metrics over the budget, median and range over seeds. None where no run measured any."""
    curves = {method: curves_of(dataset, method, MEASURED) for method in dataset.methods}
    names = list(dict.fromkeys(name for found in curves.values() for name in found))
    if not names:
        return None
    places = results.places
    titles = {name: _validation_title(results, name) for name in names}

    def draw(figure: Canvas, theme: Theme) -> None:
        columns = 1 if len(names) == 1 else 2
        grid = figure.subplots(math.ceil(len(names) / columns), columns, squeeze=False)
        for axes, name in zip(grid.flat, names, strict=False):
            axes.set_title(titles[name])
            axes.set_xlabel("thousand images seen")
            for method, found in curves.items():
                if name not in found:
                    continue
                kimg, middle, low, high, _ = zip(*found[name], strict=True)
                colour, marker = theme.colour(places[method]), MARKERS[places[method] % len(MARKERS)]
                axes.fill_between(kimg, low, high, color=colour, alpha=0.15, linewidth=0)
                axes.plot(kimg, middle, color=colour, linewidth=1.4, marker=marker, markersize=4, label=method)
            axes.yaxis.set_major_locator(MaxNLocator(5))
        for axes in list(grid.flat)[len(names) :]:
            axes.set_visible(False)
        lines = {line.get_label(): line for axes in grid.flat for line in axes.get_lines()}
        titled = [(lines[method], labels.method_title(method, dataset.methods[method])) for method in dataset.methods if method in lines]
        figure.legend([line for line, _ in titled], [title for _, title in titled], loc="outside lower center", ncols=4)

    panels = tuple(
        charts.curves(
            titles[name],
            "thousand images seen",
            [
                (charts.key(labels.method_title(method, dataset.methods[method]), places[method], method), found[name])
                for method, found in curves.items()
                if name in found
            ],
        )
        for name in names
    )
    size = (8.2, 3.2 * math.ceil(len(names) / 2) + 0.7)
    numbers = curves_csv(curve_rows(dataset, curves))
    takeaway = _validation_takeaway(results, dataset, curves, names)
    return Picture(
        kind="validation",
        dataset=dataset.name,
        title="Validation metrics over training",
        takeaway=takeaway,
        note="Line: median over seeds; band: lowest to highest.",
        alt=f"Line plots for {dataset.name} of {labels.listing(list(titles.values()))} against images seen, one line a method. {takeaway}",
        csv=numbers,
        charts=panels,
        draw=draw,
        size=size,
    )


def _validation_title(results: Results, name: str) -> str:
    """Through the judge of the training, which needn't be the evaluation's."""
    metric = name.removeprefix("val/")
    return f"{labels.metric_title(metric, results.params.training.judge)} {labels.arrow(metric)}" if metric in METRICS else metric


def _validation_takeaway(results: Results, dataset: DatasetResult, curves: dict[str, dict[str, Curve]], names: list[str]) -> str:
    """Who ends lowest, and whether the budget was enough: the change over the last stretch between validations."""
    name = "val/pd" if "val/pd" in names else names[0]
    ends = {method: found[name] for method, found in curves.items() if name in found}
    metric = name.removeprefix("val/")

    def badness(method: str) -> float:
        value = ends[method][-1][1]
        if metric not in METRICS or METRICS[metric].direction == "lower":
            return value
        return -value if METRICS[metric].direction == "higher" else abs(value - (METRICS[metric].target or 0))

    best = min([method for method in competent(dataset) if method in ends] or ends, key=badness)
    title = labels.metric_title(metric, results.params.training.judge) if metric in METRICS else metric
    value = stats.format_number(ends[best][-1][1], 3)
    sentence = f"{labels.method_title(best, dataset.methods[best])} ends with the best validation {title} ({value})"
    changes = [curve[-1][1] / curve[-2][1] - 1 for curve in ends.values() if len(curve) > 1 and curve[-2][1]]
    if not changes:
        return f"{sentence}."
    change = stats.format_number(100 * median(changes), 1)
    return f"{sentence}; from the last validation but one to the last, {title} changed by {change}% in the median method."


VALIDATION = Figure(kind="validation", make=validation_curves, group="training")
