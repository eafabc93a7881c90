"""What a run costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cgm.report import footnotes, labels
from cgm.report.results import DatasetResult, Results, RunResult
from cgm.report.table_format import Cell, Column, Row, Table
from cgm.report.tables.budget import NEARLY, budget, curve_of, curve_title
from cgm.report.tables.cells import median_cell
from cgm.report.tables.maker import TableMaker


def cost_table(results: Results, dataset: DatasetResult) -> Table:
    """What a run costs: the median over its seeds."""
    curve = curve_of(dataset)
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
        lambda run: None if (kimg := budget(run, curve)) is None else 1000 * kimg / run.record["images_per_second"],
        lambda run: run.record["peak_memory_bytes"],
    )
    rows = []
    for method, runs in dataset.runs.items():
        made = [run for run in runs if run.record]
        cells = [Cell(text=labels.method_title(method, dataset.methods[method]))]
        cells += [median_cell(value(run) for run in made) for value in values]
        cells += [Cell(text=", ".join(footnotes.distinct([run.record for run in made], column.key))) for column in columns[-2:]]
        rows.append(Row(key=method, cells=tuple(cells)))
    return Table(
        kind="cost",
        dataset=dataset.name,
        title=f"{dataset.name}: cost of a run",
        columns=columns,
        rows=tuple(rows),
        footnotes=(
            "Median over the runs that were made. D is all discriminators together; G counts CycleGAN's second generator too.",
            "Time, speed and memory depend on the machine and on what else ran on it. Peak memory is the whole process's on a CPU, "
            "the allocator's on a GPU.",
            f"To {NEARLY}: the images to {NEARLY} of the way to the final {curve_title(results, curve)}, as the stability table has them, "
            "at the run's own speed; over the ok runs.",
            *footnotes.unknown_of_elsewhere(dataset, "what they cost"),
            *footnotes.mixed_machines(dataset),
        ),
    )


COST = TableMaker(kind="cost", heading="Cost", make=cost_table, group="training")
