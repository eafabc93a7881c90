"""The perception–distortion plane (Blau & Michaeli, CVPR 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter

from cgm.evaluation import stats
from cgm.evaluation.metrics import METRICS
from cgm.report import charts, labels
from cgm.report.competence import competent
from cgm.report.figures.figure import Figure, Picture
from cgm.report.parameter_paths import Path, path_title, paths_of, settings_of, value_text
from cgm.report.plotting import MARKERS, Theme, csv_bytes, place_labels, readable
from cgm.report.results import DatasetResult, Reference, Results
from cgm.report.summary import interval_text

DISTORTION, PERCEPTION = "mae", "kid"
STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (9, 3)))
"""Of lines, after one another."""


def plane(results: Results, dataset: DatasetResult) -> Picture | None:
    """Perception–distortion plane (Blau & Michaeli, CVPR 2018): MAE against the kernel distance, a dot a seed.

    Entries that differ in one setting alone are joined in its order. None where no method has both.
    """
    scale = METRICS[PERCEPTION].scale
    judge = dataset.judge_of(PERCEPTION)
    points: dict[str, list[tuple[int, float, float]]] = {}
    for method in dataset.methods:
        x, y = dataset.by_seed(method, DISTORTION), dataset.by_seed(method, PERCEPTION)
        if common := sorted(x.keys() & y.keys()):
            points[method] = [(seed, x[seed], y[seed] * scale) for seed in common]
    if not points:
        return None
    means = {method: (fmean([x for _, x, _ in found]), fmean([y for _, _, y in found])) for method, found in points.items()}
    baselines: list[tuple[Reference, tuple[float, float]]] = []
    for reference in dataset.baselines:
        first, second = reference.values(DISTORTION), reference.values(PERCEPTION)
        if first and second:
            baselines.append((reference, (first[0], second[0] * scale)))
    floor = [value * scale for value in dataset.floor_values(PERCEPTION)]
    places = results.places
    shown = settings_of(results.params, dataset.name)
    paths = paths_of({method: settings for method, settings in shown.items() if method in means})
    joined: dict[str, list[Path]] = {}
    for path in paths:
        joined.setdefault(path_title(dataset, path), []).append(path)

    def draw(figure: Canvas, theme: Theme) -> None:
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
        for place, (title, alike) in enumerate(joined.items()):
            colour, style = theme.colour(place), STYLES[place % len(STYLES)]
            for path in alike:
                across, up = zip(*(means[entry] for entry in path.entries), strict=True)
                label = title if path is alike[0] else None
                axes.plot(across, up, color=colour, linewidth=1.1, linestyle=style, label=label, zorder=2)
        for method, found in points.items():
            colour, marker = theme.colour(places[method]), MARKERS[places[method] % len(MARKERS)]
            axes.plot(
                [x for _, x, _ in found], [y for _, _, y in found], marker, color=colour, markersize=3.5, alpha=0.55, markeredgewidth=0
            )
            axes.plot(*means[method], marker, color=colour, markersize=8, markeredgecolor=theme.ground, markeredgewidth=0.9, zorder=3)
        for _, (x, y) in baselines:
            axes.plot(x, y, "d", color=theme.ground, markersize=6.5, markeredgecolor=theme.muted, markeredgewidth=1.2, zorder=3)
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
        anchors = [*means.values(), *(place for _, place in baselines)]
        texts = [_label(dataset, paths, method) for method in means]
        texts += [labels.reference_title(reference.name) for reference, _ in baselines]
        colours = [readable(theme.colour(places[method]), theme) for method in means] + [theme.muted] * len(baselines)
        dots = [*anchors, *((x, y) for found in points.values() for _, x, y in found)]
        if floor:
            low, high = axes.get_xlim()
            anchors.append((low + 0.9 * (high - low), fmean(floor)))
            texts.append(labels.REFERENCES["real"])
            colours.append(theme.muted)
        if paths:
            figure.legend(loc="outside lower center", ncols=2, handlelength=3.2)
        place_labels(axes, anchors, texts, colours, dots, theme)

    titles = {method: labels.method_title(method, dataset.methods[method]) for method in means}
    lines = [
        (charts.Key(label=title, colour=charts.colour(place), symbol=charts.LINE), [means[entry] for entry in path.entries])
        for place, (title, alike) in enumerate(joined.items())
        for path in alike
    ]
    real = charts.Key(label=labels.REFERENCES["real"], colour=charts.MUTED, symbol=charts.SYMBOLS["s"])
    chart = charts.scatter(
        "",
        (
            f"{labels.metric_title(DISTORTION, '')} {labels.arrow(DISTORTION)} (distortion)",
            f"{labels.scaled_title(PERCEPTION, judge)} {labels.arrow(PERCEPTION)} (perception)",
        ),
        [
            (charts.key(titles[method], places[method], method), [(f"seed {seed}", x, y) for seed, x, y in found])
            for method, found in points.items()
        ],
        lines=lines,
        marks=[
            (charts.Key(label=labels.reference_title(reference.name), colour=charts.MUTED, symbol=charts.SYMBOLS["D"], hollow=True), x, y)
            for reference, (x, y) in baselines
        ],
        band=(real, min(floor), max(floor)) if floor else None,
        linear_below=10.0,
    )
    rows = [(dataset.name, method, seed, x, y / scale) for method, found in points.items() for seed, x, y in found] + [
        (dataset.name, reference.key, 0, x, y / scale) for reference, (x, y) in baselines
    ]
    size = (8.2, 5.4 + 0.2 * ((len(joined) + 1) // 2))
    numbers = csv_bytes(("dataset", "method", "seed", DISTORTION, PERCEPTION), rows)
    takeaway = _takeaway(dataset, means)
    return Picture(
        kind="plane",
        dataset=dataset.name,
        title="Perception–distortion plane",
        takeaway=takeaway,
        note="Small marks: seeds; large: their mean; hollow diamonds: baselines; dashed line and band: real vs real. "
        f"Down and left is better.{_caption(list(joined))}",
        alt=f"Scatter plot for {dataset.name}: MAE against {labels.metric_title(PERCEPTION, judge)} for "
        f"{labels.listing(list(titles.values()))}. {takeaway}",
        csv=numbers,
        charts=(chart,),
        draw=draw,
        size=size,
    )


def _label(dataset: DatasetResult, paths: list[Path], method: str) -> str:
    """The method's title; of an entry on a path, the setting's value, which tells it from the others there."""
    settings = dataset.methods[method]
    values = {
        f"{labels.setting_title(settings.implementation, path.setting)} {value_text(value)}"
        for path in paths
        for value, entry in path.points
        if entry == method
    }
    title = labels.method_title(method, settings)
    if not values:
        return title
    return ", ".join(([title] if method == settings.implementation else []) + sorted(values))


def _caption(joined: list[str]) -> str:
    """What the lines are; nothing where there are none."""
    return f" Lines join entries that differ in one setting alone: {'; '.join(joined)}." if joined else ""


def _takeaway(dataset: DatasetResult, means: Mapping[str, tuple[float, float]]) -> str:
    """Which method is nearest to the targets, and which most like real images, among those that were trained to competence."""
    among = [method for method in competent(dataset) if method in means]
    if not among:
        return "No method was trained to competence."
    nearest, finest = (min(among, key=lambda method: means[method][axis]) for axis in (0, 1))
    first, second = (labels.method_title(method, dataset.methods[method]) for method in (nearest, finest))
    distortion, perception = (_value(dataset, *which) for which in ((nearest, DISTORTION), (finest, PERCEPTION)))
    if nearest == finest:
        return f"{first} is both nearest to the targets ({distortion}) and most like real images ({perception})."
    return f"{first} is nearest to the targets ({distortion}), {second} most like real images ({perception}): no method is best at both."


def _value(dataset: DatasetResult, method: str, metric: str) -> str:
    return f"{labels.scaled_title(metric, dataset.judge_of(metric))} {interval_text(dataset, method, metric)}"


PLANE = Figure(kind="plane", make=plane, group="plane")
