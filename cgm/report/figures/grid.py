"""The same test items through every method."""

from __future__ import annotations

from cgm.report import labels
from cgm.report.figures.figure import Figure, Picture
from cgm.report.figures.sheet import Cells, first_ok, sheet, shown_items
from cgm.report.results import DatasetResult, Results


def grid(results: Results, dataset: DatasetResult) -> Picture | None:
    """Rows: test items by hash; columns: input, target, each method's output of its first ok seed. None without prepared data."""
    prepared = dataset.prepared
    if prepared is None:
        return None
    shown = shown_items(prepared.ids("test", "A"))
    aligned = prepared.aligned
    headings = ["Input"] + (["Target (hidden)" if prepared.hidden_pairs else "Target"] if aligned else [])
    sources = [prepared.rgb("test", side) for side in ("AB" if aligned else "A")]
    cells: Cells = [[source[place] for source in sources] for place in shown]
    seeds = set()
    for method, runs in dataset.runs.items():
        headings.append(labels.method_title(method, dataset.methods[method]))
        run = first_ok(runs)
        outputs = run.outputs() if run else None
        for row, place in zip(cells, shown, strict=True):
            row.append(outputs[0, place] if outputs is not None else runs[0].status)
        seeds |= {run.seed} if run else set()
    names = [prepared.labels("test", "A")[place] or prepared.ids("test", "A")[place] for place in shown]
    image, width = sheet(cells, headings, labels.SMOKE if results.params.experiment == "smoke" else "")
    takeaway = _colour_takeaway(dataset)
    which = f"seed {min(seeds)}" if len(seeds) == 1 else "each method's first seed that is ok"
    return Picture(
        kind="grid",
        dataset=dataset.name,
        title="The same test items through every method",
        takeaway=takeaway,
        note=f"Rows are the {len(shown)} test items whose ids have the smallest SHA-256 (nobody picked them): {', '.join(names)}. "
        f"Outputs of {which}.",
        alt=f"Grid of images for {dataset.name}: {len(shown)} rows of test items, columns {labels.listing(headings)}. {takeaway}",
        image=image,
        width=width,
    )


def _colour_takeaway(dataset: DatasetResult) -> str:
    """What the pictures should show, by its number: how colourful outputs are beside their targets."""
    medians = {}
    for method in dataset.methods:
        if values := list(dataset.by_seed(method, "colourfulness_ratio").values()):
            medians[method] = sum(values) / len(values)
    if not medians:
        evaluated = [run for run in dataset.all_runs if run.values]
        if not evaluated:
            return "Nothing has been evaluated yet."
        notes = sorted({run.scores["notes"].get("colourfulness_ratio", "not measured") for run in evaluated})
        return f"Nothing is said of their colours: {notes[0]}."
    ordered = sorted(medians, key=lambda method: medians[method])
    parts = [f"{labels.method_title(method, dataset.methods[method])} ({medians[method]:.2f})" for method in ordered]
    if len(parts) == 1:
        return f"Colourfulness beside the targets' (1): {parts[0]}."
    return f"Outputs are palest under {parts[0]} and most colourful under {parts[-1]}, where the targets' own colourfulness is 1."


GRID = Figure(kind="grid", make=grid, group="pictures")
