"""The report's tables: main, further metrics, cost and stability of each dataset."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import fmean, median
from typing import Any

from cgm import stats
from cgm.metrics import METRICS
from cgm.report import facts, labels, stability
from cgm.report.ranking import ALPHA, FEWEST, Ranking, rank
from cgm.report.results import BROKEN, STATUSES, DatasetResult, Results, RunResult
from cgm.report.tables import Cell, Column, Row, Table

KIN = "†"
SAMPLED = "kid"
"""The metric whose interval over images each evaluation measures."""
CURVES = ("pd", "mae")
"""Validation metrics that may say how soon a training was nearly done, the preferred one first; of each lower is better."""
NEARLY = f"{100 * stability.NEARLY:g}%"


def all_tables(results: Results) -> list[Table]:
    makers = (main_table, further_table, cost_table, stability_table)
    return [make(results, dataset) for dataset in results.datasets for make in makers]


def main_table(results: Results, dataset: DatasetResult) -> Table:
    """The metrics that the answer is read from; LPIPS only where a run or baseline has it."""
    metrics = tuple(metric for metric in labels.MAIN_METRICS if metric != "lpips" or _present(dataset, metric))
    return _scores_table(results, dataset, "main", "main results", metrics)


def further_table(results: Results, dataset: DatasetResult) -> Table:
    """Every other metric that has a value, and how much of KID hangs on which images were drawn."""
    metrics = tuple(metric for metric in METRICS if metric not in labels.MAIN_METRICS and _present(dataset, metric))
    table = _scores_table(results, dataset, "further", "further metrics", metrics)
    found = {method: [error for run in runs if (error := _sampling_error(run)) is not None] for method, runs in dataset.runs.items()}
    errors = {method: fmean(values) for method, values in found.items() if values}
    if not errors:
        return table
    column = Column(
        key=f"{SAMPLED}_images",
        title=f"± of {labels.metric_title(SAMPLED, dataset.judge_of(SAMPLED))}",
        group="Sampling error",
        detail=labels.SCALED,
        scale=labels.SCALES[SAMPLED],
        places=1,
    )
    return replace(
        table,
        columns=(*table.columns, column),
        rows=tuple(replace(row, cells=(*row.cells, _number(errors.get(row.key)))) for row in table.rows),
        footnotes=(
            *table.footnotes,
            f"{column.title}: half the width of the 95% interval over images (test outputs and train targets reweighted, distinct pairs "
            "only), mean over seeds: what another draw of images would change, beside what another seed does.",
        ),
    )


def _present(dataset: DatasetResult, metric: str) -> bool:
    """Whether any run or baseline has a value."""
    runs = any(metric in run.values for run in dataset.all_runs)
    return runs or any(dataset.reference_values(name, metric) for name in dataset.reference_methods)


def _sampling_error(run: RunResult) -> float | None:
    interval = run.scores.get("intervals", {}).get(SAMPLED) if run.ok else None
    return None if interval is None else (interval[1] - interval[0]) / 2


def _scores_table(results: Results, dataset: DatasetResult, name: str, title: str, metrics: tuple[str, ...]) -> Table:
    """Methods, then baselines, then the floor; every metric as mean ± half-width of its 95% t-interval over seeds."""
    rankings = {metric: rank(dataset, metric) for metric in metrics}
    columns = [
        Column(key="method", title="Method", numeric=False),
        Column(key="supervision", title="Supervision", numeric=False, under=True),
        Column(key="seeds", title="Seeds"),
    ]
    for metric in metrics:
        sizes = dataset.counts(metric)
        columns.append(
            Column(
                key=metric,
                title=labels.metric_title(metric, dataset.judge_of(metric)),
                arrow=labels.arrow(metric),
                group=labels.GROUPS[METRICS[metric].group],
                detail=labels.SCALED if metric in labels.SCALES else f"N = {sizes[0][1]}" if metric == "fid" and sizes else "",
                scale=labels.SCALES.get(metric, 1.0),
                most=labels.most_decimals(metric),
            )
        )
    rows = [_method_row(dataset, method, metrics, rankings) for method in dataset.methods]
    names = dataset.reference_methods
    baselines, floors = [name for name in names if not name.startswith("floor:")], [name for name in names if name.startswith("floor:")]
    for reference in (*baselines, *floors):
        cells = (_metric_cell(dataset.reference_values(reference, metric)) for metric in metrics)
        heading = (Cell(text=labels.reference_title(reference)), Cell(text="none"), Cell())
        rows.append(Row(key=reference, kind="floor" if reference in floors else "baseline", cells=(*heading, *cells)))
    absent = labels.MAIN_METRICS if name == "main" else tuple(metric for metric in METRICS if metric not in labels.MAIN_METRICS)
    return Table(
        name=f"{name}-{dataset.name}",
        title=f"{dataset.name}: {title}",
        columns=tuple(columns),
        rows=tuple(rows),
        footnotes=tuple(_score_footnotes(results, dataset, metrics, absent, rankings)),
        stamp=stamp(results),
    )


def cost_table(results: Results, dataset: DatasetResult) -> Table:
    """What a run costs: the median over its seeds."""
    curve = _curve(dataset)
    columns = (
        Column(key="method", title="Method", numeric=False),
        Column(key="generator_parameters", title="G parameters", detail="10⁶", scale=1e-6, places=2),
        Column(key="discriminator_parameters", title="D parameters", detail="10⁶", scale=1e-6, places=2),
        Column(key="receptive_field", title="D sees", detail="px", places=0),
        Column(key="steps", title="Steps", places=0),
        Column(key="kimg", title="Images seen", detail="10³", places=1),
        Column(key="seconds", title="Time", detail="s", places=1),
        Column(key="images_per_second", title="Speed", detail="images/s", places=1),
        Column(key="seconds_to_final", title=f"To {NEARLY}", detail="s", places=1),
        Column(key="peak_memory_bytes", title="Peak memory", detail="MiB", scale=2**-20, places=0),
        Column(key="device", title="Device", numeric=False),
        Column(key="precision", title="Precision", numeric=False),
    )
    values: tuple[Callable[[RunResult], Any], ...] = (
        lambda run: run.record["parameters"]["generator"],
        lambda run: run.record["parameters"]["discriminator"] or None,
        lambda run: run.record["receptive_field"],
        *((lambda run, key=column.key: run.record[key]) for column in columns[4:8]),
        lambda run: None if (kimg := _budget(run, curve)) is None else 1000 * kimg / run.record["images_per_second"],
        lambda run: run.record["peak_memory_bytes"],
    )
    rows = []
    for method, runs in dataset.runs.items():
        made = [run for run in runs if run.record]
        cells = [Cell(text=labels.method_title(method, dataset.methods[method]))]
        cells += [_median_cell(value(run) for run in made) for value in values]
        cells += [Cell(text=", ".join(facts.distinct([run.record for run in made], column.key))) for column in columns[-2:]]
        rows.append(Row(key=method, cells=tuple(cells)))
    return Table(
        name=f"cost-{dataset.name}",
        title=f"{dataset.name}: cost of a run",
        columns=columns,
        rows=tuple(rows),
        footnotes=(
            "Median over the runs that were made. D is all discriminators together; G counts CycleGAN's second generator too.",
            "Time, speed and memory depend on the machine and on what else ran on it. Peak memory is the whole process's on a CPU, "
            "the allocator's on a GPU.",
            f"To {NEARLY}: the images to {NEARLY} of the way to the final {_curve_title(results, curve)}, as the stability table has them, "
            "at the run's own speed; over the ok runs.",
            *facts.mixed_precision(dataset),
        ),
        stamp=stamp(results),
    )


def stability_table(results: Results, dataset: DatasetResult) -> Table:
    """How many seeds end well, how much they differ, and how their trainings went: what each history tells, the median over ok seeds."""
    metrics = ("kid", "pd")
    curve = _curve(dataset)
    budget = f"To {NEARLY} of final {_curve_title(results, curve)}"
    columns = (
        Column(key="method", title="Method", numeric=False),
        *(Column(key=status, title=status, group="Seeds", places=0) for status in STATUSES),
        *(
            Column(
                key=f"{metric}_variation",
                title=labels.metric_title(metric, dataset.judge_of(metric)),
                group="Coefficient of variation",
                detail="s ÷ mean",
                places=3,
            )
            for metric in metrics
        ),
        Column(key="kimg_to_final", title=f"To {NEARLY}", group=budget, detail="10³ images", places=2),
        Column(key="share_to_final", title=f"To {NEARLY}", group=budget, detail="% of budget", scale=100, places=0),
        *(
            Column(key=f"gradient_{player.lower()}{key}", title=f"{player} {title}", group="Gradient norm", places=places)
            for player in "GD"
            for key, title, places in (("", "median", 3), ("_spike", "max ÷ median", 1))
        ),
        Column(key="accuracy_d", title="D right", group="Accuracy at the end", detail="share", places=2),
    )
    values: tuple[Callable[[RunResult], float | None], ...] = (
        lambda run: _budget(run, curve),
        lambda run: None if (kimg := _budget(run, curve)) is None else kimg / run.record["kimg"],
        *(
            (lambda run, measure=measure, column=f"gradient/{player}": measure(run.history, column))
            for player in "GD"
            for measure in (stability.typical, stability.spike)
        ),
        lambda run: stability.closing_mean(run.history, "accuracy/D"),
    )
    rows = []
    for method, runs in dataset.runs.items():
        cells = [Cell(text=labels.method_title(method, dataset.methods[method]))]
        cells += [_number(count) for count in facts.run_counts(runs).values()]
        for metric in metrics:
            found = list(dataset.by_seed(method, metric).values())
            cells.append(_number(stats.variation(found) if found else None))
        cells += [_median_cell(value(run) for run in runs if run.ok) for value in values]
        rows.append(Row(key=method, cells=tuple(cells)))
    return Table(
        name=f"stability-{dataset.name}",
        title=f"{dataset.name}: stability of training",
        columns=columns,
        rows=tuple(rows),
        footnotes=(*_stability_footnotes(results, dataset, curve), *facts.broken_runs(dataset), *facts.mixed_precision(dataset)),
        stamp=stamp(results),
    )


def _stability_footnotes(results: Results, dataset: DatasetResult, curve: str) -> Iterable[str]:
    yield (
        "Seeds: how many runs are ok; diverged: a loss was no longer finite; failed: a stage ended with an error; missing: not made yet. "
        "Everything else is over the ok seeds: of the coefficient of variation all, of the columns after it the median."
    )
    yield (
        "Coefficient of variation: standard deviation s over seeds ÷ |mean|, where two seeds or more are ok. It says little where the "
        "mean is near 0."
    )
    yield (
        f"To {NEARLY}: the fewest images after which the validation {_curve_title(results, curve)} has covered {NEARLY} of the way from "
        "the untrained network's value to the final one, and their share of the budget; linear between validations "
        f"({labels.plural(results.params.training.validations, 'validation')} a run and one before it). A curve that passes its final "
        "value and comes back counts where it first gets there; a seed that ends no better than it began never does."
    )
    budgets = {method: [_budget(run, curve) for run in runs if run.ok] for method, runs in dataset.runs.items()}
    known = {method: [kimg for kimg in found if kimg is not None] for method, found in budgets.items() if found}
    for methods, why in (
        (
            [method for method, found in known.items() if not found],
            "no validation curve that begins before the first step; without a condition or without targets there is none",
        ),
        (
            [method for method, found in known.items() if found and _median(found) is None],
            "half of the seeds or more end no better than they began",
        ),
    ):
        if methods:
            who = "" if len(methods) == len(known) else f" for {_titles(dataset, methods)}"
            yield f"No budget to {NEARLY}{who}: {why}."
    yield (
        "Gradient norm: L2 norm of a player's whole gradient at the logged steps; median over the run, and the largest ÷ that median "
        "(1: even; large: a spike)."
    )
    yield (
        f"D right: share of D's decisions that are right, real and generated equally weighted, mean over the last "
        f"{100 * stability.CLOSING:g}% of the budget (0.5: D can't tell them apart; 1: D wins)."
    )
    columns = ("gradient/G", "gradient/D", "accuracy/D")
    if any(run.ok and not any(column in run.history for column in columns) for run in dataset.all_runs):
        yield "Some runs were made before gradients and accuracies were recorded: they don't count there."


def _curve(dataset: DatasetResult) -> str:
    """The validation metric that budgets are read from, the same for every method of a dataset; empty where no ok run has one."""
    return next((metric for metric in CURVES if any(run.ok and f"val/{metric}" in run.history for run in dataset.all_runs)), "")


def _curve_title(results: Results, curve: str) -> str:
    return labels.metric_title(curve, results.params.training.judge) if curve else "value"


def _budget(run: RunResult, curve: str) -> float | None:
    """Kimg to :data:`NEARLY` of the way, ``inf`` for never; None where the run isn't ok or can't tell."""
    return stability.budget_to(run.history, f"val/{curve}") if run.ok else None


def _titles(dataset: DatasetResult, methods: Iterable[str]) -> str:
    return labels.listing([labels.method_title(method, dataset.methods[method]) for method in methods])


def stamp(results: Results) -> str:
    return labels.SMOKE if results.params.profile == "smoke" else ""


def _method_row(dataset: DatasetResult, method: str, metrics: tuple[str, ...], rankings: dict[str, Ranking | None]) -> Row:
    runs = dataset.runs[method]
    title = labels.method_title(method, dataset.methods[method])
    cells = [
        Cell(text=title, mark=KIN if facts.kin(dataset, method) else ""),
        Cell(text=" or ".join(facts.distinct([run.record for run in runs if run.record], "supervision"))),
        Cell(text=f"{sum(run.ok for run in runs)}/{len(runs)}", mark="" if all(run.ok for run in runs) else _why(runs)),
    ]
    for metric in metrics:
        ranking = rankings[metric]
        cells.append(_metric_cell(list(dataset.by_seed(method, metric).values()), best=ranking is not None and method in ranking.winners))
    return Row(key=method, cells=tuple(cells))


def _why(runs: list[RunResult]) -> str:
    counts = facts.run_counts(runs)
    return f" ({', '.join(f'{counts[status]} {status}' for status in BROKEN if counts[status])})"


def _score_footnotes(
    results: Results, dataset: DatasetResult, metrics: tuple[str, ...], explained: tuple[str, ...], rankings: dict[str, Ranking | None]
) -> Iterable[str]:
    """``explained``: the metrics whose absence is explained, among them those that have no column."""
    seeds = ", ".join(map(str, results.params.seeds))
    yield (
        f"Mean ± half-width of the 95% Student-t interval over training seeds ({seeds}); baselines are single numbers; "
        "the floor's interval is over random splits of real images."
    )
    if any(ranking and ranking.tested for ranking in rankings.values()):
        yield (
            f"Bold: the best mean among trained methods, and those not told apart from it (paired t-test over {FEWEST} common seeds "
            f"or more, Holm-adjusted within the column, p ≥ {ALPHA:g}): with few seeds that is no proof of equality. Where the target is "
            "1, what counts is each seed's distance from it."
        )
    else:
        yield f"Bold: the best mean among trained methods; fewer than {FEWEST} common seeds can't tell whether others differ."
    if any(facts.kin(dataset, method) for method in dataset.methods):
        yield f"{KIN} Trained through a network of the judge's family: its perceptual and distribution metrics may be flattered."
    yield facts.judge_sentence(dataset)
    chance = facts.retrieval_chance(dataset) if "retrieval" in metrics else ""
    for sentence in (facts.counts_sentence(dataset, metrics), chance):
        if sentence:
            yield sentence
    yield from facts.absences(dataset, explained)
    yield from facts.broken_runs(dataset)
    yield facts.compute_sentence(dataset, results.params.profile)
    yield from facts.degradations(results, dataset)


def _metric_cell(values: list[float], best: bool = False) -> Cell:
    return Cell(interval=stats.t_interval(values), best=best) if values else Cell()


def _median_cell(values: Iterable[Any]) -> Cell:
    return _number(_median([float(value) for value in values if value is not None]))


def _median(values: list[float]) -> float | None:
    """None for no values, and where half of them or more are ``inf``: it is never reached."""
    middle = median(values) if values else math.inf
    return middle if math.isfinite(middle) else None


def _number(value: float | None) -> Cell:
    return Cell() if value is None else Cell(interval=stats.Interval(mean=float(value), half_width=None, n=1))
