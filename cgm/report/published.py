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
    reader = csv.DictReader(io.StringIO(content.decode("utf-8", errors="replace")))
    if not set(COLUMNS) <= set(reader.fieldnames or ()):
        raise UserError(f"{table}: found the columns {', '.join(reader.fieldnames or ())}, expected {', '.join(COLUMNS)}; {remedy}")
    for line, row in enumerate(reader, start=2):
        try:
            if row["value"]:
                key = (row["dataset"], row["method"], row["metric"], row["judge"])
                values.setdefault(key, {})[int(row["seed"])] = float(row["value"])
        except (TypeError, ValueError) as error:
            raise UserError(f"{table}: line {line}: {error}; {remedy}") from None
    return Published(params=load_params(params), identity=hashlib.sha256(content).hexdigest(), values=values)
