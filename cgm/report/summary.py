"""The answer in words, made from the numbers."""

from __future__ import annotations

from cgm.evaluation import stats
from cgm.evaluation.measures import metric_of
from cgm.report import labels
from cgm.report.competence import competence
from cgm.report.ranking import Ranking, loss, rank
from cgm.report.results import DatasetResult

AXES = {
    "Fidelity": "mae",
    "Realism": "kid",
    "Diversity": "coverage",
    "Conditioning": "retrieval",
    "Colour": "colourfulness_ratio",
}
"""One metric speaks for each axis."""
FEWEST = 2
"""Validation pictures without which competence is not tested (:func:`cgm.evaluation.competence.measure`)."""
NAMED = 3
"""More methods than this, as good as the best, are counted and not named."""


def answer(dataset: DatasetResult) -> list[tuple[str, str]]:
    """(axis, sentence) for each axis with a value. Empty where nothing was evaluated."""
    sentences = []
    for axis, metric in AXES.items():
        ranking = rank(dataset, metric)
        if ranking is None:
            continue
        best = labels.method_title(ranking.best, dataset.methods[ranking.best])
        title = labels.scaled_title(metric, dataset.judge_of(metric))
        sentence = f"{best} ({title} {interval_text(dataset, ranking.best, metric)})"
        sentence += "".join(f", {clause}" for clause in beside(dataset, ranking))
        if floor := dataset.floor_values(metric):
            scale = metric_of(metric).scale
            mean = stats.t_interval([value * scale for value in floor]).mean
            sentence += f"; real images score {stats.format_number(mean, metric_of(metric).decimals)}"
        if untrained := _better_untrained(dataset, metric, ranking.best):
            sentence += f"; but what needs no training scores better: {untrained}"
        sentences.append((axis, f"{sentence}."))
    return sentences


def opening(dataset: DatasetResult) -> str:
    """Whether one method leads everywhere among those that were trained to competence, and who was not. Empty: nothing was evaluated."""
    if not any(run.values for run in dataset.all_runs):
        return ""
    best = {ranking.best for metric in AXES.values() if (ranking := rank(dataset, metric))}
    if not best:
        return "no method was trained to competence, so none is called best"
    sentence = "one method has the best mean on every axis" if len(best) == 1 else "which method is best depends on what is asked"
    tests = {method: competence(dataset, method) for method, runs in dataset.runs.items() if any(run.values for run in runs)}
    untested = [method for method, test in tests.items() if not test.tested]
    if untested and len(untested) == len(tests):
        sentence += f"; whether any was trained to competence was not tested{_why_untested(dataset)}, so all take part"
    elif untested:
        sentence += f"; not tested for competence, and taking part: {labels.titles(dataset.methods, untested)}"
    failed = [method for method, test in tests.items() if not test.passed]
    if not failed:
        return sentence
    return f"{sentence}; not trained to competence, and left out: {labels.titles(dataset.methods, failed)}"


def _why_untested(dataset: DatasetResult) -> str:
    """Where it is the number of validation pictures: `` (val has 1 condition)``."""
    count = dataset.prepared.card["counts"]["val"]["A"] if dataset.prepared else FEWEST
    return "" if count >= FEWEST else f" (val has {labels.plural(count, 'condition')}, and {FEWEST} are needed)"


def _better_untrained(dataset: DatasetResult, metric: str, best: str) -> str:
    """The baselines that beat the best method, with their values. The test targets themselves are none to beat, nor are training pictures
    where what is asked is to look like them."""
    mean = stats.t_interval([loss(metric, value) for value in dataset.by_seed(best, metric).values()]).mean
    scale, places = metric_of(metric).scale, metric_of(metric).decimals
    not_counted = ["target", *(["nearest_neighbour"] if metric_of(metric).group in ("distribution", "diversity") else [])]
    found = [
        f"{labels.reference_title(baseline.name).lower()} ({stats.format_number(value * scale, places)})"
        for baseline in dataset.baselines
        for value in baseline.values(metric)
        if baseline.name not in not_counted and loss(metric, value) < mean
    ]
    return labels.listing(found)


def beside(dataset: DatasetResult, ranking: Ranking) -> list[str]:
    """Clauses on the other methods: which are as good as the best, and how sure its lead is."""
    clauses = []
    if ranking.near:
        count = len(ranking.near)
        others = labels.titles(dataset.methods, ranking.near) if count <= NAMED else f"{count} others"
        clauses.append(f"with {others} as good for all that matters")
    if ranking.ahead:
        clauses.append("surely ahead of all others")
    elif ranking.confidence is not None:
        first = labels.method_title(ranking.first, dataset.methods[ranking.first])
        sure = "above 0.99" if ranking.confidence > 0.99 else stats.format_number(ranking.confidence, 2)
        clauses.append(f"better than {first} with probability {sure}")
    elif ranking.first:
        clauses.append("by the mean alone: one training and no groups of images say nothing of chance")
    return clauses


def interval_text(dataset: DatasetResult, method: str, metric: str) -> str:
    """Mean ± half-width, as the tables show a metric: scaled, and with no more decimals than the interval deserves."""
    scale = metric_of(metric).scale
    found = dataset.estimate(method, metric)
    if found is None:
        return "–"
    half_width = None if found.half_width is None else found.half_width * scale
    interval = stats.Interval(mean=found.mean * scale, half_width=half_width, n=found.n_seeds)
    places = metric_of(metric).decimals
    if interval.half_width:
        places = min(places, stats.decimals(interval.half_width))
    return stats.format_interval(interval, places)
