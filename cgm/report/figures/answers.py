"""What is plausible for one input, and what each method makes of it."""

from __future__ import annotations

from statistics import fmean

import numpy as np

from cgm.evaluation.metrics.several import Answers
from cgm.report import labels
from cgm.report.figures.ambiguous import ambiguous
from cgm.report.figures.figure import Figure, Picture
from cgm.report.figures.sheet import Cells, first_ok, sheet
from cgm.report.results import DatasetResult, Results

ROWS, MODES = 4, 5


def answers_sheet(results: Results, dataset: DatasetResult) -> Picture | None:
    """Rows: inputs with several targets; columns: input, the most frequent targets, their mean and median, each method's output of its
    first ok seed. None where no input has several."""
    chosen, prepared = ambiguous(dataset)[:ROWS], dataset.prepared
    if not chosen or prepared is None:
        return None
    targets, shape = prepared.rgb("test", "B"), (*prepared.height_width, 3)
    every = [Answers.of(targets[rows]) for rows in chosen]
    shown = min(MODES, max(len(answers.modes) for answers in every))
    headings = ["Input", *(f"Target {place + 1}" for place in range(shown)), "Their mean", "Their median"]
    cells: Cells = []
    for rows, answers in zip(chosen, every, strict=True):
        frequent = np.argsort(-np.bincount(answers.mode_of), kind="stable")[:shown]
        pictures = [*answers.modes[frequent], answers.mean, answers.median]
        drawn: list[np.ndarray | str] = [np.rint(255 * picture).astype(np.uint8).reshape(shape) for picture in pictures]
        cells.append([prepared.rgb("test", "A")[rows[0]], *drawn[:-2], *[""] * (shown - len(frequent)), *drawn[-2:]])
    for method, runs in dataset.runs.items():
        headings.append(labels.method_title(method, dataset.methods[method]))
        run = first_ok(runs)
        outputs = run.outputs() if run else None
        for row, rows in zip(cells, chosen, strict=True):
            row.append(outputs[0, rows[0]] if outputs is not None else runs[0].status)
    image, width = sheet(cells, headings, labels.SMOKE if results.params.experiment == "smoke" else "")
    takeaway = _takeaway(dataset)
    return Picture(
        kind="answers",
        dataset=dataset.name,
        title="What is plausible for an input, and what is made of it",
        takeaway=takeaway,
        note=f"Rows are inputs that stand in the test set with several targets: those with most of them, else by the smallest SHA-256 of "
        f"their ids. At most {MODES} targets, the most frequent first. Outputs of each method's first seed that is ok.",
        alt=f"Grid of images for {dataset.name}: {labels.plural(len(chosen), 'row')} of inputs, columns {labels.listing(headings)}. "
        f"{takeaway}",
        image=image,
        width=width,
    )


def _takeaway(dataset: DatasetResult) -> str:
    """Which method loses most and least of the plausible pictures' saturation."""
    lost = {method: fmean(values.values()) for method in dataset.methods if (values := dataset.by_seed(method, "saturation_lost"))}
    if not lost:
        return "Nothing is said of their saturation: the targets are grey, or nothing has been evaluated."
    ordered = sorted(lost, key=lambda method: lost[method])
    parts = [f"{labels.method_title(method, dataset.methods[method])} ({100 * lost[method]:.0f}%)" for method in ordered]
    if len(parts) == 1:
        return f"Of the plausible pictures' saturation is lost under {parts[0]}."
    return f"Of the plausible pictures' saturation, least is lost under {parts[0]} and most under {parts[-1]}."


ANSWERS = Figure(kind="answers", make=answers_sheet, group="pictures")
