"""Final metrics over the budget, where an entry is trained with several: of this experiment, else of the experiment ``budget``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cgm.evaluation import stats
from cgm.evaluation.measures import metric_of
from cgm.evaluation.uncertainty import Difference, Estimate
from cgm.experiment.params import Params
from cgm.methods.method import MethodSettings
from cgm.report import charts, labels
from cgm.report.figures.figure import Figure, Picture
from cgm.report.parameter_paths import Path, paths_of, settings_of
from cgm.report.plotting import MARKERS, Theme, csv_bytes
from cgm.report.published import Published
from cgm.report.ranking import ALPHA, between
from cgm.report.results import DatasetResult, Results

MEASURES = ("kid", "pd")
"""One of realism and one of fidelity, on the test images."""
UNTRAINED = "copy_input"
Points = list[tuple[float, str, Estimate]]
"""Thousand images, entry, mean with its interval."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """An experiment's trainings on one dataset."""

    params: Params
    methods: Mapping[str, MethodSettings]
    estimate: Callable[[str, str], Estimate | None]
    """Of an entry and a measure."""
    between: Callable[[str, str, str], Difference | None]
    """Of a measure, one entry less another."""
    note: str
    """Whose they are, and what their intervals are over."""


def _own(results: Results, dataset: DatasetResult) -> Trained:
    return Trained(
        params=results.params,
        methods=dataset.methods,
        estimate=dataset.estimate,
        between=lambda measure, one, other: between(dataset, measure, one, other),
        note=f"Mean over seeds; bars: 95% intervals, as in the tables. Surely: p < {100 * ALPHA:g}% for the difference, on the same seeds "
        "and images.",
    )


def _published(kept: Published, dataset: DatasetResult) -> Trained:
    seeds = kept.params.seeds
    over = "one seed, so no bars" if len(seeds) == 1 else f"mean over {labels.plural(len(seeds), 'seed')}; bars: 95% intervals over them"
    return Trained(
        params=kept.params,
        methods=kept.params.methods_of(dataset.name),
        estimate=lambda entry, measure: kept.estimate((dataset.name, entry, measure, dataset.judge_of(measure))),
        between=lambda measure, one, other: None,
        note=f"From the experiment {kept.params.experiment} (result {kept.identity[:12]}); {over}.",
    )


def budget(results: Results, dataset: DatasetResult) -> Picture | None:
    """The leading metrics of entries that differ in ``kimg`` alone, a line a method. None where there are none, or nothing was measured."""
    kept = results.budgets
    own = _own(results, dataset)
    if _paths(own, dataset) or kept is None or not kept.holds(dataset.name, dataset.settings):
        return _drawn(results, dataset, own)
    return _drawn(results, dataset, _published(kept, dataset))


def _paths(trained: Trained, dataset: DatasetResult) -> list[Path]:
    return [path for path in paths_of(settings_of(trained.params, dataset.name)) if path.setting == "kimg"]


