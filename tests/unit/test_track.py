"""The MLflow writer against a real MLflow store (sqlite) and real files."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from cgm.core.errors import UserError
from cgm.core.files import read_json, write_json, write_text
from cgm.experiment.params import Params
from cgm.experiment.reading import parse_params
from pipeline.track import NAME, PARENT, RECORD, flatten, track

ROOT = Path(__file__).parents[2]


def experiment(folder: Path, seeds: tuple[int, ...] = (0, 1), uri: str | None = None) -> Params:
    raw = yaml.safe_load((ROOT / "experiments/smoke.yaml").read_text())
    raw |= {"seeds": list(seeds), "methods": {"mae": {}, "pix2pix": {}}, "unpaired": {"datasets": {}, "methods": {}}}
    raw["tracking"] = {"uri": uri or f"sqlite:///{folder}/mlflow.db", "experiment": "cgm"}
    return parse_params(raw)


def write_run(folder: Path, method: str, seed: int, mae: float, status: str = "ok") -> Path:
    place = folder / "results/openmoji" / method / str(seed)
    write_text(place / "history.csv", "kimg,step,learning_rate,G/l1,val/mae\n0.008,1,0.0002,1.5,\n0.016,2,0.0001,0.75,0.25\n")
    config = {"method": {"l1_weight": 100.0}, "compute": {"threads": 1}}
    record = {
        "dataset": "openmoji", "method": method, "seed": seed, "status": status, "reason": "" if status == "ok" else "the loss is inf",
        "config": config, "supervision": "paired", "device": "CPU", "precision": "float32", "data_sha256": "d", "code_sha256": "c",
        "seconds": 2.0, "images_per_second": 8.0, "kimg": 0.016,
    }  # fmt: skip
    write_json(place / "run.json", record)
    write_json(place / "metrics.json", {"status": status, "metrics": {"mae": mae, "fid": None}})
    (place / "grid.png").write_bytes(b"grid")
    (place / "model.safetensors").write_bytes(b"model")
    return place


def held(params: Params) -> dict[str, MlflowRun]:
    client = MlflowClient(params.tracking.uri)
    found = client.get_experiment_by_name("cgm")
    assert found is not None
    runs = client.search_runs([found.experiment_id], max_results=1000)
    by_name = {run.data.tags[NAME]: run for run in runs}
    assert len(by_name) == len(runs)
    return by_name


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty sqlite store: making one takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def folder(tmp_path: Path, store: Path) -> Path:
    shutil.copy(store, tmp_path / "mlflow.db")
    return tmp_path


def test_logs_parameters_curves_metrics_and_artifacts(folder: Path) -> None:
    params = experiment(folder)
    for seed, mae in ((0, 0.25), (1, 0.75)):
        write_run(folder, "pix2pix", seed, mae)
    track(params, folder)

    runs = held(params)
    assert set(runs) == {"openmoji/pix2pix", "openmoji/pix2pix/0", "openmoji/pix2pix/1"}
    run = runs["openmoji/pix2pix/1"]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"method.l1_weight": "100.0", "compute.threads": "1"}
    assert run.data.metrics["final/mae"] == 0.75
    assert "final/fid" not in run.data.metrics
    assert run.data.tags["supervision"] == "paired"
    assert run.data.tags["experiment"] == "smoke"
    assert run.data.tags[PARENT] == runs["openmoji/pix2pix"].info.run_id
    client = MlflowClient(params.tracking.uri)
    curve = client.get_metric_history(run.info.run_id, "G/l1")
    assert [(point.step, point.value) for point in curve] == [(8, 1.5), (16, 0.75)]
    assert [point.step for point in client.get_metric_history(run.info.run_id, "val/mae")] == [16]
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names == {"run.json", "metrics.json", "grid.png", "model.safetensors"}
    assert list((folder / "mlartifacts").rglob("model.safetensors"))
    parent = runs["openmoji/pix2pix"].data.metrics
    assert parent["mean/mae"] == 0.5
    assert parent["sd/mae"] == pytest.approx(0.125**0.5)
    assert set(read_json(folder / RECORD)) == {"openmoji/pix2pix/0", "openmoji/pix2pix/1"}


def test_only_what_changed_is_rewritten(folder: Path) -> None:
    params = experiment(folder)
    for method in ("mae", "pix2pix"):
        for seed in (0, 1):
            write_run(folder, method, seed, 0.5)
    track(params, folder)
    before = held(params)
    track(params, folder)
    assert {name: run.info.run_id for name, run in held(params).items()} == {name: run.info.run_id for name, run in before.items()}

    write_run(folder, "pix2pix", 1, 0.1)
    track(params, folder)
    after = held(params)
    changed = {name for name in after if after[name].info.run_id != before[name].info.run_id}
    assert changed == {"openmoji/pix2pix", "openmoji/pix2pix/1"}
    assert after["openmoji/pix2pix"].data.metrics["mean/mae"] == pytest.approx(0.3)
    for seed in (0, 1):
        assert after[f"openmoji/pix2pix/{seed}"].data.tags[PARENT] == after["openmoji/pix2pix"].info.run_id


def test_takes_finished_runs_only_and_drops_those_no_longer_listed(folder: Path) -> None:
    params = experiment(folder)
    for seed in (0, 1):
        write_run(folder, "mae", seed, 0.5)
    (write_run(folder, "pix2pix", 0, 0.5) / "metrics.json").unlink()
    track(params, folder)
    assert set(held(params)) == {"openmoji/mae", "openmoji/mae/0", "openmoji/mae/1"}

    fewer = experiment(folder, seeds=(0,))
    track(fewer, folder)
    assert set(held(fewer)) == {"openmoji/mae", "openmoji/mae/0"}


def test_diverged_runs_are_marked_and_left_out_of_the_mean(folder: Path) -> None:
    params = experiment(folder)
    write_run(folder, "mae", 0, 0.5)
    write_run(folder, "mae", 1, 9.0, status="diverged")
    track(params, folder)
    runs = held(params)
    assert runs["openmoji/mae/1"].info.status == "FAILED"
    assert "the loss is inf" in runs["openmoji/mae/1"].data.tags["mlflow.note.content"]
    assert runs["openmoji/mae"].data.metrics["mean/mae"] == 0.5
    assert (runs["openmoji/mae"].data.metrics["seeds"], runs["openmoji/mae"].data.metrics["seeds_ok"]) == (2, 1)


def test_an_interrupted_write_is_made_good(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = experiment(folder)
    place = write_run(folder, "mae", 0, 0.5)
    model = (place / "model.safetensors").read_bytes()

    class Killed(Exception):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", killed)
        with pytest.raises(Killed):
            track(params, folder)
    assert (place / "model.safetensors").read_bytes() == model
    track(params, folder)
    runs = held(params)
    assert set(runs) == {"openmoji/mae", "openmoji/mae/0"}
    assert runs["openmoji/mae/0"].data.metrics["final/mae"] == 0.5


def test_a_bad_uri_is_one_line_that_names_the_key(folder: Path) -> None:
    write_run(folder, "mae", 0, 0.5)
    with pytest.raises(UserError, match=r"^params\.yaml: tracking\.uri: ") as caught:
        track(experiment(folder, uri="gopher://nowhere"), folder)
    assert "\n" not in str(caught.value)


def test_flatten() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": None}}, "e": [1]}) == {"a.b": "1", "a.c.d": "None", "e": "[1]"}
    assert json.dumps(flatten({})) == "{}"


def test_a_store_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    """MLflow is killed while it makes its database; the next call makes it."""
    params = experiment(tmp_path)
    write_run(tmp_path, "mae", 0, 0.1)
    script = "import sys; from pipeline.track import make_store; make_store(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", script, params.tracking.uri], cwd=ROOT, stderr=subprocess.DEVNULL)
    new = tmp_path / "mlflow.db.new/mlflow.db"
    while not (new.exists() and new.stat().st_size > 200_000):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "mlflow.db").exists()
    track(params, tmp_path)
    assert {"openmoji/mae", "openmoji/mae/0"} == set(held(params))
    assert not new.parent.exists()


def test_a_store_that_is_half_made_is_named(tmp_path: Path) -> None:
    params = experiment(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("CREATE TABLE review_queues (queue_id VARCHAR(36))")
    with pytest.raises(UserError, match=r"mlflow\.db: MLflow can't use this database .*already exists.*; if a process was killed"):
        track(params, tmp_path)
