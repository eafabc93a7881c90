"""A measure is a metric seen through one network: what has a value, a row and a column. Imports no torch.

Its key is the metric's name; through another judge than the one that leads, or another LPIPS than the first, the network's name follows
behind a colon: ``kid``, ``kid:inception-2015``, ``lpips:vgg``.
"""

from __future__ import annotations

from dataclasses import dataclass

from cgm.evaluation.lpips import judge_name
from cgm.evaluation.metrics import METRICS
from cgm.evaluation.metrics.metric import Metric
from cgm.experiment.settings import Evaluation

BETWEEN = ":"


@dataclass(frozen=True, kw_only=True)
class Measure:
    key: str
    metric: Metric
    through: str
    """The network, as ``judge`` in results.csv names it; empty for none."""

    @property
    def leads(self) -> bool:
        """Whether this is its metric's first measure: the one that ranks, the answer and competence are told by."""
        return not network_of(self.key)


def planned(config: Evaluation) -> dict[str, Measure]:
    """Everything that an evaluation measures, by key: metrics in their registry's order, each through its networks in the settings'."""
    found = {}
    for name, metric in METRICS.items():
        through = {"": metric.network}
        if metric.judge == "judge":
            through = {"": config.judge, **{each.name: each.name for each in config.others}}
        elif metric.judge == "lpips":
            variants: list[str] = [each.name for each in config.lpips]
            through = {each if index else "": judge_name(each) for index, each in enumerate(variants)}
        for network, judge in through.items():
            key = key_of(name, network)
            found[key] = Measure(key=key, metric=metric, through=judge)
    return found


def key_of(metric: str, network: str = "") -> str:
    """``network``: empty for the one that leads."""
    return f"{metric}{BETWEEN}{network}" if network else metric


def name_of(key: str) -> str:
    """The metric's name in a key."""
    return key.partition(BETWEEN)[0]


def network_of(key: str) -> str:
    """The network in a key; empty for the one that leads."""
    return key.partition(BETWEEN)[2]


def metric_of(key: str) -> Metric:
    return METRICS[name_of(key)]