def _drawn(results: Results, dataset: DatasetResult, trained: Trained) -> Picture | None:
    paths = _paths(trained, dataset)
    names = _names(trained.methods, paths)
    curves: dict[str, dict[str, Points]] = {}
    for metric in MEASURES:
        for name, path in zip(names, paths, strict=True):
            if len(points := _points(trained, path, metric)) > 1:
                curves.setdefault(metric, {})[name] = points
    if not curves:
        return None
    kimgs = sorted({kimg for found in curves.values() for points in found.values() for kimg, _, _ in points})
    base = {name: _base(trained.methods, path) for name, path in zip(names, paths, strict=True)}
    places = dict(results.places)
    for entry in base.values():
        places.setdefault(entry, len(places))  # a kept experiment may have methods that this one doesn't train
    references = {metric: _references(dataset, metric) for metric in curves}
    headings = {metric: f"{labels.scaled_title(metric, dataset.judge_of(metric))} {labels.arrow(metric)}" for metric in curves}

    def draw(figure: Canvas, theme: Theme) -> None:
        grid = figure.subplots(1, len(curves), squeeze=False)
        for axes, (metric, found) in zip(grid.flat, curves.items(), strict=True):
            scale = metric_of(metric).scale
            axes.set_title(headings[metric])
            axes.set_xlabel("thousand images seen")
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(FixedLocator(kimgs))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            for (name, values), style in zip(references[metric].items(), ((0, (1, 1.5)), (0, (5, 3))), strict=True):
                if values:
                    mean = stats.t_interval(values).mean * scale
                    axes.axhline(mean, color=theme.muted, linewidth=1.1, linestyle=style, label=labels.reference_title(name))
            for name, points in found.items():
                place = places[base[name]]
                axes.errorbar(
                    [kimg for kimg, _, _ in points],
                    [each.mean * scale for _, _, each in points],
                    [(each.half_width or 0.0) * scale for _, _, each in points],
                    color=theme.colour(place), marker=MARKERS[place % len(MARKERS)], markersize=5, linewidth=1.4, elinewidth=0.9,
                    capsize=2.5, label=name,
                )  # fmt: skip
        handles: dict[str, Artist] = {}
        for axes in grid.flat:
            handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(list(handles.values()), [*handles], loc="outside lower center", ncols=4)

    panels = tuple(
        charts.curves(
            headings[metric],
            "thousand images seen",
            [
                (charts.key(name, places[base[name]], base[name]), _scaled(points, metric_of(metric).scale))
                for name, points in found.items()
            ],
            middle="mean",
            ends=("lower end", "upper end"),
            log_across=True,
            bars=True,
            rules=[
                (
                    charts.Key(label=labels.reference_title(name), colour=charts.MUTED, symbol=charts.LINE),
                    stats.t_interval(values).mean * metric_of(metric).scale,
                )
                for name, values in references[metric].items()
                if values
            ],
        )
        for metric, found in curves.items()
    )
    rows: list[tuple[object, ...]] = []
    for metric, found in curves.items():
        for points in found.values():
            rows += [
                (dataset.name, entry, kimg, metric, each.mean, "" if each.half_width is None else each.half_width, each.n_seeds)
                for kimg, entry, each in points
            ]
        kinds = {UNTRAINED: "baseline", "real": "floor"}
        rows += [
            (dataset.name, f"{kinds[name]}:{name}", "", metric, value, "", "")
            for name, values in references[metric].items()
            for value in values
        ]
    takeaway = _takeaway(dataset, trained, curves)
    return Picture(
        kind="budget",
        dataset=dataset.name,
        title="Was it trained enough? Final metrics over the budget",
        takeaway=takeaway,
        note=f"Each point is a training of its own, with that budget and its own decay of the learning rate. {trained.note}",
        alt=f"Line plots for {dataset.name} of {labels.listing(list(headings.values()))} against images seen, for "
        f"{labels.listing(list(dict.fromkeys(name for found in curves.values() for name in found)))}. {takeaway}",
        csv=csv_bytes(("dataset", "method", "kimg", "metric", "mean", "half_width", "n"), rows),
        charts=panels,
        draw=draw,
        size=(8.2, 3.9),
    )


def _points(trained: Trained, path: Path, metric: str) -> Points:
    found = [(float(kimg), entry, trained.estimate(entry, metric)) for kimg, entry in path.points]
    return [(kimg, entry, each) for kimg, entry, each in found if each is not None]


def _scaled(points: Points, scale: float) -> charts.Curve:
    """Mean and the ends of its interval, as the tables scale them."""
    return [
        (kimg, scale * each.mean, scale * (each.mean - half_width), scale * (each.mean + half_width), each.n_seeds)
        for kimg, _, each in points
        for half_width in [each.half_width or 0.0]
    ]


def _base(methods: Mapping[str, MethodSettings], path: Path) -> str:
    """The entry whose colour the line has: the one that is named like its method, else the first."""
    return next((entry for entry in path.entries if entry == methods[entry].implementation), path.entries[0])


def _names(methods: Mapping[str, MethodSettings], paths: list[Path]) -> list[str]:
    """The method's title; with the entry where two would read alike."""
    bases = [_base(methods, path) for path in paths]
    plain = [labels.method_title(methods[base].implementation, methods[base]) for base in bases]
    return [labels.method_title(base, methods[base]) if plain.count(title) > 1 else title for base, title in zip(bases, plain, strict=True)]


def _references(dataset: DatasetResult, metric: str) -> dict[str, list[float]]:
    copied = [value for baseline in dataset.baselines if baseline.name == UNTRAINED for value in baseline.values(metric)]
    return {UNTRAINED: copied, "real": dataset.floor_values(metric)}


def _takeaway(dataset: DatasetResult, trained: Trained, curves: dict[str, dict[str, Points]]) -> str:
    """What each budget brought each method, by the first of the metrics, and whether the last step is sure."""
    metric, found = next(iter(curves.items()))
    scale, decimals = metric_of(metric).scale, metric_of(metric).decimals
    parts = []
    for name, points in found.items():
        values = " → ".join(stats.format_number(each.mean * scale, decimals) for _, _, each in points)
        kimgs = labels.listing([f"{kimg:g}" for kimg, _, _ in points])
        sure = _sure(trained.between(metric, points[-1][1], points[-2][1]))
        parts.append(f"{name} {values} at {kimgs} thousand images{sure}")
    return f"Does a larger budget help? {labels.scaled_title(metric, dataset.judge_of(metric))}: {'; '.join(parts)}."


def _sure(change: Difference | None) -> str:
    """Of the last step; empty where it can't be told."""
    if change is None or change.p is None:
        return ""
    kind = "no sure change" if change.p >= ALPHA else "surely better" if change.mean < 0 else "surely worse"
    return f" (last step: {kind})"


BUDGET = Figure(kind="budget", make=budget, group="training")
