"""GAN loss against perceptual loss: what each asks for, and what one gets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from cgm.evaluation import stats
from cgm.evaluation.measures import metric_of
from cgm.methods.method import MethodSettings, TranslatorSettings
from cgm.methods.weighted import Weighted, terms_of
from cgm.report import footnotes, labels, source_facts
from cgm.report.figures.curves import curves_of
from cgm.report.results import BROKEN, DatasetResult, Results, RunResult
from cgm.report.stability import Curve, ahead_from
from cgm.report.summary import AXES
from cgm.report.table_format import Cell, Column, Row, Table
from cgm.report.tables.budget import NEARLY, budget, curve_of, curve_title
from cgm.report.tables.cells import median_cell, number
from cgm.report.tables.maker import TableMaker
from cgm.report.tables.scores import as_interval

Family = Literal["adversarial", "perceptual", "both", "pixels"]
OPPOSITE: dict[Family, Family] = {"adversarial": "perceptual", "perceptual": "adversarial"}
SPREAD = "kid"
"""The metric whose spread over seeds is shown: the one of realism that leads."""
NEVER, ALWAYS = "never", "from the start"


def effort_table(results: Results, dataset: DatasetResult) -> Table:
    """Each method's effort and yield, by what its loss is made of. Rows: adversarial methods, perceptual ones, then the others."""
    curve = curve_of(dataset)
    families = {method: family(settings, dataset.runs[method]) for method, settings in dataset.methods.items()}
    opponents = {side: _best(dataset, [method for method in families if families[method] == side], curve) for side in OPPOSITE.values()}
    axes = {axis: metric for axis, metric in AXES.items() if any(metric in run.values for run in dataset.all_runs)}
    columns = (
        Column(key="method", title="Method", numeric=False),
        Column(key="family", title="Loss", numeric=False, under=True),
        Column(key="pretrained", title="Pre-trained network", numeric=False, group="Needs"),
        Column(key="networks", title="Networks trained", group="Needs", places=0),
        Column(key="parameters", title="Parameters", group="Needs", detail="10⁶", scale=1e-6, places=2),
        Column(key="lines", title="Own lines of code", group="Needs", places=0),
        Column(key="all_lines", title="with what it derives from", group="Needs", places=0),
        Column(key="settings", title="Own settings", group="Needs", places=0),
        Column(key="step_seconds", title="A step", group="Costs", detail="ms", scale=1e3, places=0),
        Column(key="peak_memory_bytes", title="Peak memory", group="Costs", detail="MiB", scale=2**-20, places=0),
        Column(key="kimg_to_final", title=f"To {NEARLY}", group="Costs", detail="10³ images", places=2),
        Column(key="broken", title="Seeds lost", group="Risks", detail="%", scale=100, places=0),
        Column(
            key="variation",
            title=f"{labels.metric_title(SPREAD, dataset.judge_of(SPREAD))} over seeds",
            group="Risks",
            detail="s ÷ mean",
            places=2,
        ),
        *(
            Column(
                key=metric,
                title=f"{axis}: {labels.metric_title(metric, dataset.judge_of(metric))}",
                arrow=labels.arrow(metric),
                group="Yields",
                detail=labels.factor(metric),
                scale=metric_of(metric).scale,
                most=metric_of(metric).decimals,
            )
            for axis, metric in axes.items()
        ),
        Column(key="ahead_from", title="Ahead of the other family from", group="Yields", detail="10³ images", places=2),
    )
    rows = []
    for method in sorted(dataset.methods, key=lambda method: tuple(ORDER).index(families[method])):
        settings, runs = dataset.methods[method], dataset.runs[method]
        made = [run for run in runs if run.record and not run.outputs_made_elsewhere]
        spread = list(dataset.by_seed(method, SPREAD).values())
        tried = [run for run in runs if run.status != "missing"]
        cells = [
            Cell(text=labels.method_title(method, settings)),
            Cell(text=ORDER[families[method]]),
            Cell(text=", ".join(loss_networks(settings)) or "none"),
            number(source_facts.networks(settings.implementation)),
            median_cell(run.record["parameters"]["generator"] + run.record["parameters"]["discriminator"] for run in made),
            number(source_facts.own_lines(settings.implementation) if made else None),
            number(source_facts.all_lines(settings.implementation) if made else None),
            number(own_settings(settings) if made else None),
            median_cell(_step_seconds(run) for run in made),
            median_cell(run.record["peak_memory_bytes"] for run in made),
            median_cell(budget(run, curve) for run in runs if run.ok),
            number(sum(run.status in ("diverged", "failed") for run in tried) / len(tried) if tried else None),
            number(stats.variation(spread) if spread else None),
            *(_mean_cell(dataset, method, metric) for metric in axes.values()),
            _ahead_cell(dataset, method, opponents[OPPOSITE[families[method]]] if families[method] in OPPOSITE else "", curve),
        ]
        rows.append(Row(key=method, cells=tuple(cells)))
    return Table(
        kind="effort",
        dataset=dataset.name,
        title=f"{dataset.name}: GAN loss against perceptual loss",
        columns=columns,
        rows=tuple(rows),
        footnotes=tuple(_footnotes(results, dataset, opponents, curve)),
    )


