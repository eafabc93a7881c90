"""Results of another experiment, which git keeps beside that experiment's file. A report shows them where it has none of its own."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cgm.core.errors import UserError
from cgm.data.sources.source import Dataset
from cgm.evaluation.uncertainty import Estimate, crossed
from cgm.experiment.params import Params
from cgm.experiment.reading import load_params

FOLDER = Path("experiments")
LARGEST = 1e100
"""Squares of larger values, and sums of them, may be beyond what a float holds; no metric is as large."""
COLUMNS = ("dataset", "method", "seed", "metric", "judge", "value")
"""Of results.csv, those that are read."""
Key = tuple[str, str, str, str]
"""dataset, method, metric, judge."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """``experiments/<name>.yaml``, and what its report says in ``results.csv``, kept as ``experiments/<name>.csv``."""

    params: Params
    identity: str
    """SHA-256 of the values: the id of that report."""
    values: dict[Key, dict[int, float]]
    """By seed."""

    def holds(self, name: str, settings: Dataset) -> bool:
        """Whether that experiment had the same pictures; its budget may have been another."""
        other = self.params.all_datasets.get(name)
        return other is not None and other.model_copy(update={"kimg": settings.kimg}) == settings

    def estimate(self, key: Key) -> Estimate | None:
        """Mean over seeds, with its interval over them where there are several; None where there is no value."""
        values = list(self.values.get(key, {}).values())
        return crossed(np.array(values), np.empty((len(values), 0)), np.empty(0)) if values else None


def published(name: str, root: str | Path = ".") -> Published | None:
    """None where the experiment's file or its values aren't there. Raises :class:`UserError`, naming the file, where one can't be read."""
    folder = Path(root) / FOLDER
    params, table = folder / f"{name}.yaml", folder / f"{name}.csv"
    if not (params.is_file() and table.is_file()):
        return None
    content = table.read_bytes()
    values: dict[Key, dict[int, float]] = {}
    remedy = f"restore it, or run the experiment {name} and copy reports/results.csv there"
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        columns = reader.fieldnames or ()
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: found no CSV ({error}), expected a report's results.csv; {remedy}") from None
    if not set(COLUMNS) <= set(columns):
        raise UserError(f"{table}: found the columns {', '.join(columns) or '(none)'}, expected {', '.join(COLUMNS)}; {remedy}")
    for line, row in rows:
        if None in row or None in row.values():
            raise UserError(f"{table}: line {line}: found more or fewer cells than columns, expected {len(columns)}; {remedy}")
        if not row["value"]:
            continue
        key = (row["dataset"], row["method"], row["metric"], row["judge"])
        try:
            seed, value = int(row["seed"]), float(row["value"])
        except ValueError as error:
            raise UserError(f"{table}: line {line}: {error}; {remedy}") from None
        if not abs(value) <= LARGEST:
            raise UserError(f"{table}: line {line}: value: found {value}, expected a finite number of at most {LARGEST:g}; {remedy}")
        if seed in values.setdefault(key, {}):
            raise UserError(f"{table}: line {line}: {', '.join(filter(None, key))}, seed {seed} is there twice; {remedy}")
        values[key][seed] = value
    return Published(params=load_params(params), identity=hashlib.sha256(content).hexdigest(), values=values)
