"""What the stages left on disk, read once: the report's only input.

A run that wasn't made is ``missing``, one whose stage ended with an error ``failed``, one whose training broke off ``diverged``; all three
keep their place and have no values.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from cgm.core.errors import UserError
from cgm.data.prepared import Prepared, as_rgb, open_prepared
from cgm.data.sources.source import Dataset
from cgm.evaluation import filters, round_trip
from cgm.evaluation.measures import Measure, metric_of, name_of, planned
from cgm.evaluation.round_trip import RoundTrip
from cgm.evaluation.uncertainty import Estimate, Measured, crossed
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.methods.method import MethodSettings
from cgm.report.origin import UNKNOWN, Origin
from cgm.report.published import Published, published

Status = Literal["ok", "diverged", "failed", "missing"]
BROKEN: tuple[Status, ...] = ("diverged", "failed", "missing")
STATUSES: tuple[Status, ...] = ("ok", *BROKEN)
NOT_MEASURED = "not_measured"
"""Status of a value that doesn't exist though the run is ok (``notes`` of its metrics.json says why)."""
COLUMNS = ("dataset", "method", "seed", "metric", "judge", "value", "n_real", "n_fake", "status")
ReferenceKind = Literal["baseline", "floor"]
History = dict[str, list[float | None]]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """One planned run. ``record``: run.json; ``scores``: metrics.json; each empty where the file isn't there."""

    run: Run
    folder: Path
    status: Status
    record: dict[str, Any]
    scores: dict[str, Any]
    failure: str = ""
    """Where to read why a stage of the run failed."""

    @property
    def seed(self) -> int:
        return self.run.seed

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def reason(self) -> str:
        """Why there are no values; empty where there are."""
        if self.failure:
            return self.failure
        if self.status == "missing":
            return "not trained" if not self.record else "not evaluated"
        return str(self.record.get("reason", ""))

    @property
    def outputs_made_elsewhere(self) -> dict[str, Any]:
        """Of such a run: ``folder``, ``sha256`` and ``count`` of the pictures; else empty."""
        return self.record.get("outputs") or {}

    @property
    def values(self) -> dict[str, float]:
        """Metric → value, of those that exist; empty unless the run is ok."""
        return {name: value for name, value in self.scores["metrics"].items() if value is not None} if self.ok else {}

    def measured(self, key: str) -> Measured:
        """A value that exists, and what it is without each group of test images; nothing where that wasn't computed."""
        return Measured(value=self.values[key], left_out=self.scores.get("left_out", {}).get(key, ()))

    @cached_property
    def history(self) -> History:
        """history.csv by column; empty where there is none."""
        path = self.folder / "history.csv"
        if self.status in ("failed", "missing") or not path.is_file():
            return {}
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        try:
            return {name: [_finite(row[name]) for row in rows] for name in (rows[0] if rows else {})}
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: found {error}, expected a number in every cell; run the stage 'train' of {self.run} again") from None

    def round_trip(self) -> RoundTrip | None:
        """None where the run isn't ok, or its method has no way back."""
        found = round_trip.load(self.folder / paths.round_trip(self.run).name) if self.ok else None
        return found if found is not None and len(found.levels) else None

    def outputs(self) -> np.ndarray | None:
        """uint8 K×N×H×W×3, memory-mapped, grey ones three times over; None where the run isn't ok."""
        if not self.ok:
            return None
        path = self.folder / "outputs.npy"
        try:
            return as_rgb(np.load(path, mmap_mode="r", allow_pickle=False))
        except (FileNotFoundError, ValueError, EOFError) as error:
            raise UserError(f"{path}: not a whole .npy file ({error}); run the stage 'translate' of {self.run} again") from None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Scores that no run made: of a baseline, which needs no training, or of real images against real images, the floor."""

    kind: ReferenceKind
    name: str
    rows: tuple[dict[str, Any], ...]
    """Of results.csv, without the dataset."""

    @property
    def key(self) -> str:
        """``baseline:copy_input``, ``floor:real``: its ``method`` in results.csv."""
        return f"{self.kind}:{self.name}"

    def values(self, metric: str) -> list[float]:
        """The baseline's value, or the floor's values over splits."""
        return [row["value"] for row in self.rows if row["metric"] == metric and row["value"] is not None]


@dataclass(frozen=True, kw_only=True)
class DatasetResult:
    """A dataset with its runs, in the order of ``params.yaml``."""

    name: str
    settings: Dataset
    methods: dict[str, MethodSettings]
    runs: dict[str, list[RunResult]]
    """By method, in the order of the seeds."""
    prepared: Prepared | None
    judge: dict[str, str]
    """name, sha256 of the one that leads; empty where the dataset has no reference."""
    others: tuple[dict[str, str | None], ...]
    """Likewise, the other judges; sha256 None: not to be had."""
    measures: Mapping[str, Measure]
    """What is measured, by key."""
    references: tuple[Reference, ...]
    """Baselines, then floors."""
    reference_device: str
    """Where judges looked at the reals, floors and baselines; empty where the dataset has no reference."""
    untrained: dict[str, dict[str, float]]
    """What the mean image and the unchanged inputs measure on validation images; empty where that wasn't measured."""

    @property
    def judges(self) -> list[dict[str, str | None]]:
        """The one that leads, then the others; empty where the dataset has no reference."""
        return [{**self.judge}, *self.others] if self.judge else []

    @property
    def all_runs(self) -> list[RunResult]:
        return [run for runs in self.runs.values() for run in runs]

    @property
    def records(self) -> list[dict[str, Any]]:
        """run.json of the runs that were made."""
        return [run.record for run in self.all_runs if run.record]

    def independent(self, method: str) -> list[RunResult]:
        """The runs that count. Where one set of pictures, made elsewhere, stands for several seeds, only the first: it varies by none."""
        seen: set[str] = set()
        found = []
        for run in self.runs[method]:
            digest = run.outputs_made_elsewhere.get("sha256", "")
            if digest in seen:
                continue
            found.append(run)
            if digest and run.ok:
                seen.add(digest)
        return found

    def by_seed(self, method: str, metric: str) -> dict[int, float]:
        """Of the runs that count."""
        return {run.seed: run.values[metric] for run in self.independent(method) if metric in run.values}

    def estimate(self, method: str, key: str) -> Estimate | None:
        """Mean of a measure over the seeds that count, with its interval over seeds and images; None where no run has a value."""
        runs = list(self.by_seed(method, key))
        found = [run.measured(key) for run in self.independent(method) if run.seed in runs]
        return crossed_of(found, self.group_sizes) if found else None

    @cached_property
    def group_sizes(self) -> np.ndarray:
        """Of the groups of test images that are left out in turn; empty where none are."""
        sizes = {tuple(run.scores.get("group_sizes", ())) for run in self.all_runs if run.ok}
        return np.array(next(iter(sizes)) if len(sizes) == 1 else (), dtype=np.int64)

    def measured(self, metric: str) -> list[str]:
        """The keys of a metric's measures, the leading one first."""
        return [key for key, measure in self.measures.items() if measure.metric.name == metric]

    @property
    def baselines(self) -> list[Reference]:
        return [reference for reference in self.references if reference.kind == "baseline"]

    def floor_values(self, metric: str) -> list[float]:
        """What real images score against other real images, a value a split."""
        return [value for reference in self.references if reference.kind == "floor" for value in reference.values(metric)]

    def judge_of(self, key: str) -> str:
        """The network that a measure looks through; empty for none."""
        return self.measures[key].through if key in self.measures else metric_of(key).network

    def counts(self, metric: str) -> list[tuple[int, int]]:
        """The different (n_real, n_fake) behind a metric's values over the ok runs."""
        found = {(run.scores["n_real"][metric], run.scores["n_fake"][metric]) for run in self.all_runs if metric in run.values}
        return sorted(found)


