"""Archives of finished runs: what goes into them, and what of them a checkout takes in; with both engines in tests/workflow."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from code_cache import give_code_cache
from safetensors.numpy import save_file

from cgm.core.errors import UserError
from cgm.core.files import read_json, replacing, sha256, write_json, write_text
from cgm.data.prepared import Prepared
from cgm.experiment import paths
from cgm.experiment.params import Run
from cgm.methods import left_weights
from pipeline import adopt, agreement, archives, fingerprint
from pipeline.archives import Archives
from pipeline.stage_table import Table, load_table
from pipeline.train import resolved

ROOT = Path(__file__).parents[2]
SEEDS = range(5)
RUNS = [Run(dataset="openmoji", method="mae", seed=seed) for seed in SEEDS]
PICTURES, WEIGHTS = 20_000, 30_000
"""Bytes of a run's outputs and weights; random ones, which no compression makes smaller."""
PROGRESS = ("000000000.png", "000000048.png", "system.csv")


@pytest.fixture(scope="module")
def first(small: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with data, which both engines know."""
    root = tmp_path_factory.mktemp("first")
    raw = yaml.safe_load((ROOT / "experiments/smoke.yaml").read_text())
    raw |= {"seeds": list(SEEDS), "methods": {"mae": {}}, "unpaired": {"datasets": {}, "methods": {}}}
    raw["datasets"]["openmoji"]["image_size"] = [32, 32]  # a tuple in the settings, a list in run.json
    write_text(root / "params.yaml", yaml.safe_dump(raw))
    for name in ("dvc.yaml", ".dvc/config", "data/embedded/manifest.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    for folder in ("cgm", "pipeline"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    give_code_cache(root)
    subprocess.run(["git", "init", "--quiet", root], check=True)
    table = load_table(root)
    with contextlib.chdir(root), agreement.adoption(table) as made:
        write_text(root / paths.raw("openmoji") / "source.json", "{}")
        shutil.copytree(small.folder, root / paths.prepared("openmoji"))
        made += [stage for stage in table.jobs() if stage.kind in ("fetch", "prepare")]
    return root


@pytest.fixture(scope="module")
def there(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which every run has been trained, or so it looks."""
    root = tmp_path_factory.mktemp("there") / "project"
    shutil.copytree(first, root)
    table = load_table(root)
    code = fingerprint.contents(table.params, root)["train/openmoji/mae.json"]["code"]
    data = read_json(root / paths.prepared("openmoji") / "card.json")["data_sha256"]
    for run in RUNS:
        folder, random = root / paths.run_folder(run), np.random.default_rng(run.seed)
        folder.mkdir(parents=True)
        save_file({"weight": random.integers(0, 256, WEIGHTS, dtype=np.uint8)}, folder / "model.safetensors")
        record = {"config": resolved(table.params, run), "code_sha256": code, "data_sha256": data}
        write_json(folder / "run.json", {**record, "device": "A GPU", "versions": {"torch": "2.15.0"}})
        write_text(folder / "history.csv", "kimg,step\n")
        for name in ("outputs.npy", "validation.npy"):
            np.save(folder / name, random.integers(0, 256, PICTURES if name == "outputs.npy" else 8, dtype=np.uint8))
        write_text(folder / "grid.png", "a grid")
        for name in PROGRESS:
            write_text(folder / "progress" / name, f"{name} of {run}")
        write_text(folder / "progress/.snakemake_timestamp", "")
    return root


@pytest.fixture
def here(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(first, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def carried(there: Path, tmp_path: Path) -> Path:
    """A folder with archives of two runs, whole."""
    for run in RUNS[:2]:
        assert Archives(tmp_path / "carried").add(run, there) == "whole"
    return tmp_path / "carried"


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir())}


# Archives


def test_results_come_before_weights(there: Path, tmp_path: Path) -> None:
    """Three files, each of which holds two runs' results or one run's weights: the second weights give way to the third results."""
    packed = Archives(tmp_path, file_bytes=50_000, files=3)
    kept = []
    for run in RUNS:
        kept.append(packed.add(run, there))
        assert max(sizes(tmp_path).values()) <= 50_000
    assert kept == ["whole", "whole", *["without weights"] * 3]
    assert list(sizes(tmp_path)) == ["results-1.zip", "results-2.zip", "results-3.zip"]
    assert [packing.origin.run for name in sizes(tmp_path) for packing in archives.read(tmp_path / name)] == [str(run) for run in RUNS]


def test_what_has_no_room_is_left_out(there: Path, tmp_path: Path) -> None:
    Archives(tmp_path / "one", files=1).add(RUNS[0], there)
    (size,) = sizes(tmp_path / "one").values()
    assert Archives(tmp_path / "exact", size, files=1).add(RUNS[0], there) == "without weights"
    assert Archives(tmp_path / "exact", size, files=1).add(RUNS[1], there) == "left out"
    assert Archives(tmp_path / "less", size - 1).add(RUNS[0], there) == "left out"
    assert not (tmp_path / "less").exists()


def test_an_archive_is_written_as_a_whole(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = Archives(tmp_path / "packed")
    packed.add(RUNS[0], there)
    before = sizes(tmp_path / "packed")
    written: list[str] = []
    write = zipfile.ZipFile.writestr

    def killed(self: zipfile.ZipFile, entry: zipfile.ZipInfo, data: bytes) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(entry.filename)
        write(self, entry, data)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", killed)
    with pytest.raises(KeyboardInterrupt):
        packed.add(RUNS[1], there)
    monkeypatch.undo()
    assert sizes(tmp_path / "packed") == before

    for run in (*RUNS[:2], RUNS[0]):  # goes on; what is there already stays
        assert packed.add(run, there) == "whole"
        assert Archives(tmp_path / "again").add(run, there) == "whole"
    for name in sizes(tmp_path / "packed"):
        assert (tmp_path / "packed" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_only_what_was_made_by_what_is_there_is_packed(there: Path, tmp_path: Path) -> None:
    root = tmp_path / "there"
    shutil.copytree(there, root)
    packed = Archives(tmp_path / "packed")
    packed.add(RUNS[0], root)
    write_text(root / paths.run_folder(RUNS[0]) / "history.csv", "another\n")
    with pytest.raises(UserError, match=r"results-1\.zip: holds other results of openmoji/mae/0"):
        packed.add(RUNS[0], root)
    with pytest.raises(UserError, match=r"params\.yaml: openmoji/mae/7 is none of its runs"):
        packed.add(Run(dataset="openmoji", method="mae", seed=7), root)
    os.utime(root / paths.run_folder(RUNS[1]) / "model.safetensors")
    with pytest.raises(UserError, match=r"outputs\.npy: older than the weights"):
        packed.add(RUNS[1], root)
    (root / paths.run_folder(RUNS[2]) / "grid.png").unlink()
    with pytest.raises(UserError, match=r"grid\.png: not found; run the stages 'train' and 'translate' of openmoji/mae/2"):
        packed.add(RUNS[2], root)
    change(root, "training", beta1=0.4)
    with pytest.raises(UserError, match=r"run\.json: config: was another when openmoji/mae/3 was trained"):
        packed.add(RUNS[3], root)


# What a checkout takes


def change(root: Path, group: str, **settings: object) -> None:
    raw = yaml.safe_load((root / "params.yaml").read_text())
    raw[group] |= settings
    write_text(root / "params.yaml", yaml.safe_dump(raw))


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = 0
    try:
        adopt.main([str(argument) for argument in arguments])
    except SystemExit as error:
        code = error.code
    return code, *capsys.readouterr()


def contents(folder: Path) -> dict[str, bytes]:
    """Without what the engines add: DVC a .gitignore, Snakemake a folder's time."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


def test_what_fits_is_taken(here: Path, there: Path, carried: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = called(capsys, carried)
    assert (code, said.splitlines()) == (
        0,
        [*(f"taken openmoji/mae/{seed}: trained on A GPU with torch 2.15.0" for seed in (0, 1)), "2 of 2 runs taken"],
    )
    for run in RUNS[:2]:
        folder = paths.run_folder(run)
        assert contents(folder) == contents(there / folder)
        assert contents(folder).keys() >= {f"progress/{name}" for name in PROGRESS}
    known = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    assert {f"{kind}@openmoji-mae-{seed}" for kind in archives.KINDS for seed in (0, 1)} <= known.keys()
    assert not Path(agreement.MARK).exists()
    assert called(capsys, carried)[1].count("the same results are here already") == 2


def edit_params(root: Path, carried: Path) -> None:
    change(root, "training", learning_rate=0.25)


def edit_code(root: Path, carried: Path) -> None:
    with (root / "cgm/methods/mae.py").open("a") as file:
        file.write("\n\nassert MAE\n")


def remove_data(root: Path, carried: Path) -> None:
    shutil.rmtree(root / paths.prepared("openmoji"))


def damage_member(root: Path, carried: Path) -> None:
    path = carried / "results-1.zip"
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo("results/openmoji/mae/0/outputs.npy.xz").header_offset + 1000] ^= 1
    path.write_bytes(content)


def truncate(root: Path, carried: Path) -> None:
    os.truncate(carried / "results-1.zip", 30_000)


def forget_runs(root: Path, carried: Path) -> None:
    raw = yaml.safe_load((root / "params.yaml").read_text())
    write_text(root / "params.yaml", yaml.safe_dump(raw | {"seeds": [1]}))


def test_other_data_is_refused_by_name(here: Path, there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "there"
    shutil.copytree(there, root)
    for name in (paths.prepared("openmoji") / "card.json", paths.run_folder(RUNS[0]) / "run.json"):
        write_json(root / name, read_json(root / name) | {"data_sha256": "e" * 64})
    Archives(tmp_path / "other").add(RUNS[0], root)
    code, _, error = called(capsys, tmp_path / "other")
    assert code == 2
    assert "refused openmoji/mae/0: data/prepared/openmoji: data_sha256: found eeeeeeeeeeee, expected " in error


@pytest.mark.parametrize(
    ("edit", "message", "taken"),
    [
        (edit_params, "refused openmoji/mae/0: params.yaml: training.learning_rate: found 0.0005, expected 0.25", 0),
        (edit_code, "refused openmoji/mae/0: code of stage train: found ", 0),
        (remove_data, "make it with `snakemake --cores 2 data/prepared/openmoji`", 0),
        (damage_member, "results-1.zip: damaged (Bad CRC-32 for file 'results/openmoji/mae/0/outputs.npy.xz'); copy", 1),
        (truncate, "results-1.zip: damaged (File is not a zip file); copy", 0),
        (forget_runs, "refused openmoji/mae/0: seed=0: not in params.yaml; expected one of 1", 1),
    ],
)
def test_what_differs_is_refused_by_name(
    here: Path, carried: Path, edit: Callable[[Path, Path], None], message: str, taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """And takes no other run down."""
    edit(here, carried)
    code, said, error = called(capsys, carried)
    assert code == 2
    assert message in error
    assert error.count("\n") == (1 if taken or edit is truncate else 2)
    assert f"{taken} of " in said.splitlines()[-1]
    assert len(list(here.glob("results/*/*/*/grid.png"))) == taken


def test_other_results_are_replaced_on_demand(
    here: Path, there: Path, carried: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called(capsys, carried)
    root = tmp_path / "again"
    shutil.copytree(there, root)
    history, progress = paths.run_folder(RUNS[0]) / "history.csv", paths.progress(RUNS[0])
    write_text(root / history, "another\n")
    (root / progress / PROGRESS[0]).unlink()
    Archives(tmp_path / "others").add(RUNS[0], root)
    code, _, error = called(capsys, tmp_path / "others")
    assert code == 2
    assert "results/openmoji/mae/0: other results of the same experiment are here; --replace puts these in their place" in error
    assert (here / history).read_text() == "kimg,step\n"
    assert contents(here / progress).keys() == set(PROGRESS)
    assert called(capsys, tmp_path / "others", "--replace")[0] == 0
    assert (here / history).read_text() == "another\n"
    assert contents(here / progress).keys() == set(PROGRESS[1:])


def test_no_name_in_an_archive_leads_out_of_a_folder(
    here: Path, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An archive made by hand: all its hashes are right."""
    root, name = tmp_path / "again", f"{paths.progress(RUNS[0])}/../../../../escaped"
    shutil.copytree(there, root)
    (root / "results/escaped").write_text("out of the folder")
    made = archives._origin

    def forged(table: Table, run: Run) -> archives.Origin:
        origin = made(table, run)
        return replace(origin, files={**origin.files, name: sha256(root / name)})

    monkeypatch.setattr(archives, "_origin", forged)
    Archives(tmp_path / "forged").add(RUNS[0], root)
    code, _, error = called(capsys, tmp_path / "forged")
    assert code == 2
    assert f"results-1.zip: not the files of openmoji/mae/0: {name} is too much or missing; pack the run again" in error
    assert not list(here.glob("results/*/*/*"))
    assert not (here / "results/escaped").exists()


def test_weights_that_were_left_and_came_later(here: Path, there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, files in (("bare", 1), ("whole", 2)):
        Archives(tmp_path / name, files=files).add(RUNS[0], there)
    assert "; its weights stayed there" in called(capsys, tmp_path / "bare")[1]
    model = paths.run_folder(RUNS[0]) / "model.safetensors"
    assert left_weights.left(here / model) == left_weights.digest(there / model)
    assert Archives(tmp_path / "on").add(RUNS[0], here) == "without weights"
    assert (tmp_path / "on/results-1.zip").read_bytes() == (tmp_path / "bare/results-1.zip").read_bytes()

    assert called(capsys, tmp_path / "whole")[1].startswith("taken ")
    assert (here / model).read_bytes() == (there / model).read_bytes()
    assert called(capsys, tmp_path / "bare")[1].startswith("left openmoji/mae/0: the same results are here already")
    assert (here / model).read_bytes() == (there / model).read_bytes()


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a call that takes nothing."""
    code, said, error = called(capsys, *arguments)
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert not Path("results").exists()
    return error


def test_nothing_is_taken_while_an_engine_is_at_work(here: Path, carried: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no results-*.zip in it" in fails(capsys, tmp_path / "nowhere")
    parent = psutil.Process(os.getppid())
    owner: dict[str, Any] = {"host": socket.gethostname(), "pid": parent.pid, "started": parent.create_time()}
    write_json(here / agreement.ENGINES / "other.json", owner)
    assert f"Snakemake is at work in this folder: process {parent.pid}" in fails(capsys, carried)
    (here / agreement.ENGINES / "other.json").unlink()
    busy = {"write": {str(here / "results"): {"pid": parent.pid, "cmd": "dvc repro"}}, "read": {}}
    with replacing(here / ".dvc/tmp/rwlock") as temporary:
        write_json(temporary, busy)
    assert f"DVC is at work in this folder: process {parent.pid}" in fails(capsys, carried)
