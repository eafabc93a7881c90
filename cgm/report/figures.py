"""Figures that plot numbers: the perception–distortion plane and the training curves, and the spectrum's. Each carries its CSV."""

from __future__ import annotations

import math
from statistics import fmean, median

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cgm import stats
from cgm.metrics import METRICS
from cgm.report import labels
from cgm.report.drawing import MARKERS, Picture, Theme, csv_bytes, place_labels, plot, readable
from cgm.report.results import DatasetResult, Results
from cgm.report.spectrum import spectrum

DISTORTION, PERCEPTION = "mae", "kid"
LOSSES = ("G/", "D/")
"""A loss is a term of a player; the history's other columns with a slash are its gradients, accuracies and validation metrics."""
Curve = list[tuple[float, float, float, float, int]]
"""kimg, median, lowest, highest, n."""


def all_figures(results: Results) -> list[Picture]:
    makers = (plane, spectrum, validation_curves, loss_curves)
    found = (make(results, dataset) for dataset in results.datasets for make in makers)
    return [picture for picture in found if picture is not None]


def plane(results: Results, dataset: DatasetResult) -> Picture | None:
    """Perception–distortion plane (Blau & Michaeli, CVPR 2018): MAE against the kernel distance, a dot a seed.

    None where no method has both.
    """
    scale = labels.SCALES[PERCEPTION]
    judge = dataset.judge_of(PERCEPTION)
    points: dict[str, list[tuple[int, float, float]]] = {}
    for method in dataset.methods:
        x, y = dataset.by_seed(method, DISTORTION), dataset.by_seed(method, PERCEPTION)
        if common := sorted(x.keys() & y.keys()):
            points[method] = [(seed, x[seed], y[seed] * scale) for seed in common]
    if not points:
        return None
    means = {method: (fmean([x for _, x, _ in found]), fmean([y for _, _, y in found])) for method, found in points.items()}
    baselines = {}
    for name in dataset.reference_methods:
        first, second = dataset.reference_values(name, DISTORTION), dataset.reference_values(name, PERCEPTION)
        if name.startswith("baseline:") and first and second:
            baselines[name] = (first[0], second[0] * scale)
    floor = [value * scale for value in dataset.reference_values("floor:real", PERCEPTION)]
    places = results.places

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        axes.set_yscale("symlog", linthresh=10, linscale=0.6)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: stats.format_number(value, 0)))
        axes.set_xlabel(f"{labels.metric_title(DISTORTION, '')} {labels.arrow(DISTORTION)}  (distortion)")
        axes.set_ylabel(f"{labels.scaled_title(PERCEPTION, judge)} {labels.arrow(PERCEPTION)}  (perception; linear below 10)")
        axes.set_title(dataset.name)
        axes.margins(0.08)
        if floor:
            axes.axhspan(min(floor), max(floor), color=theme.muted, alpha=0.18, linewidth=0)
            axes.axhline(fmean(floor), color=theme.muted, linewidth=1, linestyle=(0, (5, 3)))
        for method, found in points.items():
            colour, marker = theme.colour(places[method]), MARKERS[places[method] % len(MARKERS)]
            axes.plot(
                [x for _, x, _ in found], [y for _, _, y in found], marker, color=colour, markersize=3.5, alpha=0.55, markeredgewidth=0
            )
            axes.plot(*means[method], marker, color=colour, markersize=8, markeredgecolor=theme.ground, markeredgewidth=0.9, zorder=3)
        for x, y in baselines.values():
            axes.plot(x, y, "d", color=theme.ground, markersize=6.5, markeredgecolor=theme.muted, markeredgewidth=1.2, zorder=3)
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
        anchors = [*means.values(), *baselines.values()]
        texts = [labels.method_title(method, dataset.methods[method]) for method in means]
        texts += [labels.reference_title(name) for name in baselines]
        colours = [readable(theme.colour(places[method]), theme) for method in means] + [theme.muted] * len(baselines)
        dots = [*anchors, *((x, y) for found in points.values() for _, x, y in found)]
        if floor:
            low, high = axes.get_xlim()
            anchors.append((low + 0.9 * (high - low), fmean(floor)))
            texts.append(labels.reference_title("floor:real"))
            colours.append(theme.muted)
        place_labels(axes, anchors, texts, colours, dots, theme)

    rows = [(dataset.name, method, seed, x, y / scale) for method, found in points.items() for seed, x, y in found] + [
        (dataset.name, name, 0, x, y / scale) for name, (x, y) in baselines.items()
    ]
    files, dark = plot(draw, (8.2, 5.4), results.params.profile == "smoke")
    files["csv"] = csv_bytes(("dataset", "method", "seed", DISTORTION, PERCEPTION), rows)
    nearest, finest = (min(means, key=lambda method: means[method][axis]) for axis in (0, 1))
    titles = {method: labels.method_title(method, dataset.methods[method]) for method in means}
    intervals = [stats.t_interval([found[axis] for found in points[best]]) for axis, best in ((1, nearest), (2, finest))]
    shown = f"MAE {stats.format_interval(intervals[0])}", f"{labels.scaled_title(PERCEPTION, judge)} {stats.format_interval(intervals[1])}"
    if nearest == finest:
        takeaway = f"{titles[nearest]} is both nearest to the targets ({shown[0]}) and most like real images ({shown[1]})."
    else:
        takeaway = (
            f"{titles[nearest]} is nearest to the targets ({shown[0]}), {titles[finest]} most like real images ({shown[1]}): "
            "no method is best at both."
        )
    return Picture(
        name=f"plane-{dataset.name}",
        title="Perception–distortion plane",
        takeaway=takeaway,
        note="Small marks: seeds; large: their mean; hollow diamonds: baselines; dashed line and band: real vs real. "
        "Down and left is better.",
        alt=f"Scatter plot for {dataset.name}: MAE against {labels.metric_title(PERCEPTION, judge)} for "
        f"{labels.listing(list(titles.values()))}. {takeaway}",
        files=files,
        dark=dark,
    )