@dataclass(frozen=True, kw_only=True)
class Results:
    params: Params
    datasets: list[DatasetResult]
    origin: Origin = UNKNOWN
    budgets: Published | None = None
    """What the experiment ``budget`` found, where it is kept."""
    filters: Mapping[str, np.ndarray]
    """By network, the first layer, O×3×k×k, of those that the experiment looks through; empty where the file isn't there."""

    @property
    def all_runs(self) -> list[RunResult]:
        return [run for dataset in self.datasets for run in dataset.all_runs]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [record for dataset in self.datasets for record in dataset.records]

    @property
    def methods(self) -> dict[str, MethodSettings]:
        """Every method of the experiment, once."""
        return {name: method for dataset in self.datasets for name, method in dataset.methods.items()}

    @property
    def places(self) -> dict[str, int]:
        """A method keeps its colour and marker throughout the report."""
        return {method: place for place, method in enumerate(self.methods)}


def crossed_of(runs: Sequence[Measured], sizes: np.ndarray) -> Estimate:
    """The mean of runs, one a seed; over seeds alone where some of them have no values without groups of images."""
    if any(len(run.left_out) != len(sizes) for run in runs):
        sizes = sizes[:0]
    left_out = np.array([run.left_out[: len(sizes)] for run in runs], dtype=np.float64).reshape(len(runs), len(sizes))
    return crossed(np.array([run.value for run in runs]), left_out, sizes)


