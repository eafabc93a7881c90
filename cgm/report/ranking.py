"""Which method is best on a metric, and which can't be told apart from it."""

from __future__ import annotations

from dataclasses import dataclass

from cgm.evaluation import stats
from cgm.evaluation.metrics import METRICS
from cgm.report.competence import competent
from cgm.report.results import DatasetResult

ALPHA = 0.05
FEWEST = 3
"""Common seeds behind a test; from two, hardly any difference would be significant and everything would pass for tied."""


@dataclass(frozen=True)
class Ranking:
    best: str
    tied: tuple[str, ...]
    """Methods whose paired difference from the best isn't significant at 5% after Holm (not proof of equality), or with the same mean."""
    tested: bool
    """False where no other method shares enough seeds with the best: then only the mean decides."""

    @property
    def winners(self) -> tuple[str, ...]:
        return (self.best, *self.tied)


def loss(name: str, value: float) -> float:
    """What a better method has less of: the value, its negative, or its distance from the target."""
    metric = METRICS[name]
    if metric.target is not None:
        return abs(value - metric.target)
    return value if metric.direction == "lower" else -value


def losses_of(dataset: DatasetResult, metric: str) -> dict[str, dict[int, float]]:
    """:func:`loss` by method and seed, of the methods that were trained to competence and have a value. Empty where the metric isn't one
    to rank by."""
    if not METRICS[metric].ranked:
        return {}
    losses = {
        method: {seed: loss(metric, value) for seed, value in dataset.by_seed(method, metric).items()} for method in competent(dataset)
    }
    return {method: values for method, values in losses.items() if values}


def rank(dataset: DatasetResult, metric: str) -> Ranking | None:
    """Of the methods that were trained to competence. None where none of them has a value, or the metric isn't one to rank by.

    The tests are paired t-tests over common seeds, Holm-adjusted over the other methods.
    """
    losses = losses_of(dataset, metric)
    if not losses:
        return None
    means = {method: stats.t_interval(list(values.values())).mean for method, values in losses.items()}
    best = min(means, key=lambda method: means[method])
    others, p_values = [], []
    for method in losses:
        difference = stats.paired_difference(losses[method], losses[best]) if method != best else None
        if difference is not None and difference.p is not None and difference.n >= FEWEST:
            others.append(method)
            p_values.append(difference.p)
    adjusted = stats.holm(p_values)
    alike = {method for method, p in zip(others, adjusted, strict=True) if p >= ALPHA} | {m for m in means if means[m] == means[best]}
    tied = tuple(method for method in losses if method in alike and method != best)
    return Ranking(best=best, tied=tied, tested=bool(others))
