"""Tables of metrics: methods, then baselines, then the floor; what the main and the further one share."""

from __future__ import annotations

from collections.abc import Iterable

from cgm.evaluation import stats
from cgm.evaluation.measures import metric_of, name_of
from cgm.evaluation.uncertainty import Estimate
from cgm.report import footnotes, labels
from cgm.report.competence import RULE, competence
from cgm.report.ranking import Ranking, rank
from cgm.report.results import BROKEN, DatasetResult, Results, RunResult
from cgm.report.table_format import Cell, Column, Row, Table

OF_JUDGES_FAMILY, UNTRAINED = "†", "‡"


def present(dataset: DatasetResult, metric: str) -> bool:
    """Whether any run or baseline has a value."""
    runs = any(metric in run.values for run in dataset.all_runs)
    return runs or any(reference.values(metric) for reference in dataset.references)


def scores_table(results: Results, dataset: DatasetResult, kind: str, title: str, metrics: tuple[str, ...]) -> Table:
    """Methods, then baselines, then the floor; every measure as mean ± half-width of its 95% interval over seeds and images."""
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
                metric=name_of(metric),
                judge=dataset.judge_of(metric),
                arrow=labels.arrow(metric),
                group=labels.GROUPS[metric_of(metric).group],
                detail=labels.factor(metric) or (f"N = {sizes[0][1]}" if name_of(metric) == "fid" and sizes else ""),
                scale=metric_of(metric).scale,
                most=metric_of(metric).decimals,
            )
        )
    rows = [_method_row(dataset, method, metrics, rankings) for method in dataset.methods]
    for reference in dataset.references:
        cells = (Cell(interval=stats.t_interval(values)) if (values := reference.values(metric)) else Cell() for metric in metrics)
        heading = (Cell(text=labels.reference_title(reference.name)), Cell(text="none"), Cell())
        rows.append(Row(key=reference.key, kind=reference.kind, cells=(*heading, *cells)))
    explained = tuple(key for key in dataset.measures if (key in labels.main_measures(dataset.measures)) == (kind == "main"))
    return Table(
        kind=kind,
        dataset=dataset.name,
        title=f"{dataset.name}: {title}",
        columns=tuple(columns),
        rows=tuple(rows),
        footnotes=tuple(_score_footnotes(results, dataset, metrics, explained, rankings)),
    )


def marks(dataset: DatasetResult, method: str) -> str:
    """The signs behind a method's title, which the footnotes explain."""
    family = OF_JUDGES_FAMILY if footnotes.of_judges_family(dataset, method) else ""
    return family if competence(dataset, method).passed else family + UNTRAINED


def _method_row(dataset: DatasetResult, method: str, metrics: tuple[str, ...], rankings: dict[str, Ranking | None]) -> Row:
    runs = dataset.independent(method)
    title = labels.method_title(method, dataset.methods[method])
    cells = [
        Cell(text=title, mark=marks(dataset, method)),
        Cell(text=" or ".join(footnotes.distinct([run.record for run in runs if run.record], "supervision"))),
        Cell(text=f"{sum(run.ok for run in runs)}/{len(runs)}", mark="" if all(run.ok for run in runs) else _why(runs)),
    ]
    for metric in metrics:
        ranking = rankings[metric]
        found = dataset.estimate(method, metric)
        best = ranking is not None and method in ranking.bold
        cells.append(Cell() if found is None else Cell(interval=as_interval(found), best=best))
    return Row(key=method, cells=tuple(cells))


def _why(runs: list[RunResult]) -> str:
    counts = footnotes.run_counts(runs)
    return f" ({', '.join(f'{counts[status]} {status}' for status in BROKEN if counts[status])})"


