"""x → G(x) → F(G(x)), and what becomes of it when G(x) gets noise: whether G hides its input in its output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure as Canvas

from cgm.evaluation import stats
from cgm.evaluation.round_trip import RoundTrip
from cgm.report import labels
from cgm.report.figures.figure import Figure, Picture
from cgm.report.figures.mosaic import mosaic, place
from cgm.report.plotting import MARKERS, Theme, csv_bytes
from cgm.report.results import DatasetResult, Results

LECTURE = "Cycle consistency keeps the content without supervision."
CLAIMS = ("cycle-keeps-content", "cycle-nears-the-hidden-target")
SIDE, COLOURS = 64, 256
"""Of a picture, and of all pictures of a method."""
LEAST = 1
"""The place of the least noise among the levels."""
CURVES = ("error", "moved", "moved_real")
TITLES = {"error": "F(G(x) + noise), off x", "moved": "F(G(x) + noise), off F(G(x))", "moved_real": "F(y + noise), off F(y), y real"}


@dataclass(frozen=True)
class Found:
    """Of one method: its first seed's pictures, and each curve's interval over seeds, by level."""

    levels: list[float]
    first: RoundTrip
    seed: int
    curves: dict[str, list[stats.Interval]]
    gain: stats.Interval
    """moved ÷ the noise, at the least noise: above 1, F amplifies it."""
    ratio: stats.Interval
    """moved ÷ moved_real there: above 1, G(x) is more fragile than real pictures are."""


def round_trip(results: Results, dataset: DatasetResult) -> Picture | None:
    """The methods that have a way back. None where there is none."""
    prepared = dataset.prepared
    found = {method: each for method in dataset.methods if (each := _found(dataset, method)) is not None}
    if prepared is None or not found:
        return None
    levels = next(iter(found.values())).levels
    headings = ["x", "G(x)", "F(G(x))", *(f"+ {level:g}" for level in levels[1:])]
    places = results.places
    titles = {method: labels.method_title(method, dataset.methods[method]) for method in found}
    sheets = {method: _sheet(each, prepared.rgb("test", "A")) for method, each in found.items()}
    rows = {method: len(each.first.shown) for method, each in found.items()}

    def draw(figure: Canvas, theme: Theme) -> None:
        (upper,), (lower,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(sum(rows.values()) + 0.4 * len(found), 2.6))
        grid = upper.subplots(len(found), 1, squeeze=False)
        for axes, (method, sheet) in zip(grid.flat, sheets.items(), strict=True):
            place(axes, sheet, 0, 0, len(headings), rows[method])
            axes.set_axis_off()
            for column, heading in enumerate(headings):
                axes.text(column + 0.5, -0.08, heading, ha="center", va="bottom", fontsize=8.5)
            if len(found) > 1:
                axes.text(-0.1, rows[method] / 2, titles[method], ha="right", va="center", rotation=90, fontsize=8.5)
            axes.set_xlim(0, len(headings))
            axes.set_ylim(rows[method], -0.35)
        left, right = lower.subplots(1, 2)
        left.set_ylabel("RMSE, grey levels")
        for axes, names in ((left, CURVES[:1]), (right, CURVES[1:])):
            axes.set_xlabel("noise on the picture before F, grey levels")
            axes.set_xticks(levels, [f"{level:g}" for level in levels])
            for method, each in found.items():
                whose = f"{titles[method]}: " if len(found) > 1 else ""
                for name, style, fill in zip(names, ("-", (0, (4, 2))), ("full", "none"), strict=False):
                    axes.errorbar(
                        levels, [point.mean for point in each.curves[name]], [point.half_width or 0.0 for point in each.curves[name]],
                        color=theme.colour(places[method]), marker=MARKERS[places[method] % len(MARKERS)], markersize=4.5, linewidth=1.3,
                        linestyle=style, fillstyle=fill, elinewidth=0.9, capsize=2.5, label=whose + TITLES[name],
                    )  # fmt: skip
            axes.set_ylim(bottom=0)
            axes.legend(fontsize=7.5, handlelength=3)

    takeaway = " ".join(_sentence(titles[method], each) for method, each in found.items())
    return Picture(
        kind="round_trip",
        dataset=dataset.name,
        title="There and back",
        takeaway=takeaway,
        lecture=LECTURE,
        claims=CLAIMS,
        note=f"Pictures: {labels.listing(headings[:3])}, and F of G(x) with noise of so many grey levels (standard deviation); the "
        f"{max(rows.values())} test items whose ids have the smallest SHA-256, of each method's first seed that is ok. Curves: root mean "
        "square over pixels, mean over test images, then over seeds with its 95% interval. A generator that hides its input in its output "
        "as a faint signal loses it with the least noise: noise on G(x) then moves F's output far more than noise on real pictures does.",
        alt=f"For {dataset.name}: {max(rows.values())} test items, what {labels.listing(list(titles.values()))} makes of them and what it "
        f"makes of that again, without and with noise; below, line plots of the error against the noise. {takeaway}",
        csv=csv_bytes(
            ("dataset", "method", "noise", "column", "mean", "half_width", "n"),
            [
                (dataset.name, method, level, name, point.mean, "" if point.half_width is None else point.half_width, point.n)
                for method, each in found.items()
                for name, curve in each.curves.items()
                for level, point in zip(each.levels, curve, strict=True)
            ],
        ),
        draw=draw,
        size=(8.2, 8.2 / len(headings) * sum(rows.values()) + 0.35 * len(found) + 2.6),
    )


def _found(dataset: DatasetResult, method: str) -> Found | None:
    trips = {run.seed: trip for run in dataset.runs[method] if (trip := run.round_trip()) is not None}
    if not trips:
        return None
    seed, first = next(iter(trips.items()))
    means = {name: np.stack([getattr(trip, name).mean(axis=1, dtype=np.float64) for trip in trips.values()]) for name in CURVES}
    least = means["moved"][:, LEAST]
    return Found(
        levels=first.levels.tolist(),
        first=first,
        seed=seed,
        curves={name: [stats.t_interval(values.tolist()) for values in by_seed.T] for name, by_seed in means.items()},
        gain=stats.t_interval((least / first.levels[LEAST]).tolist()),
        ratio=stats.t_interval((least / means["moved_real"][:, LEAST].clip(1e-12)).tolist()),
    )


def _sheet(found: Found, x: np.ndarray) -> np.ndarray:
    """Items as rows: x, ŷ, x′ at each level; grey ones three times over."""
    pictures = [np.asarray(x[found.first.shown]), *(np.broadcast_to(each, (*each.shape[:3], 3)) for each in found.first.pictures)]
    return mosaic([[column[row] for column in pictures] for row in range(len(found.first.shown))], SIDE, COLOURS)


def _sentence(title: str, found: Found) -> str:
    error, moved, real = (found.curves[name] for name in CURVES)
    level = found.levels[LEAST]
    if found.ratio.half_width is None:
        verdict = "one seed can't tell whether anything is hidden"
    elif _above_one(found.ratio):
        verdict = "G(x) holds something of x that noise destroys and no viewer sees"
    elif _above_one(found.gain):
        verdict = "F amplifies what no viewer sees, as it must to read a hidden signal"
    else:
        verdict = "no sign of a copy of x that is hidden in G(x)"
    return (
        f"{title}: F(G(x)) is off x by {stats.format_interval(error[0], 1)} grey levels; noise of {level:g} on G(x) moves it by "
        f"{stats.format_number(moved[LEAST].mean, 2)}, and F's output for a real picture by {stats.format_number(real[LEAST].mean, 2)}: "
        f"{verdict}."
    )


def _above_one(found: stats.Interval) -> bool:
    return found.half_width is not None and found.mean - found.half_width > 1


ROUND_TRIP = Figure(kind="round_trip", make=round_trip)