ORDER: dict[Family, str] = {
    "adversarial": "a discriminator",
    "perceptual": "a loss network",
    "both": "a discriminator and a loss network",
    "pixels": "pixels alone",
}
"""What the loss of each family looks through, in the table's order."""


def family(settings: MethodSettings, runs: Sequence[RunResult]) -> Family:
    """By the networks that trained the generator: a discriminator, if the runs had one; a frozen one, by the settings."""
    adversarial = any(run.record["parameters"]["discriminator"] for run in runs if run.record)
    perceptual = bool(loss_networks(settings))
    return "both" if adversarial and perceptual else "adversarial" if adversarial else "perceptual" if perceptual else "pixels"


def loss_networks(settings: MethodSettings) -> list[str]:
    """The frozen networks that the loss looks through."""
    if isinstance(settings, Weighted.Settings):
        found = [name for term in terms_of(settings).values() if term.weight for name in term.seen_through]
    else:
        found = [name] if (name := getattr(settings, "loss_network", None)) else []
    return list(dict.fromkeys(found))


def own_settings(settings: MethodSettings) -> int:
    """Settings that not every trained method has; of a mixture those of its terms."""
    if isinstance(settings, Weighted.Settings):
        return sum(len(type(term).model_fields) for term in terms_of(settings).values())
    return len(type(settings).model_fields.keys() - TranslatorSettings.model_fields.keys())


def _step_seconds(run: RunResult) -> float | None:
    """At the run's own speed, which counts neither validation nor start."""
    record = run.record
    return (
        1000 * record["kimg"] / record["steps"] / record["images_per_second"] if record["steps"] and record["images_per_second"] else None
    )


def _mean_cell(dataset: DatasetResult, method: str, metric: str) -> Cell:
    found = dataset.estimate(method, metric)
    return Cell() if found is None else Cell(interval=as_interval(found))


def _medians(dataset: DatasetResult, method: str, curve: str) -> Curve:
    found = curves_of(dataset, method, (f"val/{curve}",)) if curve else {}
    return [(kimg, middle) for kimg, middle, *_ in found.get(f"val/{curve}", [])]


def _best(dataset: DatasetResult, methods: list[str], curve: str) -> str:
    """The method whose median validation curve ends lowest; empty where none has one."""
    ends = {method: points[-1][1] for method in methods if (points := _medians(dataset, method, curve))}
    return min(ends, key=lambda method: ends[method], default="")


def _ahead_cell(dataset: DatasetResult, method: str, opponent: str, curve: str) -> Cell:
    if not opponent:
        return Cell()
    found = ahead_from(_medians(dataset, method, curve), _medians(dataset, opponent, curve))
    if found is None:
        return Cell()
    return Cell(text=NEVER) if math.isinf(found) else Cell(text=ALWAYS) if found == 0 else number(found)


def _footnotes(results: Results, dataset: DatasetResult, opponents: dict[Family, str], curve: str) -> Iterable[str]:
    yield (
        "Networks trained, parameters: all that an optimiser changes, discriminators and second generators too. Lines of code: of the "
        "method's own file, and with the files of the methods that it derives from; no comments, docstrings or blank lines. The "
        "losses and the adversarial game that methods share are not counted, nor is the loss network's code. Own settings: what the method "
        "has beside what every trained one has; the sizes of a discriminator come on top."
    )
    yield (
        "A step, peak memory: median over seeds; they depend on the machine and on what else ran on it. "
        f"To {NEARLY}: as in the stability table. Seeds lost: diverged or failed, of those that were tried. s ÷ mean: coefficient of "
        "variation."
    )
    named = {side: labels.method_title(method, dataset.methods[method]) for side, method in opponents.items() if method}
    if len(named) == len(OPPOSITE):
        yield (
            f"Ahead from: the images after which the median validation {curve_title(results, curve)} over seeds stays below that of the "
            f"other family's best, linear between validations, up to the end of the shorter curve. The best, by where that curve ends: "
            f"{named['adversarial']} and {named['perceptual']}."
        )
        judge = results.params.training.judge
        kin = [method for method in opponents.values() if method and footnotes.of_judges_family(dataset, method)]
        if curve == "pd" and kin:
            yield (
                f"The curve looks through {judge}, of the family that {labels.titles(dataset.methods, kin)} was trained through: it may "
                "flatter the perceptual side."
            )
    if len({results.params.budget(dataset.name, method) for method in dataset.methods}) > 1:
        yield "Budgets differ between methods (the table of cost has them)."
    yield from footnotes.unknown_of_elsewhere(dataset, "what they ask for")
    if any(run.status in BROKEN for run in dataset.all_runs):
        yield from footnotes.broken_runs(dataset)


EFFORT = TableMaker(kind="effort", heading="GAN loss against perceptual loss", make=effort_table, group="training")
