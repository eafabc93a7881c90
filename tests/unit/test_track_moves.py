"""A project's folder is moved, copied, renamed: its store follows, and nothing is written to where it was."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tracked import artifacts_in, every_run, experiment, held, write_run

from pipeline.track import track
from pipeline.tracking.store import PROJECT, heal, identity, make_database

FILES = {"run.json", "metrics.json", "grid.png", "model.safetensors", "config.json"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, tracked."""
    folder = tmp_path_factory.mktemp("before")
    for seed in (0, 1):
        write_run(folder, "pix2pix", seed, 0.5)
    make_database(folder / "mlflow.db")
    track(experiment(folder), folder)
    return folder


def all_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def places_in(folder: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
        found = {row[0] for row in database.execute("SELECT artifact_location FROM experiments")}
        return found | {row[0] for row in database.execute("SELECT artifact_uri FROM runs")}


def check_whole(folder: Path) -> None:
    """Every artifact is listed and can be read, and no place is outside the folder."""
    params = experiment(folder)
    runs = held(params)
    assert set(runs) == {"openmoji/pix2pix", "openmoji/pix2pix/0", "openmoji/pix2pix/1"}
    for seed in (0, 1):
        run = runs[f"openmoji/pix2pix/{seed}"]
        assert artifacts_in(params, run) == FILES
        local = MlflowClient(params.tracking.uri).download_artifacts(run.info.run_id, "model.safetensors")
        assert Path(local).read_bytes() == (folder / f"results/openmoji/pix2pix/{seed}/model.safetensors").read_bytes()
    assert artifacts_in(params, runs["openmoji/pix2pix"], "grids") == {"grids/seed-0.png", "grids/seed-1.png"}
    assert all(place.startswith(f"{folder.as_uri()}/") for place in places_in(folder)), places_in(folder)


@pytest.mark.parametrize("name", ["after", "a name with spaces", "Größe 50% #1"])
def test_moved(made: Path, tmp_path: Path, name: str) -> None:
    old, new = tmp_path / "old", tmp_path / name
    shutil.copytree(made, old)
    heal(old / "mlflow.db")  # as if it had been made there
    old.rename(new)
    params = experiment(new)
    before = {run.info.run_id for run in every_run(params)}
    write_run(new, "pix2pix", 1, 0.25)
    track(params, new)
    assert not old.exists()
    check_whole(new)
    (earlier,) = {run.info.run_id for run in every_run(params)} - {run.info.run_id for run in held(params).values()}
    assert earlier in before  # the superseded run came along, with its artifacts
    assert artifacts_in(params, MlflowClient(params.tracking.uri).get_run(earlier)) == FILES


def test_copied_and_both_go_on(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    before = all_files(made)
    write_run(copy, "pix2pix", 0, 0.125)
    track(experiment(copy), copy)
    check_whole(copy)
    assert all_files(made) == before
    assert track(experiment(made), made).written == []
    check_whole(made)


def test_cloned_and_results_brought_over(made: Path, tmp_path: Path) -> None:
    """Git keeps no store: it is made anew from the results."""
    clone = tmp_path / "clone"
    shutil.copytree(made / "results", clone / "results")
    track(experiment(clone), clone)
    check_whole(clone)


def test_what_is_elsewhere_on_purpose_stays(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(made, folder)
    mine = f"file:///data/{tmp_path.name}/mlartifacts/mine"
    MlflowClient(f"sqlite:///{folder}/mlflow.db").create_experiment("mine", artifact_location=mine)
    assert heal(folder / "mlflow.db") > 0
    assert heal(folder / "mlflow.db") == 0
    assert {place for place in places_in(folder) if not place.startswith(folder.as_uri())} == {mine}


def test_a_moved_folder_stays_itself_on_a_server_and_a_copy_is_another(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    name = identity(first)
    assert identity(first) == name
    first.rename(tmp_path / "second")
    assert identity(tmp_path / "second") == name
    shutil.copytree(tmp_path / "second", tmp_path / "copy")
    assert identity(tmp_path / "copy") != name
    assert identity(tmp_path / "second") == name
    (tmp_path / "second" / PROJECT).write_text("half a fi")
    assert identity(tmp_path / "second") not in (name, identity(tmp_path / "copy"))
