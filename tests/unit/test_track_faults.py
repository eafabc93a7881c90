"""What may go wrong with a store: each is one line, and the next call makes it good."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from tracked import ROOT, artifacts_in, curves_in, every_run, experiment, held, write_run

from cgm.core.errors import UserError
from cgm.core.files import write_text
from cgm.experiment.params import Params
from cgm.experiment.reading import parse_params
from pipeline.track import track
from pipeline.tracking import store
from pipeline.tracking.rebuild import rebuild
from pipeline.tracking.view import KIND, NOTE, TRAINING


def refused(folder: Path, uri: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        track(experiment(folder, uri=uri), folder)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("params.yaml: tracking.uri: ")
    return line


def set_version(path: Path, version: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))


@pytest.mark.parametrize("version", ["451aebb31d03", "ffffffffffff"])  # of MLflow 1.x, and of one that is yet to come
def test_a_database_of_another_version_is_named_and_rebuilt(folder: Path, version: str) -> None:
    write_run(folder, "mae", 0, 0.5)
    track(experiment(folder), folder)
    before = held(experiment(folder))
    again = folder / "again"  # MLflow looks at the version of a database that it opens for the first time
    shutil.copytree(folder / "results", again / "results")
    shutil.copy(folder / "mlflow.db", again)
    folder, params = again, experiment(again)
    set_version(folder / "mlflow.db", version)
    assert "mlflow.db: was written by another version of MLflow; `python -m pipeline.track --rebuild`" in refused(folder)
    rebuild(params, folder)
    after = held(params)
    assert set(after) == set(before)
    assert {run.info.run_id for run in after.values()}.isdisjoint(run.info.run_id for run in before.values())
    assert artifacts_in(params, after["openmoji/mae/0"]) == {"run.json", "metrics.json", "grid.png", "model.safetensors", "config.json"}
    assert (folder / "mlflow.old/mlflow.db").exists()
    assert not (folder / "mlflow.db.new").exists()
    assert track(params, folder).written == []


def test_a_rebuilt_store_has_everything_and_the_old_one_can_still_be_opened(folder: Path) -> None:
    params = experiment(folder)
    for seed in (0, 1):
        write_run(folder, "mae", seed, 0.5)
    track(params, folder)
    old = {name: run.info.run_id for name, run in held(params).items()}
    write_run(folder, "mae", 1, 0.25)
    track(params, folder)
    numbers = numbers_in(params)
    rebuild(params, folder)
    assert numbers_in(params) == numbers
    assert len(every_run(params)) == 3  # what was superseded is in the old one
    aside = params.model_copy(update={"tracking": params.tracking.model_copy(update={"uri": f"sqlite:///{folder}/mlflow.old/mlflow.db"})})
    kept = MlflowClient(aside.tracking.uri).get_run(old["openmoji/mae/1"])
    assert artifacts_in(aside, kept) >= {"model.safetensors"}
    assert not any((folder / "mlartifacts/cgm-smoke").glob(old["openmoji/mae/1"]))


def numbers_in(params: Params) -> dict[str, tuple]:
    runs = held(params)
    seeds = {name: curves_in(params, run) for name, run in runs.items() if run.data.tags["level"] == "seed"}
    return {name: (run.data.metrics, run.data.params, seeds.get(name)) for name, run in runs.items()}


def test_a_killed_rebuild_leaves_the_store_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = experiment(folder)
    write_run(folder, "mae", 0, 0.5)
    track(params, folder)
    before = (folder / "mlflow.db").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rebuild(params, folder)
    assert (folder / "mlflow.db").read_bytes() == before
    assert track(params, folder).written == []


def test_a_database_that_another_process_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(folder, "mae", 0, 0.5)
    track(experiment(folder), folder)
    write_run(folder, "mae", 0, 0.25)
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(store, "LOCKED_SECONDS", 0.2)
        assert "another process holds the database" in refused(folder)
    track(experiment(folder), folder)
    assert held(experiment(folder))["openmoji/mae/0"].data.metrics["final/mae"] == 0.25


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_database_that_cannot_be_written(folder: Path) -> None:
    write_run(folder, "mae", 0, 0.5)
    (folder / "mlflow.db").chmod(0o400)
    assert "can't be written" in refused(folder)


def test_a_full_disk(folder: Path) -> None:
    """A database that may not grow stands for one."""
    write_run(folder, "mae", 0, 0.5)
    write_text(folder / "params.yaml", yaml.safe_dump(params_of(folder)))
    lines = (
        "import resource, signal",
        "from cgm.core.errors import UserError",
        "from cgm.experiment.reading import load_params",
        "from pipeline.track import track",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))",
        "try: track(load_params())",
        "except UserError as error: print(f'told: {error}')",
    )
    script = "\n".join(lines)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("told: params.yaml: tracking.uri: "), done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1
    track(experiment(folder), folder)
    assert set(held(experiment(folder))) == {"openmoji/mae", "openmoji/mae/0"}


def params_of(folder: Path) -> dict:
    raw = yaml.safe_load((ROOT / "experiments/smoke.yaml").read_text())
    raw |= {"seeds": [0, 1], "methods": {"mae": {}, "pix2pix": {}}, "unpaired": {"datasets": {}, "methods": {}}}
    return raw


def test_no_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a-secret-word")
    write_run(folder, "mae", 0, 0.5)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        line = refused(folder, uri=f"http://127.0.0.1:{probe.getsockname()[1]}")
    assert "no answer; start the server" in line
    assert "a-secret-word" not in line
    written = [path for path in folder.rglob("*") if path.is_file() and b"a-secret-word" in path.read_bytes()]
    assert written == []


@pytest.mark.parametrize(
    "uri", ["http://ada:a-secret-word@127.0.0.1:5000", "http://ada@host", "postgresql://ada:a-secret-word@host/mlflow"]
)
def test_a_password_in_params_yaml_is_refused_and_not_repeated(folder: Path, uri: str) -> None:
    with pytest.raises(UserError, match=r"^params\.yaml: tracking\.uri: holds a name or password, .*MLFLOW_TRACKING_PASSWORD") as caught:
        experiment(folder, uri=uri)
    assert "a-secret-word" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_user_of_a_database_may_stand_there() -> None:
    raw = yaml.safe_load((ROOT / "experiments/smoke.yaml").read_text())
    raw["tracking"] = {"uri": "postgresql://ada@host/mlflow"}
    assert parse_params(raw).tracking.uri == "postgresql://ada@host/mlflow"


def test_the_experiment_is_one_of_training_and_described(folder: Path) -> None:
    params = experiment(folder)
    write_run(folder, "mae", 0, 0.5)
    track(params, folder)
    found = MlflowClient(params.tracking.uri).get_experiment_by_name("cgm-smoke")
    assert found.tags[KIND] == TRAINING == "custom_model_development"
    assert "earlier runs" in found.tags[NOTE]
    assert found.artifact_location == (folder / "mlartifacts/cgm-smoke").as_uri()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    write_text(tmp_path / "params.yaml", yaml.safe_dump(params_of(tmp_path)))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "pipeline.ui", str(port)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: port {port} is taken; run: make ui PORT={port + 1}\n"
