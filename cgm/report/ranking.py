"""Which method is best on a measure, which are as good for all that matters, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from cgm.evaluation import stats
from cgm.evaluation.measures import metric_of
from cgm.evaluation.uncertainty import Difference, Measured, difference, leaders, margin
from cgm.report.competence import competent
from cgm.report.results import DatasetResult

ALPHA = 0.05


@dataclass(frozen=True)
class Ranking:
    best: str
    near: tuple[str, ...]
    """Methods whose mean is worse by no more than the margin, best first."""
    margin: float
    """In the measure's own unit: a tenth of the distance from the best mean to the nearest reference (:func:`margin`)."""
    first: str
    """The best of the other methods; empty where there is none."""
    confidence: float | None
    """The probability that the best is truly better than ``first``, for new seeds and images; None where it can't be told."""
    ahead: bool
    """Whether the best differs from every other method: p < 5%, Holm-adjusted over all pairs of methods."""

    ranked: int
    """How many methods take part."""

    @property
    def winners(self) -> tuple[str, ...]:
        return (self.best, *self.near)

    @property
    def bold(self) -> tuple[str, ...]:
        """What is set in bold: the winners; nothing where every one of several methods is a winner, which tells none from another."""
        return () if self.ranked == len(self.winners) > 1 else self.winners


def loss(key: str, value: float) -> float:
    """What a better method has less of: the value, its negative, or its distance from the target."""
    metric = metric_of(key)
    if metric.target is not None:
        return abs(value - metric.target)
    return value if metric.direction == "lower" else -value


def losses_of(dataset: DatasetResult, key: str) -> dict[str, dict[int, float]]:
    """:func:`loss` by method and seed, of the methods that were trained to competence and have a value. Empty where the measure isn't one
    to rank by."""
    found = _losses(dataset, key, competent(dataset))
    return {method: {seed: run.value for seed, run in runs.items()} for method, runs in found.items()}


def between(dataset: DatasetResult, key: str, one: str, other: str) -> Difference | None:
    """:func:`loss` of ``one`` less that of ``other``, whether they were trained to competence or not. None where no seed has both, or the
    measure isn't one to rank by."""
    return _differences(_losses(dataset, key, (one, other)), dataset.group_sizes, [(one, other)]).get((one, other))


def _losses(dataset: DatasetResult, key: str, methods: Iterable[str]) -> dict[str, dict[int, Measured]]:
    if not metric_of(key).ranked:
        return {}
    found = {}
    for method in methods:
        runs = {run.seed: run.measured(key) for run in dataset.independent(method) if key in run.values}
        if runs:
            found[method] = {
                seed: replace(run, value=loss(key, run.value), left_out=[loss(key, value) for value in run.left_out])
                for seed, run in runs.items()
            }
    return found


def rank(dataset: DatasetResult, key: str) -> Ranking | None:
    """Of the methods that were trained to competence. None where none of them has a value, or the measure isn't one to rank by."""
    losses = _losses(dataset, key, competent(dataset))
    if not losses:
        return None
    means = {method: stats.t_interval([run.value for run in runs.values()]).mean for method, runs in losses.items()}
    best, *others = sorted(means, key=lambda method: means[method])
    within = margin(means[best], _references(dataset, key))
    near = [method for method in leaders(means, within, "lower") if method != best]
    each_pair = [(one, other) for one in losses for other in losses if one < other]  # the other way round p is the same
    pairs = _differences(losses, dataset.group_sizes, [*each_pair, *((best, other) for other in others[:1])])
    return Ranking(
        best=best,
        near=tuple(near),
        margin=within,
        first=others[0] if others else "",
        confidence=pairs[best, others[0]].confidence() if others and (best, others[0]) in pairs else None,
        ahead=bool(others) and _ahead(best, others, pairs),
        ranked=len(means),
    )


def _references(dataset: DatasetResult, key: str) -> list[float]:
    """The losses of a perfect method (real images against real ones, where they can be compared; else the test targets themselves), and of
    what needs no training."""
    found = {reference.name: reference.values(key) for reference in dataset.baselines}
    perfect = dataset.floor_values(key) or found.pop("target", [])
    found.pop("target", None)
    means = [[stats.t_interval(perfect).mean]] if perfect else []
    return [loss(key, value) for values in (*means, *found.values()) for value in values]


def _differences(
    losses: Mapping[str, Mapping[int, Measured]], sizes: np.ndarray, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Difference]:
    """Of these pairs of methods, as far as both have values; over seeds alone where something was not left out."""
    if any(len(run.left_out) != len(sizes) for runs in losses.values() for run in runs.values()):
        sizes = sizes[:0]
    cut = {
        method: {seed: replace(run, left_out=run.left_out[: len(sizes)]) for seed, run in runs.items()} for method, runs in losses.items()
    }
    found = {}
    for one, other in pairs:
        if one in cut and other in cut and (apart := difference(cut[one], cut[other], sizes, "lower")) is not None:
            found[one, other] = apart
    return found


def _ahead(best: str, others: list[str], pairs: Mapping[tuple[str, str], Difference]) -> bool:
    every = [pair for pair in pairs if pair[0] < pair[1]]
    values = [pairs[pair].p for pair in every]
    if any(value is None for value in values):
        return False
    adjusted = dict(zip(every, stats.holm([value for value in values if value is not None]), strict=True))
    return all(adjusted.get((min(best, other), max(best, other)), 1.0) < ALPHA for other in others)