def _score_footnotes(
    results: Results, dataset: DatasetResult, metrics: tuple[str, ...], explained: tuple[str, ...], rankings: dict[str, Ranking | None]
) -> Iterable[str]:
    """``explained``: the metrics whose absence is explained, among them those that have no column."""
    seeds = ", ".join(map(str, results.params.seeds))
    yield (
        f"Mean over training seeds ({seeds}) ± half-width of its 95% interval{_over(dataset, metrics)}; baselines are single numbers; "
        "the floor's interval is over random splits of real images."
    )
    tested = any(competence(dataset, method).tested for method in dataset.methods)
    best = "the best mean among methods that were trained to competence" if tested else "the best mean"
    if any(rankings.values()):
        yield (
            f"Bold: {best}, and means that are worse by no more than a tenth of its distance to what is nearest: what a perfect method "
            "has, or what needs no training; nothing where that would be all of them. Bold says what matters; how sure that is, the answer "
            "says. After an arrow → stands the target: what counts is each seed's distance from it."
        )
    if unranked := [metric for metric in metrics if not metric_of(metric).ranked]:
        titles = labels.listing([labels.metric_title(metric, dataset.judge_of(metric)) for metric in unranked])
        yield f"Never bold: {titles}, by which methods can't be ranked."
    yield from _competence_footnotes(dataset)
    if any(footnotes.of_judges_family(dataset, method) for method in dataset.methods):
        yield (
            f"{OF_JUDGES_FAMILY} Trained through a network of the leading judge's family, or of LPIPS's: the metrics seen through it may be"
            " flattered."
        )
    yield from footnotes.made_elsewhere(dataset)
    yield footnotes.judge_sentence(dataset)
    yield from footnotes.evaluated_on(dataset)
    chance = footnotes.retrieval_chance(dataset) if "retrieval" in metrics else ""
    for sentence in (footnotes.counts_sentence(dataset, metrics), chance):
        if sentence:
            yield sentence
    yield from footnotes.absences(dataset, explained)
    yield from footnotes.stochastic_in_name(dataset)
    yield from footnotes.broken_runs(dataset)
    yield footnotes.compute_sentence(dataset, results.params.experiment)
    yield from footnotes.degradations(results, dataset)


def _over(dataset: DatasetResult, metrics: tuple[str, ...]) -> str:
    """What the intervals speak of, and where they speak of less."""
    found = {
        (metric, method): each.over
        for metric in metrics
        for method in dataset.methods
        if (each := dataset.estimate(method, metric)) is not None
    }
    kinds = set(found.values())
    if "seeds and images" in kinds:
        text = f" for new seeds and new images ({len(dataset.group_sizes)} groups of test images left out in turn)"
        columns = [name for name in metrics if {over for (metric, _), over in found.items() if metric == name} == {"seeds"}]
        if columns:
            text += f", over seeds alone of {labels.listing([labels.metric_title(name, dataset.judge_of(name)) for name in columns])}"
        rows = [name for name in dataset.methods if "images" in {over for (_, method), over in found.items() if method == name}]
        return text + (f", over images alone for {labels.titles(dataset.methods, rows)}, of one training" if rows else "")
    if "images" in kinds:
        return " over images: there is one seed, and it speaks of that one training"
    return " over seeds alone" if "seeds" in kinds else ""


def _competence_footnotes(dataset: DatasetResult) -> Iterable[str]:
    found = {method: competence(dataset, method) for method in dataset.methods}
    untested = [method for method, each in found.items() if not each.tested and any(run.ok for run in dataset.runs[method])]
    if untested:
        who = "" if len(untested) == len(found) else f" of {labels.titles(dataset.methods, untested)}"
        yield f"Training to competence{who} was not tested: nothing was measured on validation images."
    if any(each.tested for each in found.values()):
        yield RULE
    failed = {method: each.failures for method, each in found.items() if each.failures}
    if failed:
        parts = "; ".join(f"{labels.method_title(method, dataset.methods[method])} ({', '.join(why)})" for method, why in failed.items())
        yield f"{UNTRAINED} Not trained to competence, and so neither bold nor ranked: {parts}."


def as_interval(found: Estimate) -> stats.Interval:
    """As tables show it."""
    return stats.Interval(mean=found.mean, half_width=found.half_width, n=found.n_seeds)
