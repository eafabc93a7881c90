"""The answer in words, made from the numbers."""

from __future__ import annotations

from cgm import stats
from cgm.report import labels
from cgm.report.ranking import rank
from cgm.report.results import DatasetResult

AXES = {
    "Fidelity": "mae",
    "Realism": "kid",
    "Diversity": "coverage",
    "Conditioning": "retrieval",
    "Colour": "colourfulness_ratio",
}
"""One metric speaks for each axis."""
NAMED = 3
"""More methods than this, not told apart from the best, are counted and not named."""


def answer(dataset: DatasetResult) -> list[tuple[str, str]]:
    """(axis, sentence) for each axis with a value. Empty where nothing was evaluated."""
    sentences = []
    for axis, metric in AXES.items():
        ranking = rank(dataset, metric)
        if ranking is None:
            continue
        best = labels.method_title(ranking.best, dataset.methods[ranking.best])
        title = labels.scaled_title(metric, dataset.judge_of(metric))
        sentence = f"{best} ({title} {_interval(dataset, ranking.best, metric)})"
        if ranking.tied:
            named = [labels.method_title(method, dataset.methods[method]) for method in ranking.tied]
            others = labels.listing(named) if len(named) <= NAMED else f"{len(named)} others"
            sentence += f", not told apart from {others}"
        elif ranking.tested:
            sentence += ", ahead of all others"
        if floor := dataset.reference_values("floor:real", metric):
            scale = labels.SCALES.get(metric, 1.0)
            mean = stats.t_interval([value * scale for value in floor]).mean
            sentence += f"; real images score {stats.format_number(mean, labels.most_decimals(metric))}"
        sentences.append((axis, f"{sentence}."))
    return sentences


def opening(dataset: DatasetResult) -> str:
    """Whether one method leads everywhere."""
    best = {ranking.best for metric in AXES.values() if (ranking := rank(dataset, metric))}
    return "one method has the best mean on every axis" if len(best) == 1 else "which method is best depends on what is asked"


def _interval(dataset: DatasetResult, method: str, metric: str) -> str:
    scale = labels.SCALES.get(metric, 1.0)
    interval = stats.t_interval([value * scale for value in dataset.by_seed(method, metric).values()])
    places = labels.most_decimals(metric)
    if interval.half_width:
        places = min(places, stats.decimals(interval.half_width))
    return stats.format_interval(interval, places)
