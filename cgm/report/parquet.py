"""All values in typed, compressed columns: ``results.parquet``, a row a run and measure, and ``images.parquet``, a row a test image."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from cgm.core.errors import UserError
from cgm.report.results import Results, RunResult

NAMES = pa.dictionary(pa.int32(), pa.string())
RESULTS = pa.schema(
    [
        ("dataset", NAMES), ("method", NAMES), ("seed", pa.int64()), ("metric", NAMES), ("judge", NAMES), ("value", pa.float64()),
        ("n_real", pa.int64()), ("n_fake", pa.int64()), ("status", NAMES),
    ]
)  # fmt: skip
IMAGES = pa.schema(
    [("dataset", NAMES), ("method", NAMES), ("seed", pa.int64()), ("metric", NAMES), ("image", NAMES), ("value", pa.float32())]
)
"""``value``: per_image.csv has six digits, and float32 keeps them."""
OF_AN_IMAGE = ("index", "id")
"""Columns of per_image.csv that say which image a row is of."""


def results_parquet(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Of :func:`cgm.report.results.tidy`; what has no value is null."""
    return _written(RESULTS, {name: [_typed(row[name], RESULTS.field(name).type) for row in rows] for name in RESULTS.names})


def _typed(text: str, kind: pa.DataType) -> Any:
    if kind == NAMES:
        return text
    return (float(text) if text else None) if kind == pa.float64() else int(text)


def images_parquet(results: Results) -> bytes:
    """Every value of a single test image, of the runs that are ok: by dataset, metric, method and seed, images in the test set's order."""
    found: dict[tuple[str, str, int, int], tuple[list[str], list[float]]] = {}
    for dataset in results.datasets:
        for place, runs in enumerate(dataset.runs.values()):
            for run in runs:
                for metric, of_images in per_image(run).items():
                    found[dataset.name, metric, place, run.seed] = of_images
    columns: dict[str, list[Any]] = {name: [] for name in IMAGES.names}
    methods = {dataset.name: list(dataset.runs) for dataset in results.datasets}
    for (name, metric, place, seed), (images, values) in sorted(found.items()):
        of_run: dict[str, Any] = {"dataset": name, "method": methods[name][place], "seed": seed, "metric": metric}
        for column, cell in of_run.items():
            columns[column] += [cell] * len(values)
        columns["image"] += images
        columns["value"] += values
    return _written(IMAGES, columns)


def per_image(run: RunResult) -> dict[str, tuple[list[str], list[float]]]:
    """Column of per_image.csv → ids of the images that have a value, and the values; nothing where there is no such file."""
    path = run.folder / "per_image.csv"
    if not run.ok or not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, tuple[list[str], list[float]]] = {}
    try:
        for metric in (name for name in (rows[0] if rows else {}) if name not in OF_AN_IMAGE):
            there = [row for row in rows if row[metric]]
            if there:
                found[metric] = [row["id"] for row in there], [float(row[metric]) for row in there]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: found {error}, expected an id and numbers; run the stage 'evaluate' of {run.run} again") from None
    return found


def _written(schema: pa.Schema, columns: Mapping[str, Sequence[Any]]) -> bytes:
    """The same rows give the same bytes, with the same version of pyarrow, which stands in the file."""
    table = pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}, schema=schema)
    file = io.BytesIO()
    narrow = [field.name for field in schema if not pa.types.is_floating(field.type)]
    split = {field.name: "BYTE_STREAM_SPLIT" for field in schema if field.type == pa.float32()}
    parquet.write_table(table, file, compression="zstd", compression_level=9, use_dictionary=narrow, column_encoding=split or None)
    return file.getvalue()


def read_rows(content: bytes) -> list[dict[str, Any]]:
    """The rows of either file. ``ValueError`` for what is none."""
    try:
        found: list[dict[str, Any]] = parquet.read_table(io.BytesIO(content)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from None
    return found
