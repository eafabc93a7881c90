"""Several outputs of one condition, of each stochastic generator."""

from __future__ import annotations

from cgm.report import labels
from cgm.report.figures.figure import Figure, Picture
from cgm.report.figures.sheet import Cells, first_ok, sheet, shown_items
from cgm.report.results import DatasetResult, Results


def samples(results: Results, dataset: DatasetResult) -> Picture | None:
    """K outputs of one condition for each stochastic generator. None where there is none."""
    prepared = dataset.prepared
    if prepared is None:
        return None
    place = shown_items(prepared.ids("test", "A"), 1)[0]
    titles: list[str] = []
    cells: Cells = []
    count = 0
    for method, runs in dataset.runs.items():
        run = first_ok(runs)
        outputs = run.outputs() if run else None
        if outputs is not None and len(outputs) > 1:
            titles.append(labels.method_title(method, dataset.methods[method]))
            cells.append([titles[-1], prepared.rgb("test", "A")[place], *outputs[:, place]])
            count = max(count, len(outputs))
    if not cells:
        return None
    for row in cells:
        row += [""] * (count + 2 - len(row))
    image, width = sheet(
        cells, ["", "Input", *(f"Sample {k + 1}" for k in range(count))], labels.SMOKE if results.params.experiment == "smoke" else ""
    )
    takeaway = _diversity_takeaway(dataset)
    return Picture(
        kind="samples",
        dataset=dataset.name,
        title="Samples of one condition",
        takeaway=takeaway,
        note="The test item whose id has the smallest SHA-256, with fresh noise for each sample. "
        "An unconditional generator doesn't see the input.",
        alt=f"For {dataset.name}, {count} samples of one test item from {labels.listing(titles)}. {takeaway}",
        image=image,
        width=width,
    )


def _diversity_takeaway(dataset: DatasetResult) -> str:
    means = {}
    for method in dataset.methods:
        if values := list(dataset.by_seed(method, "intra_diversity").values()):
            means[method] = sum(values) / len(values)
    if not means:
        return "Diversity within a condition was not measured."
    ordered = sorted(means, key=lambda method: means[method])
    parts = [f"{labels.method_title(method, dataset.methods[method])} ({means[method]:.3f})" for method in ordered]
    title = labels.metric_title("pd", dataset.judge_of("pd"))
    if len(parts) == 1:
        return f"Mean {title} between samples of one condition: {parts[0]}."
    return f"Mean {title} between samples of one condition is lowest for {parts[0]} and highest for {parts[-1]}."


SAMPLES = Figure(kind="samples", make=samples, group="pictures")
