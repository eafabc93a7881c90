"""Files of runs as the stages leave them, and what MLflow holds of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from PIL import Image

from cgm.core.files import write_json, write_text
from cgm.experiment.params import Params
from cgm.experiment.reading import parse_params
from pipeline.tracking.record import LEVEL, NAME, STATE

ROOT = Path(__file__).parents[2]
NAME_OF_EXPERIMENT = "cgm-smoke"
HISTORY = "kimg,step,learning_rate,G/l1,val/mae\n0.008,1,0.0002,1.5,\n0.016,2,0.0001,0.75,0.25\n"


def experiment(folder: Path, seeds: tuple[int, ...] = (0, 1), uri: str | None = None) -> Params:
    raw = yaml.safe_load((ROOT / "experiments/smoke.yaml").read_text())
    raw |= {"seeds": list(seeds), "methods": {"mae": {}, "pix2pix": {}}, "unpaired": {"datasets": {}, "methods": {}}}
    raw["tracking"] = {"uri": uri or f"sqlite:///{folder}/mlflow.db", "experiment": "cgm"}
    return parse_params(raw)


def record_of(method: str, seed: int, status: str = "ok", l1_weight: float = 100.0) -> dict[str, Any]:
    return {
        "dataset": "openmoji", "method": method, "seed": seed, "status": status, "reason": "" if status == "ok" else "the loss is inf",
        "config": {"method": {"l1_weight": l1_weight, "learning_rate": None}, "compute": {"threads": 1}},
        "supervision": "paired", "device": "CPU", "precision": "float32", "data_sha256": "d", "code_sha256": "c",
        "seconds": 2.0, "images_per_second": 8.0, "kimg": 0.016,
    }  # fmt: skip


def write_run(
    folder: Path, method: str, seed: int, mae: float, status: str = "ok", history: str = HISTORY, l1_weight: float = 100.0
) -> Path:
    place = folder / "results/openmoji" / method / str(seed)
    write_text(place / "history.csv", history)
    write_json(place / "run.json", record_of(method, seed, status, l1_weight))
    write_json(place / "metrics.json", {"status": status, "metrics": {"mae": mae, "fid": None}})
    (place / "grid.png").write_bytes(b"grid")
    (place / "model.safetensors").write_bytes(f"model {l1_weight} {mae}".encode())
    return place


def history_of(rows: int, seed: int = 0, columns: int = 3) -> str:
    """Rows with a loss in each column; ``val/mae`` in every fourth."""
    names = [f"G/term{place}" for place in range(columns)]
    lines = [",".join(["kimg", "step", *names, "val/mae"])]
    for row in range(1, rows + 1):
        losses = [repr(seed + place + 1 / row) for place in range(columns)]
        lines.append(",".join([repr(row * 8 / 1000), str(row), *losses, repr(1 / row) if row % 4 == 0 else ""]))
    return "\n".join(lines) + "\n"


def cells_of(history: str) -> dict[str, dict[int, float]]:
    """Every number of a history: by column and images seen."""
    head, *lines = (line.split(",") for line in history.splitlines())
    found: dict[str, dict[int, float]] = {}
    for line in lines:
        row = dict(zip(head, line, strict=True))
        step = round(float(row["kimg"]) * 1000)
        for name, text in row.items():
            if text and name not in ("kimg", "step"):
                found.setdefault(name, {})[step] = float(text)
    return found


def write_progress(folder: Path, steps: list[int]) -> None:
    for step in steps:
        path = folder / "progress" / f"{step:09d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), step % 256, np.uint8)).save(path)
    rows = [f"{3.0 * place},{step / 1000},{40 + place},{150 + place},{2_000_000 + place}," for place, step in enumerate(steps)]
    head = "seconds,kimg,images_per_second,cpu_percent,memory_bytes,gpu_memory_bytes"
    write_text(folder / "progress/system.csv", "\n".join([head, *rows]) + "\n")


def every_run(params: Params) -> list[MlflowRun]:
    """Without the row below which earlier ones stand."""
    client = MlflowClient(params.tracking.uri)
    found = client.get_experiment_by_name(params.tracked_as)
    assert found is not None
    runs = client.search_runs([found.experiment_id], max_results=1000)
    assert runs.token is None or len(runs) == 1000
    return [run for run in runs if run.data.tags[LEVEL] != "earlier"]


def held(params: Params) -> dict[str, MlflowRun]:
    """The runs that count, by name; each is there once."""
    runs = [run for run in every_run(params) if run.data.tags[STATE] == "current"]
    by_name = {run.data.tags[NAME]: run for run in runs}
    assert len(by_name) == len(runs)
    return by_name


def curves_in(params: Params, run: MlflowRun) -> dict[str, dict[int, float]]:
    """Every point of a run's curves: by metric and step. A step that is there twice fails."""
    client = MlflowClient(params.tracking.uri)
    found = {}
    for name in run.data.metrics:
        if not name.startswith(("final/", "system/", "images_per_second")):
            points = client.get_metric_history(run.info.run_id, name)
            found[name] = {point.step: point.value for point in points}
            assert len(found[name]) == len(points), name
    return found


def artifacts_in(params: Params, run: MlflowRun, folder: str | None = None) -> set[str]:
    return {file.path for file in MlflowClient(params.tracking.uri).list_artifacts(run.info.run_id, folder)}


def grids_in(params: Params, run: MlflowRun) -> list[int]:
    """The steps of a run's grids; one that is there twice stands there twice."""
    names = [path for path in artifacts_in(params, run, "images") if path.endswith(".png")]
    return sorted(int(name.split("+step+")[1].split("+")[0]) for name in names)
