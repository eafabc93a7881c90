"""Stage ``track``: bring MLflow into line with the files of all finished runs → ``build/track.json``.

The only writer to MLflow, so nothing races. It may be called at any time, also while trainings go on: a run counts once all of its files
are there. A run whose files have not changed is left alone, one whose files have is replaced. One that ``params.yaml`` no longer lists is
deleted in MLflow, which keeps it in its bin (``lifecycle_stage`` deleted). Each dataset × method has a parent run with the mean over its
seeds.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read when mlflow is imported. Its own 7 retries take four minutes to say that no server is there.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from cgm.core.errors import UserError
from cgm.core.files import read_json, remove, sha256, write_json
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from pipeline.stage_command import main

RECORD = Path("build/track.json")
FILES = ("run.json", "history.csv", "metrics.json", "grid.png", "model.safetensors")
FORMAT = 3
"""Of what is written to MLflow; a new one rewrites every run."""
NAME, DIGEST, PARENT = "cgm.name", "cgm.fingerprint", "mlflow.parentRunId"
SQLITE = "sqlite:///"
BATCH = {"metrics": 1000, "params": 100}
"""MLflow's limits for one call of ``log_batch``."""


@dataclass(frozen=True)
class Finished:
    """A run that has all of its files."""

    run: Run
    folder: Path
    digest: str
    """Of its files."""

    @property
    def group(self) -> str:
        return f"{self.run.dataset}/{self.run.method}"


def track(params: Params, root: Path = Path()) -> None:
    """Reconcile, then write down the digest of each run that MLflow holds."""
    finished = list(finished_runs(params, root))
    try:
        make_store(params.tracking.uri)
        reconcile(params, finished, root)
    except MlflowException as error:
        raise UserError(f"params.yaml: tracking.uri: MLflow refused: {' '.join(str(error).split())}") from None
    except SQLAlchemyError as error:
        raise UserError(
            f"params.yaml: tracking.uri: {params.tracking.uri}: MLflow can't use this database ({str(error).partition(chr(10))[0]}); "
            "if a process was killed while it made it, remove it, and the next run writes everything of this project anew"
        ) from None
    write_json(root / RECORD, {str(item.run): item.digest for item in finished})


def make_store(uri: str) -> None:
    """A local database that is not there yet: whole or not at all. MLflow makes it in a hundred steps and can't go on from the middle."""
    path = Path(uri.removeprefix(SQLITE))
    if uri.startswith(SQLITE) and not path.exists():
        folder = path.with_name(f"{path.name}.new")  # SQLite keeps files of its own beside a database
        remove(folder)
        folder.mkdir(parents=True)
        MlflowClient(tracking_uri=f"{SQLITE}{folder / path.name}").search_experiments(max_results=1)
        (folder / path.name).replace(path)
        remove(folder)


def finished_runs(params: Params, root: Path = Path()) -> Iterator[Finished]:
    for run in params.runs():
        folder = root / paths.run_folder(run)
        files = [folder / name for name in FILES]
        if all(file.exists() for file in files):
            text = json.dumps([FORMAT, params.experiment, [sha256(file) for file in files]])
            yield Finished(run, folder, hashlib.sha256(text.encode()).hexdigest())


def reconcile(params: Params, finished: Sequence[Finished], root: Path = Path()) -> None:
    """Write what is new or changed; repeated, it writes nothing."""
    client = MlflowClient(tracking_uri=params.tracking.uri)
    experiment = open_experiment(client, params, root)
    held = _held(client, experiment)
    groups: dict[str, list[Finished]] = {}
    for item in finished:
        groups.setdefault(item.group, []).append(item)

    kept: set[str] = set()
    for name, items in groups.items():
        digest = hashlib.sha256("".join(item.digest for item in items).encode()).hexdigest()
        parent = held.get(name, ("", ""))
        if parent[1] != digest:
            parent = (_log_group(client, experiment, params, name, items), digest)
        kept.add(parent[0])
        for item in items:
            run_id, known = held.get(str(item.run), ("", ""))
            if known != item.digest:
                run_id = _log_run(client, experiment, params, item)
            if client.get_run(run_id).data.tags.get(PARENT) != parent[0]:
                client.set_tag(run_id, PARENT, parent[0])
            kept.add(run_id)
        if held.get(name, ("", ""))[1] != digest:
            # Last, so that an interrupted call is seen and made good by the next one.
            client.set_tag(parent[0], DIGEST, digest)
    for run_id in _all_runs(client, experiment).keys() - kept:
        client.delete_run(run_id)


def open_experiment(client: MlflowClient, params: Params, root: Path = Path()) -> str:
    """Id of the experiment; made if it is not there, with its artifacts beside a local store and where a server keeps them otherwise.

    The client's first call creates or migrates a database's tables; this process being the only writer, that too happens once.
    """
    name = params.tracking.experiment
    found = client.get_experiment_by_name(name)
    if found is None:
        local = params.tracking.uri.startswith("sqlite:")
        location = (root / "mlartifacts" / name).resolve().as_uri() if local else None
        return str(client.create_experiment(name, artifact_location=location))
    if found.lifecycle_stage == "deleted":
        raise UserError(f"params.yaml: tracking.experiment: {name!r} lies in MLflow's bin; restore it there or choose another name")
    return str(found.experiment_id)


