"""The verdicts that results allow on the claims of ``claims.yaml``: each test's numbers are looked up here, and judged in
:mod:`cgm.claims.verdict`.

Two sides of a test are compared as tables compare methods: seed by seed and image group by image group
(:func:`cgm.evaluation.uncertainty.difference`). A number or a row of the reference stands beside every seed as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cgm.claims.effect import Effect, exact, of_estimate, of_samples, of_shares, of_spreads
from cgm.claims.ledger import Claim, Ledger, Test
from cgm.claims.verdict import Evidence, Looked, Verdict, judge
from cgm.core.registry import nearest
from cgm.evaluation import stats
from cgm.evaluation.filters import FirstLayer, first_layer, generator_of
from cgm.evaluation.lpips import judge_name
from cgm.evaluation.measures import name_of, network_of
from cgm.evaluation.metrics import METRICS
from cgm.evaluation.uncertainty import Measured, difference
from cgm.networks.fixed import FIXED
from cgm.networks.fixed.lpips import TRUNKS
from cgm.report import labels
from cgm.report.competence import competence
from cgm.report.evidence_words import WORDS, amount_and_limit, arm_title, arms, broken_counts, compared_words, links_of, row_title, too_few
from cgm.report.quantities import FILTER_QUANTITIES, QUANTITIES, SPREAD
from cgm.report.ranking import loss
from cgm.report.results import DatasetResult, Results

NETWORKS, TRAINED, RANDOM = "networks", "first_layer", "random_first_layer"
"""The group of the frozen networks, and the arms of claims about them."""
GROUPS = ("paired", "unpaired", "all", NETWORKS)
"""What stands for several datasets."""


class NotTested(Exception):
    """Why a test has no outcome."""


@dataclass(frozen=True)
class Side:
    """One side of a test: a value for each seed, or one number for all of them."""

    name: str
    values: Mapping[int, Measured]
    number: float | None = None


def verdicts(results: Results, ledger: Ledger) -> tuple[Verdict, ...]:
    """One for each claim, in the file's order. Where something is not there, be it a dataset, a method, a metric or enough seeds, it is NOT
    TESTED, with the reason."""
    asked = any(NETWORKS in claim.datasets for claim in ledger.claims)
    layers = {name: first_layer(weights, generator_of(name)) for name, weights in results.filters.items() if asked}
    return judge([(claim, [_look(results, layers, claim, name) for name in _datasets(results, claim)]) for claim in ledger.claims])


def mistakes(ledger: Ledger) -> list[str]:
    """A line ``claim: test: what is wrong`` for each test that no experiment can answer: its metric is neither a metric nor a quantity of
    this project (most likely misspelt), or can't be compared in that way. A network that this experiment doesn't look through is no
    mistake."""
    known = [*METRICS, *QUANTITIES, *FILTER_QUANTITIES]
    found = []
    for claim in ledger.claims:
        for place, test in enumerate(claim.tests, start=1):
            named = [name for name in (test.metric, test.against.metric) if name]
            unknown = [name for name in named if not _exists(name.removeprefix(SPREAD), known)]
            found += [f"{claim.id}: test {place}: {name!r}: unknown{nearest(name, known)}" for name in unknown]
            if not unknown and (misfit := _misfit(test)):
                found.append(f"{claim.id}: test {place}: {misfit}")
    return found


def _exists(name: str, known: Collection[str]) -> bool:
    """Whether it is the name of something, be it a metric through a network that this experiment doesn't look through."""
    metric, network = name_of(name), network_of(name)
    if not network:
        return name in known
    networks: Collection[str] = {"judge": FIXED, "lpips": TRUNKS}.get(METRICS[metric].judge, ()) if metric in METRICS else ()
    return network in networks


