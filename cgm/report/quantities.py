"""What claims may speak of beside metrics: what a run costs, and how its training went. One line each in :data:`QUANTITIES`."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cgm.methods
from cgm.methods import METHODS
from cgm.report.results import DatasetResult, History, RunResult
from cgm.report.stability import closing_mean, spike, typical
from cgm.report.tables.budget import budget, curve_of

SPREAD = "spread:"
"""``spread:pd`` is how much a metric varies from seed to seed, relative to its mean: a quantity of a method, and not of a run."""
COMMON = ("method", "paper", "losses")
"""Files of ``cgm/methods`` that every method needs: the contract, the papers' settings, the losses."""
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
    """The kind of table that shows it, or what it is made of."""
    decimals: int = 2


def lines_of_code(implementation: str) -> int:
    """Of the method's file, and of the files beside it that it imports and not every method needs; without comments, docstrings, imports
    and what the method says of itself (``about``). Discriminators and loss networks, which lie elsewhere, don't count."""
    folder = Path(cgm.methods.__file__).parent
    waiting, seen = [Path(inspect.getfile(METHODS[implementation]))], set()
    lines = 0
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lines += len(set(_code(tree)))
        modules = {node.module: node.names for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        names = {module.rpartition(".")[2] for module in modules if module.startswith("cgm.methods.")}
        names |= {each.name for each in modules.get("cgm.methods", ())}
        waiting += [folder / f"{name}.py" for name in names if name not in COMMON and (folder / f"{name}.py").is_file()]
    return lines


def _code(node: ast.AST) -> Iterator[int]:
    """The lines on which something stands that is neither import nor text for people."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    about = isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "about" for target in node.targets)
    if text or about or isinstance(node, ast.Import | ast.ImportFrom):
        return
    if hasattr(node, "lineno"):
        yield int(node.lineno)
    for child in ast.iter_child_nodes(node):
        yield from _code(child)


def _players(history: History) -> int | None:
    """How many sets of networks are trained against one another: each has an optimiser, and a column with its gradient."""
    return sum(name.startswith("gradient/") for name in history) or None


def _to_final(dataset: DatasetResult, run: RunResult) -> float | None:
    """None too for a run that ends no better than it began."""
    found = budget(run, curve_of(dataset))
    return found if found is not None and math.isfinite(found) else None


def _closing_share(history: History, column: str) -> float | None:
    """The mean over the end of the run ÷ the median over all of it."""
    end, middle = closing_mean(history, column), typical(history, column)
    return end / middle if end is not None and middle else None


def _recorded(of: Callable[[RunResult], float]) -> OF_A_RUN:
    """What ``run.json`` tells of a training; nothing of pictures that were made elsewhere."""
    return lambda _, run: None if run.outputs_made_elsewhere else of(run)


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
    "players": Quantity(title="optimisers", of=lambda _, run: _players(run.history), kind="exact", table="stability", decimals=0),
    "pretrained": Quantity(
        title="pretrained networks in the loss",
        of=_recorded(lambda run: float(bool(run.record.get("loss_network")))),
        kind="exact",
        table="main",
        decimals=0,
    ),
    "lines_of_code": Quantity(
        title="lines of code",
        of=lambda dataset, run: lines_of_code(dataset.methods[run.run.method].implementation),
        kind="exact",
        table="cost",
        decimals=0,
    ),
    "kimg_to_final": Quantity(title="thousand images to 95% of the final value", of=_to_final, table="stability"),
    "gradient_g_spike": Quantity(title="G's gradient, max ÷ median", of=lambda _, run: spike(run.history, "gradient/G"), table="stability"),
    "gradient_g_end": Quantity(
        title="G's gradient at the end ÷ median", of=lambda _, run: _closing_share(run.history, "gradient/G"), table="stability"
    ),
    "accuracy_d_end": Quantity(
        title="D's accuracy at the end", of=lambda _, run: closing_mean(run.history, "accuracy/D"), table="stability"
    ),
}
