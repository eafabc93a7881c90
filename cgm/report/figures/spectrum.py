"""The outputs' radial power spectrum beside the targets'. Blur shows as a fall at the right end, artefacts as peaks."""

from __future__ import annotations

import math
from statistics import median

from matplotlib.figure import Figure as Canvas

from cgm.evaluation import stats
from cgm.evaluation.metrics.spectrum import ENERGY_EPSILON
from cgm.report import charts, labels
from cgm.report.competence import competent
from cgm.report.figures.figure import Figure, Picture
from cgm.report.plotting import MARKERS, Theme, csv_bytes
from cgm.report.results import DatasetResult, Results, RunResult

Curve = list[tuple[float, float, float, float, int]]
"""Frequency in cycles/px; median, lowest and highest over seeds of log₁₀ (power of outputs ÷ power of targets), as in
:func:`cgm.evaluation.metrics.spectrum_distance.profile_distance`; n."""


def spectrum(results: Results, dataset: DatasetResult) -> Picture | None:
    """None where no run has a spectrum."""
    curves = {method: curve for method, runs in dataset.runs.items() if (curve := _curve(runs))}
    if not curves:
        return None
    places = results.places
    titles = {method: labels.method_title(method, dataset.methods[method]) for method in curves}

    def draw(figure: Canvas, theme: Theme) -> None:
        axes = figure.add_subplot()
        axes.set_title(dataset.name)
        axes.set_xlabel("cycles per pixel")
        axes.set_ylabel("log₁₀ power, outputs ÷ targets  →0")
        axes.axhline(0, color=theme.muted, linewidth=1, linestyle=(0, (5, 3)))
        for method, curve in curves.items():
            frequency, middle, low, high, _ = zip(*curve, strict=True)
            colour, marker = theme.colour(places[method]), MARKERS[places[method] % len(MARKERS)]
            axes.fill_between(frequency, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(
                frequency, middle, color=colour, linewidth=1.4, marker=marker, markersize=4, markevery=max(1, len(curve) // 8),
                label=titles[method],
            )  # fmt: skip
        figure.legend(loc="outside lower center", ncols=4)

    chart = charts.curves(
        "log₁₀ power, outputs ÷ targets →0",
        "cycles per pixel",
        [(charts.key(titles[method], places[method], method), curve) for method, curve in curves.items()],
        rules=[(charts.Key(label="Targets", colour=charts.MUTED, symbol=charts.LINE), 0.0)],
        wide=True,
    )
    size = (8.2, 4.6)
    rows = [(dataset.name, method, *point) for method, curve in curves.items() for point in curve]
    numbers = csv_bytes(("dataset", "method", "frequency", "median", "lowest", "highest", "n"), rows)
    distance = {method: math.sqrt(sum(middle**2 for _, middle, *_ in curve) / len(curve)) for method, curve in curves.items()}
    nearest = min([method for method in competent(dataset) if method in distance] or distance, key=lambda method: distance[method])
    finest = {method: curve[-1][1] for method, curve in curves.items()}
    bluntest = min(finest, key=lambda method: finest[method])
    takeaway = (
        f"{titles[nearest]} has the spectrum nearest to the targets' ({stats.format_number(distance[nearest], 2)} decades, RMS); "
        f"at the finest detail {titles[bluntest]} has {stats.format_number(100 * 10 ** finest[bluntest], 0)}% of their power"
        f"{', the least' if len(curves) > 1 else ''}."
    )
    return Picture(
        kind="spectrum",
        dataset=dataset.name,
        title="Radial power spectrum",
        takeaway=takeaway,
        note="Line: median over seeds; band: lowest to highest; dashed: the targets. Below it detail is missing, above it there is "
        "detail that the targets don't have.",
        alt=f"Line plot for {dataset.name}: power of the outputs ÷ power of the targets against spatial frequency, one line for each of "
        f"{labels.listing(list(titles.values()))}. {takeaway}",
        csv=numbers,
        charts=(chart,),
        draw=draw,
        size=size,
    )


def _curve(runs: list[RunResult]) -> Curve:
    found: dict[float, list[float]] = {}
    for run in runs:
        profiles = run.scores.get("spectrum") if run.ok else None
        if profiles:
            for frequency, output, target in zip(profiles["frequencies"], profiles["outputs"], profiles["targets"], strict=True):
                found.setdefault(frequency, []).append(math.log10((output + ENERGY_EPSILON) / (target + ENERGY_EPSILON)))
    return [(frequency, median(values), min(values), max(values), len(values)) for frequency, values in sorted(found.items())]


SPECTRUM = Figure(kind="spectrum", make=spectrum)
