"""Trainings as MLflow shows them while they go: from the files that they write, a row at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from tracked import ROOT, cells_of, curves_in, every_run, experiment, grids_in, held, history_of, record_of, write_progress, write_run

from cgm.core.errors import UserError
from cgm.core.files import remove, write_json, write_text
from pipeline.track import track
from pipeline.tracking.follow import LOG, Follower, follow
from pipeline.tracking.record import NAME as RUN
from pipeline.tracking.record import PARENT, STATE
from pipeline.tracking.store import alone

NAME = "openmoji/pix2pix/0"
STARTED = "2026-01-02T03:04:05+00:00"


def write_params(folder: Path) -> None:
    raw = yaml.safe_load((ROOT / "experiments/smoke.yaml").read_text())
    raw |= {"seeds": [0, 1], "methods": {"mae": {}, "pix2pix": {}}, "unpaired": {"datasets": {}, "methods": {}}}
    raw["tracking"]["uri"] = f"sqlite:///{folder}/mlflow.db"
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))


def train(folder: Path, rows: int, seed: int = 0, pid: int | None = None, fingerprint: str = "f") -> Path:
    """What a training has written after so many rows."""
    place = folder / "build/live/openmoji/pix2pix" / str(seed)
    about = {"dataset": "openmoji", "method": "pix2pix", "seed": seed, "steps": 40, "kimg": 0.32, "fingerprint": fingerprint}
    write_json(place / "run.json", {**about, "pid": os.getpid() if pid is None else pid, "started": STARTED})
    write_text(place / "history.csv", history_of(rows))
    write_progress(place, [8 * row for row in range(4, rows + 1, 4)])
    return place


def finish(folder: Path, rows: int = 40) -> Path:
    place = write_run(folder, "pix2pix", 0, 0.5, history=history_of(rows))
    write_json(place / "run.json", record_of("pix2pix", 0) | {"kimg": rows * 8 / 1000})
    write_progress(place, [8 * row for row in range(4, rows + 1, 4)])
    remove(folder / "build/live/openmoji/pix2pix/0")
    return place


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_training_runs_grows_and_finishes_as_one_run(folder: Path) -> None:
    write_params(folder)
    params, follower = experiment(folder), Follower(folder, log=lambda line: None)
    train(folder, 10)
    assert follower.look()
    assert not follower.look()  # nothing has changed
    (run_id,) = {run.info.run_id for name, run in held(params).items() if name == NAME}
    run = held(params)[NAME]
    assert run.info.status == "RUNNING"
    assert run.info.start_time == 1767323045000
    assert held(params)["openmoji/pix2pix"].info.status == "RUNNING"
    assert run.data.tags[PARENT] == held(params)["openmoji/pix2pix"].info.run_id
    assert curves_in(params, run) == cells_of(history_of(10))
    client = MlflowClient(params.tracking.uri)
    memory = client.get_metric_history(run_id, "system/memory_megabytes")
    assert [(point.step, point.value) for point in memory] == [(0, pytest.approx(2.0)), (3, pytest.approx(2.000001))]
    assert [point.step for point in client.get_metric_history(run_id, "images_per_second")] == [32, 64]
    assert run.data.tags["mlflow.loggedImages"] == "True"

    for rows in (20, 39):
        train(folder, rows)
        follower.look()
    assert curves_in(params, held(params)[NAME]) == cells_of(history_of(39))
    finish(folder)
    follower.look()
    run = held(params)[NAME]
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert curves_in(params, run) == cells_of(history_of(40))
    assert run.data.metrics["final/mae"] == 0.5
    assert grids_in(params, run) == [8 * row for row in range(4, 41, 4)]
    assert len(every_run(params)) == 2


def test_a_killed_training_is_shown_as_one_and_goes_on(folder: Path) -> None:
    write_params(folder)
    params = experiment(folder)
    train(folder, 10, pid=ended_process())
    track(params, folder)
    run = held(params)[NAME]
    assert run.info.status == "KILLED"
    train(folder, 20)
    track(params, folder)
    again = held(params)[NAME]
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "RUNNING")
    assert curves_in(params, again) == cells_of(history_of(20))
    assert grids_in(params, again) == [32, 64, 96, 128, 160]
    remove(folder / "build/live")  # cleaned away, and nothing finished
    track(params, folder)
    assert held(params)[NAME].info.status == "KILLED"


@pytest.mark.parametrize("fingerprint", ["another", "f"])
def test_another_training_of_the_same_name_is_another_run(folder: Path, fingerprint: str) -> None:
    """Told by its fingerprint; where it has none that is known, by where its curves begin."""
    write_params(folder)
    params = experiment(folder)
    train(folder, 10, pid=ended_process())
    track(params, folder)
    first = held(params)[NAME].info.run_id
    place = train(folder, 5, fingerprint=fingerprint)
    if fingerprint == "f":
        write_text(place / "history.csv", history_of(5, seed=7))
    track(params, folder)
    second = held(params)[NAME]
    assert second.info.run_id != first
    assert curves_in(params, second) == cells_of(history_of(5, seed=7 if fingerprint == "f" else 0))
    old = MlflowClient(params.tracking.uri).get_run(first)
    assert (old.info.status, old.data.tags[STATE]) == ("KILLED", "superseded")


def test_the_results_that_are_trained_anew_count_until_then(folder: Path) -> None:
    write_params(folder)
    params = experiment(folder)
    place = finish(folder)
    track(params, folder)
    first = held(params)[NAME].info.run_id
    shutil.rmtree(place)
    train(folder, 3)
    track(params, folder)
    assert {run.info.run_id: run.data.tags[STATE] for run in every_run(params)}[first] == "current"
    finish(folder, rows=39)
    track(params, folder)
    assert {run.info.run_id: run.data.tags[STATE] for run in every_run(params)}[first] == "superseded"
    assert held(params)[NAME].info.run_id != first


def test_results_that_come_back_count_and_the_training_anew_is_set_apart(folder: Path) -> None:
    write_params(folder)
    params = experiment(folder)
    place = finish(folder)
    track(params, folder)
    first = held(params)[NAME].info.run_id
    aside = place.rename(folder / "aside")
    train(folder, 3)
    track(params, folder)
    assert len(MlflowClient(params.tracking.uri).search_runs(["1"], f"tags.`{RUN}` = '{NAME}' AND attributes.status = 'RUNNING'")) == 1
    remove(folder / "build/live/openmoji/pix2pix/0")
    aside.rename(place)
    track(params, folder)
    runs = [run for run in every_run(params) if run.data.tags[RUN] == NAME]
    assert {run.info.run_id == first: (run.data.tags[STATE], run.info.status) for run in runs} == {
        True: ("current", "FINISHED"),
        False: ("superseded", "KILLED"),
    }
    assert held(params)[NAME].info.run_id == first
    assert track(params, folder).written == []


def test_one_writer_at_a_time_and_a_dead_ones_lock_is_free(folder: Path) -> None:
    script = "import sys, time; from pathlib import Path; from pipeline.tracking.store import alone\n"
    script += "with alone(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    other = subprocess.Popen([sys.executable, "-c", script, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=r"^build/tracking\.lock: held for 0 s by another"), alone(folder, seconds=0.1):
        pass
    other.kill()
    other.wait()
    with alone(folder, seconds=30):
        pass


def test_what_the_store_refuses_is_told_once_and_made_good(folder: Path) -> None:
    write_params(folder)
    (folder / "build").mkdir()
    database, aside, stop = folder / "mlflow.db", folder / "aside.db", threading.Event()
    database.rename(aside)
    database.write_text("no database")
    train(folder, 10)
    thread = threading.Thread(target=follow, args=(folder, 0.2, stop))
    thread.start()
    try:
        wait_for(lambda: "error:" in (folder / LOG).read_text())
        time.sleep(2)
        assert (folder / LOG).read_text().count("is no whole database of MLflow's") == 1
        aside.replace(database)
        wait_for(lambda: f"{NAME}: trains" in (folder / LOG).read_text())
    finally:
        stop.set()
        thread.join()
    params = experiment(folder)
    assert curves_in(params, held(params)[NAME]) == cells_of(history_of(10))


def test_ctrl_c_ends_it_cleanly(folder: Path) -> None:
    write_params(folder)
    train(folder, 10)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "follow", "--seconds", "0.5"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: (folder / LOG).exists() and "trains" in (folder / LOG).read_text())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert len(out.splitlines()) == 1


def wait_for(condition, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError):
            if condition():
                return
        time.sleep(0.1)
    raise AssertionError("it didn't come about")
