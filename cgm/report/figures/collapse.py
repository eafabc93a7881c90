"""What collapse looks like: the discriminator's accuracy over training, and what became of diversity and content."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from cgm.evaluation import stats
from cgm.evaluation.measures import metric_of
from cgm.evaluation.uncertainty import Estimate
from cgm.report import labels
from cgm.report.figures.curves import Curve, curves_of, thinned
from cgm.report.figures.figure import Figure, Picture
from cgm.report.plotting import MARKERS, Theme, csv_bytes
from cgm.report.results import DatasetResult, Results
from cgm.report.tables.budget import curve_of, curve_title

ACCURACY, DIVERSITY = "accuracy/D", "val/vendi_ratio"
LEVEL = {ACCURACY: 0.5, DIVERSITY: 1.0}
"""Where D can't tell, and where outputs are as diverse as targets."""
FINAL = ("recall", "near_duplicate_share", "vendi_ratio", "retrieval")
LECTURE = "Unpaired training with the GAN loss alone collapses to one output whatever comes in; D is content, and G stops learning."
CLAIMS = ("unpaired-gan-collapses", "unpaired-gan-ignores-its-input", "unpaired-gan-stops-learning")


def collapse(results: Results, dataset: DatasetResult) -> Picture | None:
    """Of the methods with a discriminator: over one time axis its accuracy, the outputs' diversity (older histories don't have it) and the
    validation metric; below them the final measures of collapse. None where there is no such method."""
    metric = curve_of(dataset)
    wanted = (ACCURACY, DIVERSITY, *([f"val/{metric}"] if metric else []))
    curves = {method: found for method in dataset.methods if ACCURACY in (found := curves_of(dataset, method, wanted))}
    if not curves:
        return None
    names = [name for name in wanted if any(name in found for found in curves.values())]
    titles = {
        ACCURACY: "D right (0.5: it guesses)",
        DIVERSITY: f"Validation {labels.metric_title('vendi_ratio', results.params.training.judge)} →1",
        f"val/{metric}": f"Validation {curve_title(results, metric)} ↓",
    }
    estimates = {name: means for name in FINAL if (means := _estimates(dataset, curves, name))}
    references = {name: _reference(dataset, name) for name in estimates}
    places = results.places
    shown = {method: labels.method_title(method, dataset.methods[method]) for method in curves}

    def draw(figure: Canvas, theme: Theme) -> None:
        (upper,), (lower,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(len(names) * 1.7, 1.1 + 0.17 * len(shown)))
        grid = upper.subplots(len(names), 1, sharex=True, squeeze=False)
        for axes, name in zip(grid.flat, names, strict=True):
            axes.set_ylabel(titles[name].replace(" (", "\n(").replace("Validation ", "Validation\n"), fontsize=8)
            axes.yaxis.set_major_locator(MaxNLocator(5))
            if name in LEVEL:
                axes.axhline(LEVEL[name], color=theme.muted, linewidth=1, linestyle=(0, (5, 3)))
            for method, found in curves.items():
                if name in found:
                    kimg, middle, low, high, _ = zip(*thinned(found[name]), strict=True)
                    colour, marker = theme.colour(places[method]), MARKERS[places[method] % len(MARKERS)]
                    axes.fill_between(kimg, low, high, color=colour, alpha=0.15, linewidth=0)
                    axes.plot(
                        kimg, middle, color=colour, linewidth=1.3, marker=marker, markersize=3.5, markevery=max(1, len(kimg) // 8),
                        label=shown[method],
                    )  # fmt: skip
        grid[-1, 0].set_xlabel("thousand images seen")
        handles = {line.get_label(): line for axes in grid.flat for line in axes.get_lines() if line.get_label() in shown.values()}
        upper.legend(list(handles.values()), list(handles), loc="outside right upper", fontsize=7.5)
        if not estimates:
            return
        final = lower.subplots(1, len(estimates), sharey=True, squeeze=False)
        order = list(shown)[::-1]
        for axes, (name, means) in zip(final.flat, estimates.items(), strict=True):
            axes.set_title(labels.metric_title(name, dataset.judge_of(name)), fontsize=8.5)
            axes.set_yticks(range(len(order)), [shown[method].replace(" (", "\n(") for method in order], fontsize=7.5)
            axes.set_ylim(-0.6, len(order) - 0.4)
            axes.xaxis.set_major_locator(MaxNLocator(3))
            if references[name] is not None:
                axes.axvline(references[name], color=theme.muted, linewidth=1, linestyle=(0, (5, 3)))
            for method, each in means.items():
                axes.errorbar(
                    each.mean, order.index(method), xerr=each.half_width or 0.0, color=theme.colour(places[method]),
                    marker=MARKERS[places[method] % len(MARKERS)], markersize=5, elinewidth=1, capsize=2,
                )  # fmt: skip

    rows: list[tuple[object, ...]] = [
        (dataset.name, method, name, *point) for method, found in curves.items() for name, curve in found.items() for point in curve
    ]
    rows += [
        (
            dataset.name, method, name, "", each.mean, *(("", "") if each.half_width is None else
            (each.mean - each.half_width, each.mean + each.half_width)), each.n_seeds,
        )
        for name, means in estimates.items() for method, each in means.items()
    ]  # fmt: skip
    takeaway = _takeaway(dataset, curves, estimates)
    paired = results.params.is_paired(dataset.name)
    watched = "; diversity is that of the first validation outputs, beside as many validation targets" if DIVERSITY in names else ""
    parts = labels.listing([titles[name].split(" (")[0] for name in names])
    return Picture(
        kind="collapse",
        dataset=dataset.name,
        title="What collapse looks like",
        takeaway=takeaway,
        lecture="" if paired else LECTURE,
        claims=() if paired else CLAIMS,
        note=f"Above: median over seeds; band: lowest to highest; D's accuracy weighs real and generated pictures equally{watched}. Below: "
        "final outputs, mean over seeds with its 95% interval; dashed: for recall what real pictures score against real ones, for near "
        "duplicates and Vendi ratio the reals' own, for retrieval@1 chance. "
        "D's accuracy near ½ is no sign of collapse by itself: a good generator brings it, too.",
        alt=f"Line plots for {dataset.name} of {parts} against images seen, above dot plots of "
        f"{labels.listing([labels.metric_title(name, dataset.judge_of(name)) for name in estimates])}. {takeaway}",
        csv=csv_bytes(("dataset", "method", "column", "kimg", "middle", "low", "high", "n"), rows),
        draw=draw,
        size=(8.2, 1.7 * len(names) + 1.1 + 0.17 * len(shown) + 0.4),
    )


def _estimates(dataset: DatasetResult, methods: Iterable[str], name: str) -> dict[str, Estimate]:
    return {method: each for method in methods if (each := dataset.estimate(method, name)) is not None}


def _reference(dataset: DatasetResult, name: str) -> float | None:
    """What reals have of it; chance where there is one."""
    chance = [run.scores["chance"][name] for run in dataset.all_runs if run.ok and name in run.scores.get("chance", {})]
    if chance:
        return float(chance[0])
    floor = dataset.floor_values(name)
    return sum(floor) / len(floor) if floor else None


def _takeaway(dataset: DatasetResult, curves: dict[str, dict[str, Curve]], estimates: dict[str, dict[str, Estimate]]) -> str:
    """Of the method whose outputs are least diverse."""
    diversity = next((found for name in ("vendi_ratio", "recall") if (found := estimates.get(name))), {})
    method = min(diversity or curves, key=lambda method: diversity[method].mean if diversity else 0.0)
    parts = [f"D is right for {stats.format_number(100 * curves[method][ACCURACY][-1][1], 0)}% at the end"]
    for name, found in estimates.items():
        if method in found:
            reference = _reference(dataset, name)
            places = metric_of(name).decimals
            whose = "chance" if name == "retrieval" else "reals"
            beside = "" if reference is None else f" ({whose} {stats.format_number(reference, places)})"
            parts.append(f"{labels.metric_title(name, dataset.judge_of(name))} {stats.format_number(found[method].mean, places)}{beside}")
    least = "is the least diverse of the methods with a discriminator" if len(curves) > 1 else "trains against a discriminator"
    return f"{labels.method_title(method, dataset.methods[method])} {least}: {'; '.join(parts)}."


COLLAPSE = Figure(kind="collapse", make=collapse)