def _misfit(test: Test) -> str:
    """Why its metric can't be compared in this way, whatever the results; empty where it can."""
    metrics = [name for name in (test.metric, test.against.metric) if name]
    if spread := next((name for name in metrics if name.startswith(SPREAD)), None):
        if len(metrics) > 1 or test.against.arm is None or test.contrast != "ratio" or test.expect == "nearer":
            return f"{spread} is compared as a ratio between two arms, and not otherwise"
        return "" if name_of(spread.removeprefix(SPREAD)) in METRICS else f"{spread}: only a metric has a spread"
    if share := next((name for name in metrics if name in QUANTITIES and QUANTITIES[name].kind == "share"), None):
        otherwise = len(metrics) > 1 or test.against.row is not None or test.contrast != "difference" or test.expect == "nearer"
        return f"{share} is compared by a difference, with another arm or a number, and not otherwise" if otherwise else ""
    if test.expect == "nearer" and (other := next((name for name in metrics if name in QUANTITIES), None)):
        return f"{other} has no target that anything could be nearer to"
    return ""


def _here(dataset: DatasetResult, claim: Claim) -> Claim:
    """The claim with its metrics as this experiment's results call them: through the network that leads in it, ``kid:inception-2015`` is
    ``kid``."""

    def key(name: str) -> str:
        before, metric = (SPREAD, name.removeprefix(SPREAD)) if name.startswith(SPREAD) else ("", name)
        leads, network = dataset.measures.get(name_of(metric)), network_of(metric)
        through = judge_name(network) if network in TRUNKS else network
        return before + (leads.key if leads is not None and network and leads.through == through else metric)

    def test(each: Test) -> Test:
        against = each.against.model_copy(update={"metric": each.against.metric and key(each.against.metric)})
        return each.model_copy(update={"metric": key(each.metric), "against": against})

    return claim.model_copy(update={"tests": [test(each) for each in claim.tests]})


def linked_to(found: Sequence[Verdict], names: Collection[str]) -> tuple[Verdict, ...]:
    """The verdicts with those links alone that lead to one of these tables and figures."""
    return tuple(
        replace(
            verdict,
            findings=tuple(
                replace(finding, links=tuple(link for link in finding.links if link[1].removeprefix("#") in names))
                for finding in verdict.findings
            ),
        )
        for verdict in found
    )


def _datasets(results: Results, claim: Claim) -> list[str]:
    """The datasets of the claim, groups resolved. A name that the experiment doesn't have stays, as does that of an empty group."""
    params = results.params
    groups = {"paired": params.datasets, "unpaired": params.unpaired.datasets, "all": params.all_datasets, NETWORKS: results.filters}
    found = [name for each in claim.datasets for name in (list(groups[each]) if groups.get(each) else [each]) if name not in claim.not_on]
    return list(dict.fromkeys(found))


def _look(results: Results, layers: Mapping[str, FirstLayer], claim: Claim, name: str) -> Looked:
    if NETWORKS in claim.datasets and name in layers:
        links = ((WORDS["filters"], f"#filters-{results.datasets[0].name}"),)
        return Looked(dataset=name, evidence=tuple(_of_filters(layers[name], test) for test in claim.tests), links=links)
    dataset = next((each for each in results.datasets if each.name == name), None)
    if dataset is None:
        return Looked(dataset=name, why_not=f"experiment “{results.params.experiment}” has no such data")
    here = _here(dataset, claim)
    return Looked(
        dataset=name,
        evidence=tuple(_evidence(dataset, here, test) for test in here.tests),
        links=links_of(dataset, here),
    )


def _evidence(dataset: DatasetResult, claim: Claim, test: Test) -> Evidence:
    try:
        if misfit := _misfit(test):
            raise NotTested(misfit)
        left_out, untrained = _left_out(dataset, test), _untrained(dataset, test, claim.competent)
        effect, compared = _effect(dataset, test, claim.min_seeds)
    except NotTested as reason:
        return Evidence(why_not=str(reason))
    amount, limit = amount_and_limit(dataset, test, effect)
    delta = math.log1p(test.delta) if test.contrast == "ratio" else test.delta
    return Evidence(effect=effect, delta=delta, compared=compared, amount=amount, limit=limit, left_out=left_out, untrained=untrained)


