"""How many seeds end well, how much they differ, and how their trainings went."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cgm.evaluation import stats
from cgm.report import footnotes, labels, stability
from cgm.report.results import STATUSES, DatasetResult, Results, RunResult
from cgm.report.table_format import Cell, Column, Row, Table
from cgm.report.tables.budget import NEARLY, budget, curve_of, curve_title
from cgm.report.tables.cells import finite_median, median_cell, number
from cgm.report.tables.maker import TableMaker


def stability_table(results: Results, dataset: DatasetResult) -> Table:
    """How many seeds end well, how much they differ, and how their trainings went: what each history tells, the median over ok seeds."""
    metrics = ("kid", "pd")
    curve = curve_of(dataset)
    group = f"To {NEARLY} of final {curve_title(results, curve)}"
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
        Column(key="kimg_to_final", title=f"To {NEARLY}", group=group, detail="10³ images", places=2),
        Column(key="share_to_final", title=f"To {NEARLY}", group=group, detail="% of budget", scale=100, places=0),
        *(
            Column(key=f"gradient_{player.lower()}{key}", title=f"{player} {title}", group="Gradient norm", places=places)
            for player in "GD"
            for key, title, places in (("", "median", 3), ("_spike", "max ÷ median", 1))
        ),
        Column(key="accuracy_d", title="D right", group="Accuracy at the end", detail="share", places=2),
    )
    values: tuple[Callable[[RunResult], float | None], ...] = (
        lambda run: budget(run, curve),
        lambda run: None if (kimg := budget(run, curve)) is None else kimg / run.record["kimg"],
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
        cells += [number(count) for count in footnotes.run_counts(runs).values()]
        for metric in metrics:
            found = list(dataset.by_seed(method, metric).values())
            cells.append(number(stats.variation(found) if found else None))
        cells += [median_cell(value(run) for run in runs if run.ok) for value in values]
        rows.append(Row(key=method, cells=tuple(cells)))
    return Table(
        kind="stability",
        dataset=dataset.name,
        title=f"{dataset.name}: stability of training",
        columns=columns,
        rows=tuple(rows),
        footnotes=(
            *_stability_footnotes(results, dataset, curve),
            *footnotes.unknown_of_elsewhere(dataset, "how their trainings went"),
            *footnotes.broken_runs(dataset),
            *footnotes.mixed_machines(dataset),
        ),
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
        f"To {NEARLY}: the fewest images after which the validation {curve_title(results, curve)} has covered {NEARLY} of the way from "
        "the untrained network's value to the final one, and their share of the budget; linear between validations "
        f"({labels.plural(results.params.training.validations, 'validation')} a run and one before it). A curve that passes its final "
        "value and comes back counts where it first gets there; a seed that ends no better than it began never does."
    )
    trained = {method: [run for run in runs if run.ok and not run.outputs_made_elsewhere] for method, runs in dataset.runs.items()}
    budgets = {method: [budget(run, curve) for run in runs] for method, runs in trained.items()}
    known = {method: [kimg for kimg in found if kimg is not None] for method, found in budgets.items() if found}
    for methods, why in (
        (
            [method for method, found in known.items() if not found],
            "no validation curve that begins before the first step; without a condition or without targets there is none",
        ),
        (
            [method for method, found in known.items() if found and finite_median(found) is None],
            "half of the seeds or more end no better than they began",
        ),
    ):
        if methods:
            who = "" if len(methods) == len(known) else f" for {labels.titles(dataset.methods, methods)}"
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
    if any(not any(column in run.history for column in columns) for runs in trained.values() for run in runs):
        yield "Some runs were made before gradients and accuracies were recorded: they don't count there."


STABILITY = TableMaker(kind="stability", heading="Stability", make=stability_table, group="training")
