"""What claims may speak of beside metrics: what a run costs, and how its training went. One line each in :data:`QUANTITIES`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cgm.evaluation.filters import Contrast, FirstLayer
from cgm.report import source_facts
from cgm.report.results import DatasetResult, History, RunResult
from cgm.report.stability import closing_mean, typical
from cgm.report.tables.budget import budget, curve_of

SPREAD = "spread:"
"""``spread:pd`` is how much the metric ``pd`` varies from seed to seed, relative to its mean: a quantity of a method, and not of a run."""
OPENING = 0.1
"""The share of the budget, at its start, in which gradients are large because the network knows nothing yet."""
OF_A_RUN = Callable[[DatasetResult, RunResult], float | None]


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One number of a run that isn't a metric."""

    title: str
    of: OF_A_RUN
    """None where the run doesn't tell."""
    kind: Literal["measured", "share", "exact"] = "measured"
    """``share``: 0 or 1, whose mean is a share of the runs, those that broke off too. ``exact``: chance has no part in it."""
    table: str
    """The kind of table that shows it, or that shows what it is made of."""
    decimals: int = 2


def _to_final(dataset: DatasetResult, run: RunResult) -> float | None:
    """None too for a run that ends no better than it began."""
    found = budget(run, curve_of(dataset))
    return found if found is not None and math.isfinite(found) else None


def _peak(history: History, column: str) -> float | None:
    """The largest value after the opening of the run ÷ the median over all of it."""
    middle, ends = typical(history, column), [kimg for kimg in history.get("kimg", []) if kimg is not None]
    cells = zip(history.get("kimg", []), history.get(column, []), strict=False)
    later = [value for kimg, value in cells if kimg is not None and value is not None and kimg > OPENING * ends[-1]]
    return max(later) / middle if later and middle else None


def _closing_share(history: History, column: str) -> float | None:
    """The mean over the end of the run ÷ the median over all of it."""
    end, middle = closing_mean(history, column), typical(history, column)
    return end / middle if end is not None and middle else None


def _source(of: Callable[[str], float | None]) -> OF_A_RUN:
    """What the source of a method tells."""
    return lambda dataset, run: of(dataset.methods[run.run.method].implementation)


def _recorded(of: Callable[[RunResult], float]) -> OF_A_RUN:
    """What ``run.json`` tells of a training; nothing of pictures that were made elsewhere."""
    return lambda _, run: None if run.outputs_made_elsewhere else of(run)


@dataclass(frozen=True, kw_only=True)
class FilterQuantity:
    """One number, or yes or no, of each filter of a network's first layer."""

    title: str
    of: Callable[[FirstLayer], tuple[np.ndarray, np.ndarray]]
    """Of the trained filters, L, and of R random initialisations, R×L; of numbers or of bool."""


def _selective(*contrasts: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """Whether a filter goes farther than 95% of random ones in any of these."""
    both = [(each.trained > each.threshold, each.random > each.threshold) for each in contrasts]
    return np.any([trained for trained, _ in both], axis=0), np.any([random for _, random in both], axis=0)


FILTER_QUANTITIES: Mapping[str, FilterQuantity] = {
    "orientation_selectivity": FilterQuantity(
        title="orientation selectivity", of=lambda layer: (layer.orientation.trained, layer.orientation.random)
    ),
    "chroma_share": FilterQuantity(title="chroma share", of=lambda layer: (layer.chroma.trained, layer.chroma.random)),
    "orientation_selective": FilterQuantity(
        title="share of filters selective for orientation", of=lambda layer: _selective(layer.orientation)
    ),
    "colour_selective": FilterQuantity(title="share of filters selective for colour", of=lambda layer: _selective(layer.chroma)),
    "selective": FilterQuantity(
        title="share of filters selective for orientation or colour", of=lambda layer: _selective(layer.orientation, layer.chroma)
    ),
}
"""Of claims about ``networks``, whose arm is ``first_layer``; the other side is ``random_first_layer`` or a number."""
QUANTITIES: Mapping[str, Quantity] = {
    "diverged": Quantity(title="diverged", of=lambda _, run: float(run.status == "diverged"), kind="share", table="stability"),
    "seconds_per_kimg": Quantity(
        title="seconds for 1000 images", of=_recorded(lambda run: run.record["seconds"] / run.record["kimg"]), table="cost"
    ),
    "peak_memory": Quantity(
        title="peak memory (MiB)", of=_recorded(lambda run: run.record["peak_memory_bytes"] / 2**20), table="cost", decimals=0
    ),
    "trained_parameters": Quantity(
        title="trained parameters (10⁶)",
        of=_recorded(lambda run: sum(run.record["parameters"].values()) / 1e6),
        kind="exact",
        table="cost",
    ),
    "networks": Quantity(title="networks trained", of=_source(source_facts.networks), kind="exact", table="effort", decimals=0),
    "pretrained": Quantity(
        title="pretrained networks in the loss",
        of=_recorded(lambda run: float(len(run.record.get("loss_network") or ()))),
        kind="exact",
        table="effort",
        decimals=0,
    ),
    "lines_of_code": Quantity(title="lines of code", of=_source(source_facts.all_lines), kind="exact", table="effort", decimals=0),
    "kimg_to_final": Quantity(title="thousand images to 95% of the final value", of=_to_final, table="stability"),
    "gradient_g_peak": Quantity(
        title="G's gradient after the first tenth, max ÷ median", of=lambda _, run: _peak(run.history, "gradient/G"), table="stability"
    ),
    "gradient_g_end": Quantity(
        title="G's gradient at the end ÷ median", of=lambda _, run: _closing_share(run.history, "gradient/G"), table="stability"
    ),
    "accuracy_d_end": Quantity(
        title="D's accuracy at the end", of=lambda _, run: closing_mean(run.history, "accuracy/D"), table="stability"
    ),
}