def collect(params: Params, root: str | Path = ".", origin: Origin = UNKNOWN) -> Results:
    """Read ``data/prepared``, ``data/reference`` and ``results`` below ``root`` for every planned run.

    ``origin.without``: runs whose files, if there are any, belong to another experiment, each with its log if it failed in this one.

    Raises :class:`UserError`, naming the file, for one that can't be read; a file that isn't there is no error.
    """
    root, without = Path(root), origin.without
    runs: dict[tuple[str, str], list[RunResult]] = {}
    for run in params.runs():
        folder = root / paths.run_folder(run)
        result = _left_out(run, folder, without[str(run)]) if str(run) in without else _read_run(run, folder)
        runs.setdefault((run.dataset, run.method), []).append(result)
    datasets, measures = [], planned(params.evaluation)
    for name, settings in params.all_datasets.items():
        methods = params.methods_of(name)
        if not methods:
            continue
        folder = root / paths.prepared(name)
        path = root / paths.untrained(name)
        reference = _read(path, f"run the stage 'reference' of {name} again")
        datasets.append(
            DatasetResult(
                name=name,
                settings=settings,
                methods=methods,
                runs={method: runs[name, method] for method in methods},
                prepared=open_prepared(folder) if (folder / "card.json").is_file() else None,
                judge=reference.get("judge", {}),
                others=tuple(reference.get("others", ())),
                measures=measures,
                references=_references(reference.get("rows", []), path),
                reference_device=reference.get("device", ""),
                untrained=reference.get("validation", {}),
            )
        )
    return Results(
        params=params, datasets=datasets, origin=origin, budgets=published("budget", root), filters=filters.load(root / paths.FILTERS)
    )


def tidy(results: Results) -> list[dict[str, str]]:
    """The rows of ``results.csv``, sorted by dataset, method, seed, metric, judge. Empty value: there is none, and status says why."""
    rows: list[tuple[tuple[str, str, int, str, str], dict[str, str]]] = []
    for dataset in results.datasets:
        for row in _rows(dataset):
            key = (dataset.name, row["method"], row["seed"], row["metric"], row["judge"])
            value = row["value"]
            cells = {**row, "dataset": dataset.name, "value": "" if value is None else repr(float(value))}
            rows.append((key, {name: str(cells[name]) for name in COLUMNS}))
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def tidy_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """Of :func:`tidy`."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _rows(dataset: DatasetResult) -> Iterator[dict[str, Any]]:
    for run in dataset.all_runs:
        for key, measure in dataset.measures.items():
            value = run.values.get(key)
            counted = value is not None
            yield {
                "method": run.run.method,
                "seed": run.seed,
                "metric": measure.metric.name,
                "judge": measure.through,
                "value": value,
                "n_real": run.scores["n_real"][key] if counted else 0,
                "n_fake": run.scores["n_fake"][key] if counted else 0,
                "status": NOT_MEASURED if run.ok and not counted else run.status,
            }
    for row in (row for reference in dataset.references for row in reference.rows):
        counted = row["value"] is not None
        yield {**row, "metric": name_of(row["metric"]), "status": row["status"] if counted else NOT_MEASURED}


def _references(rows: list[dict[str, Any]], path: Path) -> tuple[Reference, ...]:
    found: dict[tuple[ReferenceKind, str], list[dict[str, Any]]] = {}
    kinds: tuple[ReferenceKind, ...] = get_args(ReferenceKind)
    for row in rows:
        prefix, _, name = row["method"].partition(":")
        kind = next((kind for kind in kinds if kind == prefix), None)
        if kind is None:
            raise UserError(f"{path}: method: found {row['method']!r}, expected it to begin with {' or '.join(f'{k}:' for k in kinds)}")
        found.setdefault((kind, name), []).append(row)
    return tuple(Reference(kind=kind, name=name, rows=tuple(rows)) for kind in kinds for (of, name), rows in found.items() if of == kind)


def _left_out(run: Run, folder: Path, log: str) -> RunResult:
    return RunResult(
        run=run, folder=folder, status="failed" if log else "missing", record={}, scores={}, failure=f"see {log}" if log else ""
    )


def _read_run(run: Run, folder: Path) -> RunResult:
    record = _read(folder / "run.json", f"run the stage 'train' of {run} again")
    scores = _read(folder / "metrics.json", f"run the stage 'evaluate' of {run} again") if record else {}
    status: Status = "missing"
    if record:
        found = record.get("status")
        if found not in ("ok", "diverged"):
            raise UserError(f"{folder / 'run.json'}: status: found {found!r}, expected 'ok' or 'diverged'; run the stage 'train' again")
        status = found if found == "diverged" or scores else "missing"
    measured = {**scores.get("metrics", {}), **{f"validation {name}": value for name, value in scores.get("validation", {}).items()}}
    for metric, value in measured.items():
        if value is not None and not math.isfinite(value):
            raise UserError(f"{folder / 'metrics.json'}: {metric}: found {value}, expected a finite number or null; evaluate {run} again")
    return RunResult(run=run, folder=folder, status=status, record=record, scores=scores)


def _read(path: Path, remedy: str) -> dict[str, Any]:
    """A JSON object; empty where the file isn't there."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); {remedy}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: found {type(value).__name__}, expected an object; {remedy}")
    return value


def _finite(cell: str) -> float | None:
    """A cell of history.csv; what is empty or not finite counts as not measured."""
    value = float(cell) if cell else math.nan
    return value if math.isfinite(value) else None
