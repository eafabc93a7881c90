"""The MLflow writer against a real MLflow store (sqlite) and real files."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image
from tracked import artifacts_in, every_run, experiment, held, write_progress, write_run

from cgm.core.errors import UserError
from cgm.core.files import read_json, write_json
from pipeline.track import RECORD, track
from pipeline.tracking.record import NAME, PARENT, STATE, SUCCESSOR, SUPERSEDED, UNLISTED, flatten

ROOT = Path(__file__).parents[2]


def test_logs_parameters_curves_metrics_and_artifacts(folder: Path) -> None:
    params = experiment(folder)
    for seed, mae in ((0, 0.25), (1, 0.75)):
        write_run(folder, "pix2pix", seed, mae)
    track(params, folder)

    runs = held(params)
    assert set(runs) == {"openmoji/pix2pix", "openmoji/pix2pix/0", "openmoji/pix2pix/1"}
    run = runs["openmoji/pix2pix/1"]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"l1_weight": "100.0"}
    assert run.data.metrics["final/mae"] == 0.75
    assert "final/fid" not in run.data.metrics
    assert run.data.tags["supervision"] == "paired"
    assert run.data.tags["experiment"] == "smoke"
    assert run.data.tags[PARENT] == runs["openmoji/pix2pix"].info.run_id
    client = MlflowClient(params.tracking.uri)
    curve = client.get_metric_history(run.info.run_id, "G/l1")
    assert [(point.step, point.value) for point in curve] == [(8, 1.5), (16, 0.75)]
    assert [point.step for point in client.get_metric_history(run.info.run_id, "val/mae")] == [16]
    assert artifacts_in(params, run) == {"run.json", "metrics.json", "grid.png", "model.safetensors", "config.json"}
    assert list((folder / "mlartifacts").rglob("model.safetensors"))
    parent = runs["openmoji/pix2pix"].data.metrics
    assert parent["mean/mae"] == 0.5
    assert parent["n/mae"] == 2
    t = 12.706204736  # of one degree of freedom, at 97.5%
    assert parent["half_width/mae"] == pytest.approx(t * 0.25)
    assert artifacts_in(params, runs["openmoji/pix2pix"], "grids") == {"grids/seed-0.png", "grids/seed-1.png"}
    assert set(read_json(folder / RECORD)) == {"openmoji/pix2pix/0", "openmoji/pix2pix/1"}


def test_only_what_changed_is_rewritten_and_what_was_before_is_kept(folder: Path) -> None:
    params = experiment(folder)
    for method in ("mae", "pix2pix"):
        for seed in (0, 1):
            write_run(folder, method, seed, 0.5)
    assert track(params, folder).written
    before = held(params)
    assert track(params, folder).written == []
    assert {name: run.info.run_id for name, run in held(params).items()} == {name: run.info.run_id for name, run in before.items()}

    place = write_run(folder, "pix2pix", 1, 0.1)
    track(params, folder)
    after = held(params)
    assert {name for name in after if after[name].info.run_id != before[name].info.run_id} == {"openmoji/pix2pix/1"}
    assert after["openmoji/pix2pix"].data.metrics["mean/mae"] == pytest.approx(0.3)
    for seed in (0, 1):
        assert after[f"openmoji/pix2pix/{seed}"].data.tags[PARENT] == after["openmoji/pix2pix"].info.run_id

    old = MlflowClient(params.tracking.uri).get_run(before["openmoji/pix2pix/1"].info.run_id)
    assert old.info.lifecycle_stage == "active"
    assert old.data.tags[STATE] == SUPERSEDED
    assert old.data.tags[SUCCESSOR] == after["openmoji/pix2pix/1"].info.run_id
    earlier = MlflowClient(params.tracking.uri).get_run(old.data.tags[PARENT])  # one row, unfolded by hand, the last of all
    assert earlier.data.tags[NAME] == "earlier runs"
    assert earlier.info.start_time < min(run.info.start_time for run in every_run(params))
    assert old.data.metrics["final/mae"] == 0.5
    assert artifacts_in(params, old) >= {"model.safetensors"}

    shutil.rmtree(place)  # the earlier results come back, from DVC's cache for example: so does their run
    write_run(folder, "pix2pix", 1, 0.5)
    assert set(track(params, folder).written) == {"openmoji/mae", "openmoji/pix2pix"}  # the parents; no seed
    again = held(params)
    assert again["openmoji/pix2pix/1"].info.run_id == old.info.run_id
    assert SUCCESSOR not in again["openmoji/pix2pix/1"].data.tags
    assert len(every_run(params)) == 7


def test_a_training_that_is_repeated_with_the_same_outcome_is_the_same_run(folder: Path) -> None:
    params = experiment(folder)
    place = write_run(folder, "mae", 0, 0.5)
    track(params, folder)
    write_json(place / "run.json", read_json(place / "run.json") | {"seconds": 99.0, "images_per_second": 1.0, "resumed": 3})
    assert track(params, folder).written == []


def test_takes_finished_runs_only_and_sets_apart_those_no_longer_listed(folder: Path) -> None:
    params = experiment(folder)
    for seed in (0, 1):
        write_run(folder, "mae", seed, 0.5)
    (write_run(folder, "pix2pix", 0, 0.5) / "history.csv").unlink()
    track(params, folder)
    assert set(held(params)) == {"openmoji/mae", "openmoji/mae/0", "openmoji/mae/1"}

    fewer = experiment(folder, seeds=(0,))
    track(fewer, folder)
    assert set(held(fewer)) == {"openmoji/mae", "openmoji/mae/0"}
    (apart,) = (run for run in every_run(fewer) if run.data.tags[STATE] == UNLISTED)
    assert (apart.data.tags[NAME], apart.info.lifecycle_stage) == ("openmoji/mae/1", "active")
    track(params, folder)
    assert held(params)["openmoji/mae/1"].info.run_id == apart.info.run_id


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
        patch.setattr(MlflowClient, "set_terminated", killed)
        with pytest.raises(Killed):
            track(params, folder)
    assert (place / "model.safetensors").read_bytes() == model
    track(params, folder)
    runs = held(params)
    assert set(runs) == {"openmoji/mae", "openmoji/mae/0"}
    assert runs["openmoji/mae/0"].data.metrics["final/mae"] == 0.5


def test_grids_are_what_mlflow_itself_would_log(folder: Path) -> None:
    """By name, size of the thumbnail and tag, so that its pages show them; the pixels are the file's own."""
    params = experiment(folder)
    place = write_run(folder, "mae", 0, 0.5)
    write_progress(place, [32, 64])
    track(params, folder)
    run, client = held(params)["openmoji/mae/0"], MlflowClient(params.tracking.uri)
    own = client.create_run(run.info.experiment_id)
    for step in (32, 64):
        with Image.open(place / f"progress/{step:09d}.png") as image:
            client.log_image(own.info.run_id, image, key="samples", step=step)

    def logged(run_id: str) -> dict[str, Path]:
        images = Path(client.download_artifacts(run_id, "images"))
        return {re.sub(r"timestamp\+\d+\+[0-9a-f-]{36}", "…", path.name): path for path in images.iterdir()}

    ours, theirs = logged(run.info.run_id), logged(own.info.run_id)
    assert set(ours) == set(theirs)
    assert len(ours) == 4
    for name, path in ours.items():
        with Image.open(path) as image, Image.open(theirs[name]) as same:
            assert (image.size, image.format, image.tobytes()) == (same.size, same.format, same.tobytes())
    for step in (32, 64):
        assert ours[f"samples+step+{step}+….png"].read_bytes() == (place / f"progress/{step:09d}.png").read_bytes()
    tag = client.get_run(own.info.run_id).data.tags["mlflow.loggedImages"]
    assert run.data.tags["mlflow.loggedImages"] == tag


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
    script = "import sys; from pathlib import Path; from pipeline.tracking.store import make_database; make_database(Path(sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "mlflow.db")], cwd=ROOT, stderr=subprocess.DEVNULL)
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
    with pytest.raises(UserError, match=r"mlflow\.db: is no whole database of MLflow's; `python -m pipeline\.track --rebuild`"):
        track(params, tmp_path)