def _of_filters(layer: FirstLayer, test: Test) -> Evidence:
    """Of a frozen network's first layer beside random filters of its shape, or a number."""
    if test.metric not in FILTER_QUANTITIES:
        return Evidence(why_not=f"nothing measures {test.metric!r} of filters{nearest(test.metric, FILTER_QUANTITIES)}")
    number, random_too = test.against.value, test.against.arm == RANDOM and test.against.metric is None
    if test.arm != TRAINED or (number is None and not random_too) or test.contrast != "difference" or test.expect == "nearer":
        return Evidence(why_not=f"of filters, {TRAINED} is compared with {RANDOM} or a number, by a difference")
    quantity = FILTER_QUANTITIES[test.metric]
    trained, random = quantity.of(layer)
    if trained.dtype == bool:
        effect = of_shares(trained.tolist(), float(random.mean()) if number is None else number, "filters")
    else:
        effect = of_samples(trained, random.mean(axis=1) if number is None else np.full(2, number), "filters")
    amount = stats.format_interval(stats.Interval(mean=effect.mean, half_width=effect.half_width, n=effect.n_seeds))
    compared = f"{quantity.title}, trained − {'random' if number is None else f'{number:g}'}"
    return Evidence(effect=effect, delta=test.delta, compared=compared, amount=amount, limit=f"{test.delta:g}")


def _effect(dataset: DatasetResult, test: Test, fewest: int) -> tuple[Effect, str]:
    """Of the arm beside the other side, and what was compared, in words."""
    kinds = {QUANTITIES[name].kind if name in QUANTITIES else "measured" for name in (test.metric, test.against.metric) if name}
    kind = kinds.pop() if len(kinds) == 1 else "measured"  # the number of networks beside a measured value is as sure as that is
    if test.metric.startswith(SPREAD):
        return _spread(dataset, test, fewest)
    if kind == "share":
        return _share(dataset, test, fewest)
    one = _side(dataset, test.arm, test.metric)
    other = _other(dataset, test)
    seeds = sorted(one.values if other.number is not None else one.values.keys() & other.values.keys())
    _enough(dataset, test, seeds, 1 if kind == "exact" else fewest)
    transform = _transform(test)
    a = {seed: _apply(transform, one.values[seed]) for seed in seeds}
    if other.number is not None:
        number = transform(other.number)
        b = {seed: Measured(value=number, left_out=[number] * len(a[seed].left_out)) for seed in seeds}
    else:
        b = {seed: _apply(transform, other.values[seed]) for seed in seeds}
    compared = compared_words(dataset, test, other.name)
    if kind == "exact":
        return exact(math.fsum(a[seed].value - b[seed].value for seed in seeds) / len(seeds), len(seeds)), compared
    sizes = dataset.group_sizes
    if any(len(run.left_out) != len(sizes) for side in (a, b) for run in side.values()):
        sizes = sizes[:0]
        a, b = ({seed: replace(run, left_out=()) for seed, run in side.items()} for side in (a, b))
    found = difference(a, b, sizes, "lower")
    assert found is not None  # there are seeds
    return of_estimate(found), compared


def _spread(dataset: DatasetResult, test: Test, fewest: int) -> tuple[Effect, str]:
    metric = test.metric.removeprefix(SPREAD)
    assert test.against.arm is not None  # _misfit has looked
    one, other = _side(dataset, test.arm, metric), _side(dataset, test.against.arm, metric)
    seeds = sorted(one.values.keys() & other.values.keys())
    _enough(dataset, test, seeds, fewest)
    values = [[side.values[seed].value for seed in seeds] for side in (one, other)]
    try:
        return of_spreads(*values), f"spread over seeds of {compared_words(dataset, test, other.name, metric)}"
    except ValueError:
        title = labels.metric_title(metric, dataset.judge_of(metric))
        raise NotTested(f"{title} isn't positive, or doesn't vary from seed to seed: it has no relative spread") from None