def validation_curves(results: Results, dataset: DatasetResult) -> Picture | None:
    """Validation metrics over the budget, median and range over seeds. None where no run measured any."""
    curves = {method: _curves(dataset, method, ("val/",)) for method in dataset.methods}
    names = list(dict.fromkeys(name for found in curves.values() for name in found))
    if not names:
        return None
    places = results.places
    titles = {name: _validation_title(results, name) for name in names}

    def draw(figure: Figure, theme: Theme) -> None:
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

    files, dark = plot(draw, (8.2, 3.2 * math.ceil(len(names) / 2) + 0.7), results.params.profile == "smoke")
    files["csv"] = _curves_csv(dataset, curves)
    takeaway = _validation_takeaway(results, dataset, curves, names)
    return Picture(
        name=f"validation-{dataset.name}",
        title="Validation metrics over training",
        takeaway=takeaway,
        note="Line: median over seeds; band: lowest to highest.",
        alt=f"Line plots for {dataset.name} of {labels.listing(list(titles.values()))} against images seen, one line a method. {takeaway}",
        files=files,
        dark=dark,
    )


def loss_curves(results: Results, dataset: DatasetResult) -> Picture | None:
    """Every method's losses over the budget, as its optimisers saw them. None where no run has a history."""
    curves = {method: found for method in dataset.methods if (found := _curves(dataset, method, LOSSES))}
    if not curves:
        return None
    columns = min(3, len(curves))
    rows = math.ceil(len(curves) / columns)

    def draw(figure: Figure, theme: Theme) -> None:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for axes, (method, found) in zip(grid.flat, curves.items(), strict=False):
            axes.set_title(labels.method_title(method, dataset.methods[method]))
            for place, (name, curve) in enumerate(found.items()):
                kimg, middle, low, high, _ = zip(*curve, strict=True)
                axes.fill_between(kimg, low, high, color=theme.colour(place), alpha=0.15, linewidth=0)
                axes.plot(kimg, middle, color=theme.colour(place), linewidth=1.1, label=name)
            values = [abs(value) for curve in found.values() for _, value, *_ in curve if value]
            if values and all(value >= 0 for curve in found.values() for _, value, *_ in curve) and max(values) > 20 * min(values):
                axes.set_yscale("log")
            axes.legend(fontsize=7, ncols=2 if len(found) > 3 else 1, loc="best", handlelength=1.2, columnspacing=0.9, labelspacing=0.3)
        for axes in list(grid.flat)[len(curves) :]:
            axes.set_visible(False)
        figure.supxlabel("thousand images seen", fontsize=9)

    files, dark = plot(draw, (8.2, 2.2 * rows + 0.4), results.params.profile == "smoke")
    files["csv"] = _curves_csv(dataset, curves)
    takeaway = _loss_takeaway(dataset, curves)
    titles = [labels.method_title(method, dataset.methods[method]) for method in curves]
    return Picture(
        name=f"losses-{dataset.name}",
        title="Losses over training",
        takeaway=takeaway,
        note="Weighted terms as each player's optimiser saw them; line: median over seeds; band: lowest to highest.",
        alt=f"Small line plots for {dataset.name}, one a method ({labels.listing(titles)}), of its losses against images seen. {takeaway}",
        files=files,
        dark=dark,
    )