def _all_runs(client: MlflowClient, experiment: str) -> dict[str, Mapping[str, str]]:
    """Tags of each of our runs by id."""
    runs: dict[str, Mapping[str, str]] = {}
    token = None
    while True:
        page = client.search_runs(
            [experiment], filter_string=f"tags.`{NAME}` LIKE '%'", run_view_type=ViewType.ACTIVE_ONLY, max_results=1000, page_token=token
        )
        runs.update({run.info.run_id: run.data.tags for run in page})
        token = page.token
        if not token:
            return runs


def _held(client: MlflowClient, experiment: str) -> dict[str, tuple[str, str]]:
    """Complete runs in MLflow by name: id and digest."""
    return {tags[NAME]: (run_id, tags[DIGEST]) for run_id, tags in _all_runs(client, experiment).items() if DIGEST in tags}


def _log_run(client: MlflowClient, experiment: str, params: Params, item: Finished) -> str:
    """One run with parameters, curves by images seen, final metrics and artifacts. The digest comes last: it says 'complete'."""
    record, result = read_json(item.folder / "run.json"), read_json(item.folder / "metrics.json")
    tags = {
        "dataset": item.run.dataset,
        "method": item.run.method,
        "seed": str(item.run.seed),
        "experiment": params.experiment,
        **{
            key: str(record[key])
            for key in ("status", "supervision", "device", "precision", "data_sha256", "code_sha256")
            if record[key] is not None  # as it is where the pictures were made elsewhere, and nobody knows
        },
        **({"mlflow.note.content": f"Diverged: {record['reason']}"} if record["status"] != "ok" else {}),
    }
    now = int(time.time() * 1000)
    run_id = _create(client, experiment, str(item.run), tags, start=now - round((record["seconds"] or 0) * 1000))
    last = round((record["kimg"] or 0) * 1000)
    metrics = [
        Metric(name, value, now, step)
        for step, values in _curves(item.folder / "history.csv")
        for name, value in values.items()
    ]  # fmt: skip
    final = {**result["metrics"], "seconds": record["seconds"], "images_per_second": record["images_per_second"]}
    metrics += [Metric(f"final/{name}", value, now, last) for name, value in final.items() if _is_number(value)]
    settings = [Param(key, value) for key, value in flatten(record["config"]).items()]
    for start in range(0, len(settings), BATCH["params"]):
        client.log_batch(run_id, params=settings[start : start + BATCH["params"]])
    for start in range(0, len(metrics), BATCH["metrics"]):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH["metrics"]])
    for name in ("run.json", "metrics.json", "grid.png", "model.safetensors"):
        client.log_artifact(run_id, str(item.folder / name))
    client.set_tag(run_id, DIGEST, item.digest)
    client.set_terminated(run_id, "FINISHED" if record["status"] == "ok" else "FAILED", end_time=now)
    return run_id


def _log_group(client: MlflowClient, experiment: str, params: Params, name: str, items: Sequence[Finished]) -> str:
    """The parent run of a dataset × method: mean and sample standard deviation of each metric over the seeds that ended well."""
    results = [read_json(item.folder / "metrics.json") for item in items]
    ended_well = [result["metrics"] for result in results if result["status"] == "ok"]
    dataset, method = name.split("/")
    run_id = _create(client, experiment, name, {"dataset": dataset, "method": method, "experiment": params.experiment})
    now = int(time.time() * 1000)
    summary = {"seeds": float(len(items)), "seeds_ok": float(len(ended_well))}
    for metric in sorted({key for metrics in ended_well for key in metrics}):
        values = [metrics[metric] for metrics in ended_well if _is_number(metrics.get(metric))]
        if values:
            summary[f"mean/{metric}"] = statistics.fmean(values)
        if len(values) > 1:
            summary[f"sd/{metric}"] = statistics.stdev(values)
    client.log_batch(run_id, metrics=[Metric(key, value, now, 0) for key, value in summary.items()])
    client.set_terminated(run_id, "FINISHED" if ended_well else "FAILED")
    return run_id


def _create(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str], start: int | None = None) -> str:
    """``start``: milliseconds since the epoch, chosen so that the duration shown is that of the training."""
    run = client.create_run(experiment, start_time=start, tags={NAME: name, **tags}, run_name=name)
    return str(run.info.run_id)


def _curves(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Rows of ``history.csv``: images seen, and what was measured there."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = round(float(row["kimg"]) * 1000)
            values = {name: float(text) for name, text in row.items() if text and name not in ("kimg", "step")}
            yield step, {name: value for name, value in values.items() if math.isfinite(value)}


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """``{"a": {"b": 1}}`` → ``{"a.b": "1"}``."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


if __name__ == "__main__":
    main(track)