def _share(dataset: DatasetResult, test: Test, fewest: int) -> tuple[Effect, str]:
    """Of all runs that ended, well or not."""

    def happened(arm: str) -> list[bool]:
        ended = [run for run in dataset.independent(arm) if run.status in ("ok", "diverged")]
        if len(ended) < fewest:
            raise NotTested(too_few(dataset, [arm], len(ended), fewest))
        return [bool(QUANTITIES[test.metric].of(dataset, run)) for run in ended]

    for arm in (test.arm, test.against.arm):
        if arm is not None:
            _known(dataset, arm)
    other = _other(dataset, test) if test.against.arm is None else Side(arm_title(dataset, test.against.arm), {})
    b = other.number if test.against.arm is None else happened(test.against.arm)
    assert b is not None
    return of_shares(happened(test.arm), b), f"share of runs that {compared_words(dataset, test, other.name)}"


def _side(dataset: DatasetResult, arm: str, metric: str) -> Side:
    """Raises :class:`NotTested` for a method or metric that isn't there; an arm without values has none."""
    _known(dataset, arm)
    title = arm_title(dataset, arm)
    if metric in QUANTITIES:
        found = {run.seed: QUANTITIES[metric].of(dataset, run) for run in dataset.independent(arm) if run.ok}
        return Side(title, {seed: Measured(value=value, left_out=()) for seed, value in found.items() if value is not None})
    if metric not in dataset.measures:
        raise NotTested(f"nothing measures {metric!r}{nearest(metric, [*dataset.measures, *QUANTITIES])}")
    return Side(title, {run.seed: run.measured(metric) for run in dataset.independent(arm) if metric in run.values})


def _other(dataset: DatasetResult, test: Test) -> Side:
    against = test.against
    if against.value is not None:
        return Side(f"{against.value:g}", {}, against.value)
    if against.row is not None:
        return Side(row_title(against.row), {}, _row(dataset, against.row, test))
    return _side(dataset, against.arm or test.arm, against.metric or test.metric)


def _row(dataset: DatasetResult, row: str, test: Test) -> float:
    if row == "chance":
        found = {run.scores.get("chance", {}).get(name_of(test.metric)) for run in dataset.runs[test.arm] if run.ok} - {None}
        if not found:
            raise NotTested(f"no chance level of {test.metric} is known")
        return float(max(found))
    values = [value for reference in dataset.references if reference.key == row for value in reference.values(test.metric)]
    if not values:
        raise NotTested(f"{row_title(row)} has no {test.metric}")
    return math.fsum(values) / len(values)


def _transform(test: Test) -> Callable[[float], float]:
    """What is compared of a value: itself, its logarithm, or its distance from the metric's target."""
    if test.expect == "nearer":
        return lambda value: loss(test.metric, value)
    if test.contrast == "difference":
        return lambda value: value

    def logarithm(value: float) -> float:
        if value <= 0:
            raise NotTested(f"{test.metric} of {value:g} has no ratio; compare differences")
        return math.log(value)

    return logarithm


def _apply(transform: Callable[[float], float], run: Measured) -> Measured:
    return Measured(value=transform(run.value), left_out=[transform(value) for value in run.left_out])


def _known(dataset: DatasetResult, arm: str) -> None:
    if arm not in dataset.methods:
        raise NotTested(f"no entry {arm!r} among the methods that train on it")


def _enough(dataset: DatasetResult, test: Test, seeds: list[int], fewest: int) -> None:
    if len(seeds) < fewest:
        raise NotTested(too_few(dataset, arms(test), len(seeds), fewest, test.metric.removeprefix(SPREAD)))


def _left_out(dataset: DatasetResult, test: Test) -> tuple[str, ...]:
    found = {arm: dataset.independent(arm) for arm in arms(test) if arm in dataset.methods}
    return tuple(f"{arm_title(dataset, arm)}: {broken_counts(runs)}" for arm, runs in found.items() if any(not run.ok for run in runs))


def _untrained(dataset: DatasetResult, test: Test, refused: bool) -> tuple[str, ...]:
    """Arms that were not trained to competence. Raises :class:`NotTested` for one, where it is to be ``refused``."""
    failed = {arm: competence(dataset, arm).failures for arm in arms(test) if arm in dataset.methods}
    for arm, failures in failed.items():
        if failures and refused:
            raise NotTested(f"{arm_title(dataset, arm)} was not trained to competence ({'; '.join(failures)})")
    return tuple(arm_title(dataset, arm) for arm, failures in failed.items() if failures)
