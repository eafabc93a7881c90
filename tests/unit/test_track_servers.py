"""Tracking servers for real: MLflow's own, over SQLite and over PostgreSQL, killed and started again, with two projects at once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from tracked import ROOT, artifacts_in, cells_of, curves_in, every_run, experiment, grids_in, held, history_of, write_progress, write_run

from cgm.experiment.params import Params

pytestmark = pytest.mark.slow
ROWS = 60
PROGRAMS = next((path for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True) if (path / "initdb").exists()), None)
OWNER = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
"""PostgreSQL refuses to run as root."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty database."""
    if PROGRAMS is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("no psycopg2 here, by which MLflow speaks to PostgreSQL: it is among the dev packages")
    folder, port = Path(tmp_path_factory.mktemp("postgres")), free_port()
    if OWNER:
        for parent in (folder, *list(folder.parents)[:3]):
            if parent != Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    subprocess.run([PROGRAMS / "initdb", "-D", data, "-U", "cgm", "-A", "trust", "-E", "UTF8"], check=True, capture_output=True, **OWNER)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    control = [PROGRAMS / "pg_ctl", "-D", data, "-w", "-t", "300"]
    subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **OWNER)
    try:
        subprocess.run([PROGRAMS / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "cgm", "mlflow"], check=True, **OWNER)
        yield f"postgresql://cgm@127.0.0.1:{port}/mlflow"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **OWNER)


class Server:
    def __init__(self, folder: Path, backend: str) -> None:
        self.folder, self.backend, self.port = folder, backend, free_port()
        folder.mkdir()
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "2"]
        command += ["--backend-store-uri", self.backend, "--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            )
        end = time.monotonic() + 300
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.2)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    backend = request.getfixturevalue("postgres") if request.param == "postgresql" else f"sqlite:///{tmp_path}/server.db"
    made = Server(tmp_path / "server", backend)
    yield made
    if made.process.poll() is None:
        made.kill()


def project(folder: Path, uri: str, name: str) -> Path:
    raw = yaml.safe_load((ROOT / "experiments/smoke.yaml").read_text())
    raw |= {"seeds": [0, 1, 2, 3], "methods": {"mae": {}, "pix2pix": {}}, "unpaired": {"datasets": {}, "methods": {}}}
    raw |= {"experiment": name, "tracking": {"uri": uri, "experiment": "cgm"}}
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))
    for method in ("mae", "pix2pix"):
        for seed in range(4):
            place = write_run(folder, method, seed, 0.25 + seed, history=history_of(ROWS, seed, columns=30))
            write_progress(place, [160, 320])
    return folder


def track(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.track"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def named(uri: str, name: str) -> Params:
    return experiment(Path(), uri=uri).model_copy(update={"experiment": name})


def check_whole(uri: str, name: str, runs: int = 8, projects: int = 1) -> None:
    """Every number of every history is there once."""
    params = named(uri, name)
    found = [run for run in every_run(params) if run.data.tags["level"] == "seed" and run.data.tags["state"] == "current"]
    assert len(found) == runs * projects
    for run in found:
        assert curves_in(params, run) == cells_of(history_of(ROWS, int(run.data.tags["seed"]), columns=30)), run.info.run_name
        assert artifacts_in(params, run) >= {"run.json", "grid.png", "model.safetensors", "config.json", "params.yaml", "images"}
        assert grids_in(params, run) == [160, 320]


def test_the_server_is_killed_in_the_middle_and_nothing_is_lost(server: Server, tmp_path: Path) -> None:
    folder, name = project(tmp_path / "project", server.uri, "killed"), "cgm-killed"
    first = track(folder)
    client = MlflowClient(server.uri)
    begun: list[object] = []
    while len(begun) < 4:  # a parent and three seeds, the last of which is being written
        assert first.poll() is None
        known = client.get_experiment_by_name(name)
        begun = list(client.search_runs([known.experiment_id])) if known else []
        time.sleep(0.05)
    server.kill()
    _, said = first.communicate()
    assert first.returncode == 2
    assert len(said.splitlines()) == 1
    assert said.startswith(f"error: params.yaml: tracking.uri: {server.uri}: no answer; start the server")
    server.start()
    second = track(folder)
    assert (second.communicate()[1], second.returncode) == ("", 0)
    check_whole(server.uri, "killed")
    assert len(every_run(named(server.uri, "killed"))) == 10
    before = {run.info.run_id for run in client.search_runs([client.get_experiment_by_name(name).experiment_id])}
    third = track(folder)
    assert (third.communicate()[1], third.returncode) == ("", 0)
    assert {run.info.run_id for run in client.search_runs([client.get_experiment_by_name(name).experiment_id])} == before


def test_two_projects_write_at_once(server: Server, tmp_path: Path) -> None:
    """Into the same experiment: each keeps to its own runs."""
    folders = [project(tmp_path / each, server.uri, "shared") for each in ("one", "two")]
    write_run(folders[1], "mae", 0, 0.125, history=history_of(ROWS, 0, columns=30))
    for _ in range(2):
        processes = [track(folder) for folder in folders]
        assert [(process.communicate()[1], process.returncode) for process in processes] == [("", 0), ("", 0)]
        check_whole(server.uri, "shared", projects=2)
    tags = {
        run.data.tags["cgm.project"] for run in every_run(experiment(Path(), uri=server.uri).model_copy(update={"experiment": "shared"}))
    }
    assert len(tags) == 2


def test_eight_runs_on_a_local_database_whose_writer_is_killed(tmp_path: Path) -> None:
    folder = project(tmp_path / "project", "sqlite:///mlflow.db", "smoke")
    params = experiment(folder, seeds=(0, 1, 2, 3))
    first = track(folder)
    while not list((folder / "mlartifacts").glob("*/*/artifacts/model.safetensors"))[2:]:
        assert first.poll() is None
        time.sleep(0.02)
    first.kill()
    first.communicate()
    second = track(folder)
    assert (second.communicate()[1], second.returncode) == ("", 0)
    check_whole(params.tracking.uri, "smoke")
    assert len(held(params)) == 10
