"""Where an interval's width comes from: whether more seeds or more test images would narrow it."""

from __future__ import annotations

from statistics import median

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import PercentFormatter

from cgm.report import labels
from cgm.report.figures.figure import Figure, Picture
from cgm.report.plotting import MARKERS, Theme, csv_bytes
from cgm.report.results import DatasetResult, Results
from cgm.report.summary import AXES


def variance(results: Results, dataset: DatasetResult) -> Picture | None:
    """The seeds' share of the variance, for the metrics that speak for the axes of the answer. None where there is one seed, or nothing was
    left out."""
    shares: dict[str, dict[str, float]] = {}
    for key in AXES.values():
        for method in dataset.methods:
            found = dataset.estimate(method, key)
            if found is not None and found.over == "seeds and images" and found.seed_share is not None:
                shares.setdefault(key, {})[method] = found.seed_share
    if not shares:
        return None
    places = results.places
    titles = {key: labels.metric_title(key, dataset.judge_of(key)) for key in shares}
    order = sorted(shares, key=lambda key: median(shares[key].values()))

    def draw(figure: Canvas, theme: Theme) -> None:
        axes = figure.add_subplot()
        axes.set_xlim(-0.02, 1.02)
        axes.set_yticks(range(len(order)), [titles[key] for key in order])
        axes.axvline(0.5, color=theme.muted, linewidth=1, linestyle=(0, (5, 3)))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel("seeds' share of the variance        ← more images would help          more seeds would help →")
        for row, key in enumerate(order):
            axes.plot(2 * [median(shares[key].values())], [row - 0.32, row + 0.32], color=theme.ink, linewidth=1.6)
        for method in dataset.methods:
            points = [(shares[key][method], row) for row, key in enumerate(order) if method in shares[key]]
            if points:
                axes.plot(
                    *zip(*points, strict=True), linestyle="none", marker=MARKERS[places[method] % len(MARKERS)], markersize=4.5,
                    color=theme.colour(places[method]), alpha=0.85, label=labels.method_title(method, dataset.methods[method]),
                )  # fmt: skip
        figure.legend(loc="outside lower center", ncols=4)

    takeaway = _takeaway(shares, titles)
    return Picture(
        kind="variance",
        dataset=dataset.name,
        title="What would narrow the intervals",
        takeaway=takeaway,
        note="A mean in the tables varies with the training seeds and with the test images; both parts are estimated from "
        "the runs (docs/metrics.md). A mark: one method; a bar: the median method. To halve an interval takes four times as many of both; "
        "more of that with the small share hardly helps.",
        alt=f"Dot plot for {dataset.name}: the seeds' share of the variance of {labels.listing([titles[key] for key in order[::-1]])}. "
        f"{takeaway}",
        csv=csv_bytes(
            ("dataset", "method", "metric", "seed_share"),
            [(dataset.name, method, key, share) for key, found in shares.items() for method, share in found.items()],
        ),
        draw=draw,
        size=(8.2, 1.6 + 0.32 * len(order)),
    )


def _takeaway(shares: dict[str, dict[str, float]], titles: dict[str, str]) -> str:
    middle = {key: median(found.values()) for key, found in shares.items()}
    seeds = [titles[key] for key in middle if middle[key] > 0.5]
    images = [titles[key] for key in middle if middle[key] <= 0.5]
    parts = [
        f"{'more seeds' if kind == 'seeds' else 'more test images'} would narrow the intervals of {labels.listing(names)} most"
        for kind, names in (("seeds", seeds), ("images", images))
        if names
    ]
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]} (in the median method)."


VARIANCE = Figure(kind="variance", make=variance)
