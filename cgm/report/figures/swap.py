"""The input-swap matrix: whether an output is nearer to its own target than to those of other inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Canvas

from cgm.evaluation import stats
from cgm.report import labels
from cgm.report.figures.figure import Figure, Picture
from cgm.report.figures.mosaic import mosaic, place
from cgm.report.figures.sheet import first_ok
from cgm.report.plotting import Theme, csv_bytes
from cgm.report.results import DatasetResult, Results

FEW, MANY = (2, 32), (4, 20)
"""Panels in a row and pixels of a picture's side, for at most four panels and for more."""
COLOURS = "cividis"
PAIRED_CLAIMS = ("unconditional-gan-ignores-the-label", "gan-loss-alone-makes-no-picture-like-its-label")
UNPAIRED_CLAIMS = ("unpaired-gan-ignores-its-input", "cycle-keeps-content")
GAP = 0.12
"""Between the matrix and the pictures, in cells."""


@dataclass(frozen=True)
class Panel:
    """One method's matrix, or that of the targets themselves, with the pictures of its rows."""

    key: str
    title: str
    seed: int | None
    matrix: np.ndarray
    rows: list[np.ndarray]


def swap(results: Results, dataset: DatasetResult) -> Picture | None:
    """A matrix a method, and that of the targets. None where targets are not aligned, or nothing was measured."""
    prepared = dataset.prepared
    found = {method: run for method, runs in dataset.runs.items() if (run := first_ok(runs)) is not None and run.scores.get("swap")}
    if prepared is None or not found:
        return None
    index = next(iter(found.values())).scores["swap"]["index"]
    ids = [prepared.ids("test", "A")[item] for item in index]
    inputs, targets = ([prepared.rgb("test", side)[item] for item in index] for side in "AB")
    panels = [Panel("targets", "Targets themselves", None, np.array(next(iter(found.values())).scores["swap"]["targets"]), targets)]
    for method, run in found.items():
        outputs = run.outputs()
        assert outputs is not None
        title = labels.method_title(method, dataset.methods[method])
        panels.append(Panel(method, title, run.seed, np.array(run.scores["swap"]["outputs"]), [outputs[0, item] for item in index]))
    columns, side = FEW if len(panels) <= 4 else MANY
    rows, count = math.ceil(len(panels) / columns), len(index)
    low = min(float(panel.matrix.min()) for panel in panels)

    def draw(figure: Canvas, theme: Theme) -> None:
        grid = figure.subplots(rows, columns, squeeze=False)
        for number, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            axes.set_title(panel.title, fontsize=9 if columns == FEW[0] else 7.5)
            headed = number < columns or columns == FEW[0]  # pictures are most of the bytes: among many panels once a column
            if headed:
                place(axes, mosaic([inputs], side), 0, -1 - GAP, count, 1)
            place(axes, mosaic([[image] for image in panel.rows], side), -1 - GAP, 0, 1, count)
            axes.imshow(panel.matrix, COLOURS, vmin=low, vmax=1, extent=(0, count, count, 0), interpolation="none")
            axes.set_xlim(-1 - GAP, count)
            axes.set_ylim(count, -1 - GAP if headed else 0)
        for axes in grid.flat:
            axes.set_axis_off()
        scale = ScalarMappable(Normalize(low, 1), COLOURS)
        bar = figure.colorbar(scale, ax=grid, shrink=0.4, aspect=30, pad=0.01)
        bar.set_label("cosine of features, output and target", fontsize=8)
        bar.outline.set_visible(False)

    takeaway = _takeaway(dataset)
    shown = labels.listing([panel.title for panel in panels[1:]])
    return Picture(
        kind="swap",
        dataset=dataset.name,
        title="Input-swap matrix",
        takeaway=takeaway,
        claims=PAIRED_CLAIMS if results.params.is_paired(dataset.name) else UNPAIRED_CLAIMS,
        note="Rows: outputs, whose pictures stand at the left; columns: targets, whose inputs stand above; bright: near, in the features "
        f"of {dataset.judge['name'] if dataset.judge else 'the judge'}. A bright diagonal: each output answers its own input. Columns "
        f"alone: whatever comes in, the same targets are near. The {count} test items whose ids have the smallest SHA-256; each method's "
        "first seed that is ok. What is kept: (own − other of the outputs) ÷ (own − other of the targets), mean cosines over all test "
        "items, mean over seeds ± half its 95% interval.",
        alt=f"Heat maps for {dataset.name}, one for the targets themselves and one each for {shown}: how near each of {count} outputs is "
        f"to each of {count} targets. {takeaway}",
        csv=csv_bytes(
            ("dataset", "method", "seed", "output", "target", "cosine"),
            [
                (dataset.name, panel.key, "" if panel.seed is None else panel.seed, ids[i], ids[j], float(panel.matrix[i, j]))
                for panel in panels
                for i in range(count)
                for j in range(count)
            ],
        ),
        draw=draw,
        size=(8.2, 3.85 * rows if columns == FEW[0] else 2.1 * rows),
    )


def _takeaway(dataset: DatasetResult) -> str:
    kept = {
        method: stats.t_interval(values)
        for method, runs in dataset.runs.items()
        if (values := [run.scores["swap"]["kept"] for run in runs if run.ok and (run.scores.get("swap") or {}).get("kept") is not None])
    }
    if not kept:
        return "All targets look alike to the judge: nothing can be said of what is kept."
    ordered = sorted(kept, key=lambda method: kept[method].mean)

    def part(method: str) -> str:
        retrieved = list(dataset.by_seed(method, "retrieval").values())
        found = f"; it finds its own target first for {100 * sum(retrieved) / len(retrieved):.0f}%" if retrieved else ""
        return f"{labels.method_title(method, dataset.methods[method])} ({stats.format_interval(kept[method], 2)}{found})"

    if len(ordered) == 1:
        return f"Of what tells one target from another, this much is kept by {part(ordered[0])}, where 1 is all of it."
    return (
        f"Of what tells one target from another, {part(ordered[-1])} keeps most and {part(ordered[0])} least, where 1 is all of it and 0 "
        "an output that says nothing of its input."
    )


SWAP = Figure(kind="swap", make=swap)