def _curves(dataset: DatasetResult, method: str, prefixes: tuple[str, ...]) -> dict[str, Curve]:
    """Median and range over the ok seeds at each image count, of the columns that begin with one of ``prefixes``."""
    seen: dict[str, dict[float, list[float]]] = {}
    for run in dataset.runs[method]:
        if not run.ok:
            continue
        for name, column in run.history.items():
            if not name.startswith(prefixes):
                continue
            for kimg, value in zip(run.history["kimg"], column, strict=True):
                if kimg is not None and value is not None:
                    seen.setdefault(name, {}).setdefault(kimg, []).append(value)
    return {
        name: [(kimg, median(values), min(values), max(values), len(values)) for kimg, values in sorted(points.items())]
        for name, points in seen.items()
    }


def _validation_title(results: Results, name: str) -> str:
    """Through the judge of the training, which needn't be the evaluation's."""
    metric = name.removeprefix("val/")
    return f"{labels.metric_title(metric, results.params.training.judge)} {labels.arrow(metric)}" if metric in METRICS else metric


def _validation_takeaway(results: Results, dataset: DatasetResult, curves: dict[str, dict[str, Curve]], names: list[str]) -> str:
    """Who ends lowest, and whether the budget was enough: the change over the last stretch between validations."""
    name = "val/pd" if "val/pd" in names else names[0]
    ends = {method: found[name] for method, found in curves.items() if name in found}
    metric = name.removeprefix("val/")
    sign = -1 if metric in METRICS and METRICS[metric].direction == "higher" else 1
    best = min(ends, key=lambda method: sign * ends[method][-1][1])
    title = labels.metric_title(metric, results.params.training.judge) if metric in METRICS else metric
    value = stats.format_number(ends[best][-1][1], 3)
    sentence = f"{labels.method_title(best, dataset.methods[best])} ends with the best validation {title} ({value})"
    changes = [curve[-1][1] / curve[-2][1] - 1 for curve in ends.values() if len(curve) > 1 and curve[-2][1]]
    if not changes:
        return f"{sentence}."
    change = stats.format_number(100 * median(changes), 1)
    return f"{sentence}; from the last validation but one to the last, {title} changed by {change}% in the median method."


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


def _curves_csv(dataset: DatasetResult, curves: dict[str, dict[str, Curve]]) -> bytes:
    rows = [(dataset.name, method, name, *point) for method, found in curves.items() for name, curve in found.items() for point in curve]
    return csv_bytes(("dataset", "method", "column", "kimg", "median", "lowest", "highest", "n"), rows)
