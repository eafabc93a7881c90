"""Where each loss lands among the plausible pictures of one input."""

from __future__ import annotations

from statistics import fmean

import numpy as np
from matplotlib.figure import Figure as Canvas

from cgm.evaluation.metrics.several import Answers
from cgm.evaluation.stats import format_number
from cgm.report import labels
from cgm.report.figures.ambiguous import ambiguous
from cgm.report.figures.figure import Figure, Picture
from cgm.report.plotting import MARKERS, Theme, csv_bytes, place_labels, readable
from cgm.report.results import DatasetResult, Results

TILT = np.pi / 4
"""By how much the plane of the principal components is turned towards the viewer, so that what leaves it shows."""
FEWEST = 3
"""Different targets that span a plane."""
DIGITS = 6
"""After the point."""
WHERE = {"mean_distance": "the mean of the plausible pictures", "median_distance": "their median", "mode_distance": "one of them"}


def manifold(results: Results, dataset: DatasetResult) -> Picture | None:
    """The targets of one input in two principal components, their mean and median, and each method's outputs, a dot a seed and sample.
    None where no input has three different targets or more."""
    found = ambiguous(dataset)
    if not found or dataset.prepared is None:
        return None
    rows = found[0]
    answers = Answers.of(dataset.prepared.rgb("test", "B")[rows])
    if len(answers.modes) < FEWEST:
        return None
    axes_of = _axes(answers)

    def placed(pictures: np.ndarray) -> np.ndarray:
        """n×P → n×2, in units of the targets' spread. The last digits hang on the threads that added up, and are cut off."""
        return np.round((pictures - answers.mean) @ axes_of / (answers.spread * np.sqrt(answers.mean.size)), DIGITS) + 0.0

    modes, weights = placed(answers.modes), np.bincount(answers.mode_of) / len(rows)
    median = placed(answers.median[None])[0]
    dots: dict[str, list[tuple[int, int, float, float]]] = {}
    for method, runs in dataset.runs.items():
        for run in runs:
            outputs = run.outputs()
            if outputs is not None:
                where = placed(outputs[:, rows[0]].reshape(len(outputs), -1) / 255)
                dots.setdefault(method, []).extend((run.seed, sample, float(x), float(y)) for sample, (x, y) in enumerate(where))
    places = results.places
    named = {method: all_[0][2:] for method, all_ in dots.items()}

    def draw(figure: Canvas, theme: Theme) -> None:
        axes = figure.add_subplot()
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("first principal component of the targets (their spread = 1)")
        axes.set_ylabel("second one, tilted towards the median")
        axes.set_title(dataset.name)
        axes.margins(0.12)
        for mode in modes:
            axes.plot(*zip((0.0, 0.0), mode, strict=True), color=theme.grid, linewidth=1.2, zorder=1)
        axes.scatter(modes[:, 0], modes[:, 1], s=60 + 900 * weights, color=theme.muted, alpha=0.45, linewidths=0, zorder=2)
        axes.plot(0, 0, "P", color=theme.ground, markersize=12, markeredgecolor=theme.ink, markeredgewidth=1.3, zorder=3)
        axes.plot(*median, "d", color=theme.ground, markersize=10, markeredgecolor=theme.ink, markeredgewidth=1.3, zorder=3)
        for method, all_ in dots.items():
            colour, marker = theme.colour(places[method]), MARKERS[places[method] % len(MARKERS)]
            for first, size, alpha in ((False, 3.5, 0.5), (True, 6.5, 0.95)):
                chosen = [(x, y) for _, sample, x, y in all_ if (sample == 0) == first]
                if chosen:
                    axes.plot(*zip(*chosen, strict=True), marker, color=colour, markersize=size, alpha=alpha, markeredgewidth=0, zorder=4)
        anchors = [*map(tuple, modes.tolist()), (0.0, 0.0), (float(median[0]), float(median[1])), *named.values()]
        texts = [f"{100 * weight:.0f}% of targets" for weight in weights] + ["mean", "median"]
        texts += [labels.method_title(method, dataset.methods[method]) for method in named]
        colours = [theme.muted] * len(weights) + [theme.ink] * 2 + [readable(theme.colour(places[method]), theme) for method in named]
        place_labels(axes, anchors, texts, colours, [(x, y) for all_ in dots.values() for _, _, x, y in all_], theme)

    listed: list[tuple[object, ...]] = [
        (dataset.name, kind, name, "", "", weight, float(x), float(y))
        for kind, name, weight, (x, y) in [
            *(
                ("target", f"mode {place + 1}", float(weight), mode)
                for place, (weight, mode) in enumerate(zip(weights, modes, strict=True))
            ),
            ("centre", "mean", "", np.zeros(2)),
            ("centre", "median", "", median),
        ]
    ]
    listed += [(dataset.name, "output", method, seed, sample, "", x, y) for method, all_ in dots.items() for seed, sample, x, y in all_]
    takeaway = _takeaway(dataset)
    titles = labels.listing([labels.method_title(method, dataset.methods[method]) for method in dots])
    prepared = dataset.prepared
    name = prepared.labels("test", "A")[rows[0]] or prepared.ids("test", "A")[rows[0]]
    return Picture(
        kind="manifold",
        dataset=dataset.name,
        title="Where each loss lands among the plausible pictures of one input",
        takeaway=takeaway,
        note=f"One input ({name}), which stands in the test set with {len(answers.modes)} different targets: grey discs, the larger the "
        "more frequent. Large marks: a seed's first output; small ones: its further samples; a label stands at the first seed. Axes: "
        "the two principal components of the targets; their plane is turned by 45° about the first, so that the median, which lies off it, "
        "is seen beside the mean. What an output has wrong in other directions doesn't show here; the distances in the table hold all.",
        alt=f"Scatter plot for {dataset.name}: the targets of one input, their mean and median, and the outputs of {titles}. {takeaway}",
        csv=csv_bytes(("dataset", "kind", "name", "seed", "sample", "weight", "first", "second"), listed),
        draw=draw,
        size=(8.2, 6.0),
    )


def _axes(answers: Answers) -> np.ndarray:
    """P×2, orthonormal: the first principal component of the targets; and the second one, turned by :data:`TILT` towards the direction in
    which the median leaves the plane of both (not turned where it doesn't leave it)."""
    targets = answers.modes[answers.mode_of] - answers.mean
    _, _, components = np.linalg.svd(targets, full_matrices=False)
    signs = [np.sign(one[np.abs(one).argmax()]) for one in components[:2]]
    first, second = (sign * one for sign, one in zip(signs, components, strict=False))
    left = answers.median - answers.mean
    left = left - (left @ first) * first - (left @ second) * second
    length = float(np.linalg.norm(left))
    if length > 1e-6 * np.sqrt(left.size):
        second = np.cos(TILT) * second + np.sin(TILT) * left / length
    return np.stack([first, second], axis=1)


def _takeaway(dataset: DatasetResult) -> str:
    """Over all inputs that have several targets: which method is nearest to what."""
    parts = []
    for metric, what in WHERE.items():
        means = {method: fmean(values.values()) for method in dataset.methods if (values := dataset.by_seed(method, metric))}
        if means:
            best = min(means, key=lambda method: means[method])
            parts.append(f"{labels.method_title(best, dataset.methods[best])} is nearest to {what} ({format_number(means[best], 2)})")
    return f"{labels.listing(parts)}, where 1 is the targets' own distance from their mean." if parts else "Nothing has been evaluated yet."


MANIFOLD = Figure(kind="manifold", make=manifold, group="plane")
