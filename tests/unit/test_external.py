"""Pictures that were made elsewhere: the same metrics as a run's own outputs, empties where nobody knows, and errors that name them."""

from __future__ import annotations

import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_runs import COUNT, DATASET, make_data, make_params, make_run, score, write_pictures

from cgm.core.errors import UserError
from cgm.core.files import read_json
from cgm.data.prepared import open_prepared
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import parse_params
from cgm.methods.external import External
from cgm.report.build import build
from cgm.report.competence import competence
from cgm.report.results import collect
from cgm.report.tables.cost import cost_table
from cgm.report.tables.main import main_table
from cgm.report.tables.stability import stability_table
from pipeline import cli, fingerprint, track
from pipeline.train import train
from pipeline.translate import translate

SEEDS = [0, 1]
METHODS: dict[str, dict[str, Any]] = {
    "mae": {},
    "theirs": {"implementation": "external", "outputs": "theirs"},
    "one_set": {"implementation": "external", "outputs": "one"},
}
SIZE = 32


def runs_of(method: str) -> list[Run]:
    return [Run(dataset=DATASET, method=method, seed=seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    """MAE's outputs as pictures: of each seed, with ``val/``; and of seed 0 alone, without, as one set of JPEG's and PNG's."""
    folder = tmp_path_factory.mktemp("external")
    params = make_params(folder, METHODS, SEEDS)
    make_data(folder, params)
    prepared = open_prepared(folder / paths.prepared(DATASET))
    test, val = prepared.ids("test", "A"), prepared.ids("val", "A")
    for run in runs_of("mae"):
        make_run(folder, params, run)
        outputs, shown = (np.load(folder / paths.run_folder(run) / f"{name}.npy") for name in ("outputs", "validation"))
        write_pictures(folder / f"theirs/{run.seed}", test, outputs[0])
        write_pictures(folder / f"theirs/{run.seed}/val", val, shown)
        if run.seed == 0:
            write_pictures(folder / "one", test, outputs[0])
    (folder / "one/.DS_Store").write_text("left behind")
    for method in ("theirs", "one_set"):
        for run in runs_of(method):
            make_run(folder, params, run)
    score(folder, params, list(params.runs()))
    return folder, params


@pytest.fixture
def project(made: tuple[Path, Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to be spoilt."""
    shutil.copytree(made[0], tmp_path / "project", symlinks=True, ignore=shutil.ignore_patterns("raw"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def test_a_runs_own_outputs_get_its_own_metrics(made: tuple[Path, Params]) -> None:
    folder, _ = made
    for own, theirs in zip(runs_of("mae"), runs_of("theirs"), strict=True):
        mine, other = folder / paths.run_folder(own), folder / paths.run_folder(theirs)
        for name in ("outputs.npy", "validation.npy", "per_image.csv", "grid.png"):
            assert (mine / name).read_bytes() == (other / name).read_bytes(), name
        assert read_json(other / "metrics.json") == {**read_json(mine / "metrics.json"), "method": "theirs"}


def test_the_record_says_where_they_are_from(made: tuple[Path, Params]) -> None:
    folder, params = made
    records = {str(run): read_json(folder / paths.run_folder(run) / "run.json") for run in params.runs()}
    first, second = (records[str(run)] for run in runs_of("theirs"))
    assert first["external"] is True
    assert first["status"] == "ok"
    assert first["outputs"] == {"folder": "theirs/0", "sha256": first["outputs"]["sha256"], "count": COUNT}
    assert first["outputs"]["sha256"] != second["outputs"]["sha256"]
    assert len({records[str(run)]["outputs"]["sha256"] for run in runs_of("one_set")}) == 1
    assert set(records[str(runs_of("mae")[0])]) - set(first) <= {"augment", "deterministic", "compiled", "captured", "resumed"}
    assert (folder / paths.run_folder(runs_of("theirs")[0]) / "history.csv").read_text() == "kimg,step\n"


def test_the_report_shows_what_is_known_and_says_what_is_not(made: tuple[Path, Params]) -> None:
    folder, params = made
    results = collect(params, folder)
    (dataset,) = results.datasets
    rows = {row.key: row for row in main_table(results, dataset).rows}
    mine, theirs, one = (rows[name].cells for name in METHODS)
    assert theirs[3:] == mine[3:]
    assert (theirs[1].text, theirs[2].text, one[2].text) == ("made elsewhere", "2/2", "1/1")
    notes = " ".join(main_table(results, dataset).footnotes)
    assert "Made elsewhere (theirs): the pictures in theirs/0 and theirs/1, not trained here" in notes
    assert "One set of pictures that stands for several seeds counts once" in notes
    assert "over images alone for Made elsewhere (one_set), of one training" in notes  # which varies by no seed
    assert "Training to competence of Made elsewhere (one_set) was not tested" in notes
    assert competence(dataset, "theirs").failures == competence(dataset, "mae").failures
    assert not competence(dataset, "one_set").tested
    for table in (cost_table(results, dataset), stability_table(results, dataset)):
        (row,) = (row for row in table.rows if row.key == "theirs")
        known = [column.key for column, cell in zip(table.columns, row.cells, strict=True) if cell.interval or cell.text]
        of_seeds = ["ok", "diverged", "failed", "missing", "kid_variation", "pd_variation"]
        assert known == ["method", *(of_seeds if table.kind == "stability" else [])]
        assert any(note.startswith("Empty for Made elsewhere (theirs) and Made elsewhere (one_set): ") for note in table.footnotes)
    assert not any("before gradients" in note for note in stability_table(results, dataset).footnotes)
    page = build(params, folder).cited["index.html"].decode()
    assert "1 method, trained on the same data with the same budget. " in page
    assert "Beside them, with whatever data and budget: Made elsewhere (theirs) and Made elsewhere (one_set)." in page
    assert "Nothing is known here of how they were made" in page


def test_a_report_of_nothing_but_pictures(made: tuple[Path, Params], tmp_path: Path) -> None:
    """Whoever brings outputs and trains nothing: no device, no threads, no curves."""
    folder, _ = made
    params = make_params(tmp_path, {"one_set": METHODS["one_set"]}, [0])
    for name in ("data/prepared", "data/reference", f"results/{DATASET}/one_set/0"):
        shutil.copytree(folder / name, tmp_path / name)
    page = build(params, tmp_path).cited["index.html"].decode()
    assert "Made elsewhere (one_set)" in page
    assert " threads a run" not in page


def test_mlflow_takes_them(made: tuple[Path, Params], tmp_path: Path) -> None:
    from mlflow import MlflowClient

    folder, params = made
    shutil.copytree(folder / "results", tmp_path / "results")
    with chdir(tmp_path):
        track.track(params)
        client = MlflowClient("sqlite:///mlflow.db")
        (experiment,) = (each for each in client.search_experiments() if each.name == params.tracking.experiment)
        runs = {run.data.tags["cgm.name"]: run for run in client.search_runs([experiment.experiment_id])}
    assert "device" not in runs[f"{DATASET}/theirs/0"].data.tags
    values = [runs[f"{DATASET}/{method}/0"].data.metrics["final/mae"] for method in ("mae", "theirs")]
    assert values[0] == values[1]
    assert "final/seconds" not in runs[f"{DATASET}/theirs/0"].data.metrics


# What runs again


def test_a_changed_picture_changes_its_methods_fingerprint_alone(project: Path, made: tuple[Path, Params]) -> None:
    _, params = made
    before = fingerprint.contents(params)
    fingerprint.write(params)
    path = project / "theirs/0/val" / sorted(path.name for path in (project / "theirs/0/val").iterdir())[0]
    Image.fromarray(np.zeros((SIZE, SIZE, 3), np.uint8)).save(path)
    changed = fingerprint.contents(params)
    assert [name for name in before if before[name] != changed[name]] == [f"train/{DATASET}/theirs.json"]
    shutil.rmtree(project / "theirs")  # results outlive their pictures
    assert fingerprint.contents(params) == before


def test_seeds_whose_pictures_are_the_same_keep_their_stand_in(project: Path, made: tuple[Path, Params]) -> None:
    """What ``translate`` depends on: DVC runs it again for the changed seed alone."""
    _, params = made
    weights = [paths.run_folder(run) / "model.safetensors" for run in runs_of("theirs")]
    before = [path.read_bytes() for path in weights]
    Image.fromarray(np.zeros((SIZE, SIZE, 3), np.uint8)).save(next((project / "theirs/0").glob("*.png")))
    with pytest.raises(UserError, match=r"theirs/0: changed since the stage 'train'"):
        translate(params, DATASET, "theirs", 0)
    train_both(params)
    translate(params, DATASET, "theirs", 0)
    assert [path.read_bytes() == old for path, old in zip(weights, before, strict=True)] == [False, True]
    (black,) = (image for image in np.load(paths.run_folder(runs_of("theirs")[0]) / "outputs.npy")[0] if not image.any())
    assert black.shape == (SIZE, SIZE, 3)


# What a user may get wrong


def train_both(params: Params) -> None:
    for run in runs_of("theirs"):
        train(params, DATASET, "theirs", run.seed)


def first_picture(folder: Path) -> Path:
    return sorted(folder.glob("*.png"))[0]


def remove_three(project: Path) -> None:
    for path in sorted((project / "theirs/0").glob("*.png"))[:5]:
        path.unlink()


def truncate(project: Path) -> None:
    path = first_picture(project / "theirs/1")
    path.write_bytes(path.read_bytes()[:100])


def enlarge(project: Path) -> None:
    Image.new("RGB", (48, 40)).save(first_picture(project / "theirs/0"))


def add(name: str) -> Any:
    def edit(project: Path) -> None:
        shutil.copy(first_picture(project / "theirs/0"), project / f"theirs/{name}")

    return edit


def twice(project: Path) -> None:
    path = first_picture(project / "theirs/0")
    Image.open(path).save(path.with_suffix(".bmp"))


def lose_a_seed(project: Path) -> None:
    shutil.rmtree(project / "theirs/1")


def lose_all(project: Path) -> None:
    shutil.rmtree(project / "theirs")


def lose_validation(project: Path) -> None:
    first_picture(project / "theirs/0/val").unlink()


MISTAKES = {
    "missing": (remove_three, f"theirs/0: 5 of {COUNT} pictures are missing: ", " and 2 more; expected one a test condition of openmoji"),
    "truncated": (truncate, "theirs/1/", "not a readable image"),
    "another size": (enlarge, "(48×40), expected 32×32 px as the dataset has", ""),
    "extra": (add("0/extra.png"), "theirs/0: found extra.png, named like no test condition of openmoji", ""),
    "beside the seeds": (add("stray.png"), "theirs: found stray.png beside a folder a seed", ""),
    "two of one name": (twice, "the same name as", "remove one of them"),
    "a seed without pictures": (lose_a_seed, "theirs: found folders for some seeds and none for 1;", ""),
    "no folder": (lose_all, "theirs: not found; expected a folder with a picture for each test condition", ""),
    "a validation picture": (lose_validation, f"theirs/0/val: 1 of {COUNT} pictures are missing: ", "validation condition of openmoji"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_pictures_that_will_not_do_are_named_in_the_stage(mistake: str, project: Path, made: tuple[Path, Params]) -> None:
    edit, *parts = MISTAKES[mistake]
    edit(project)
    before = (paths.run_folder(runs_of("theirs")[0]) / "run.json").read_bytes()
    with pytest.raises(UserError) as caught:
        train_both(made[1])
    assert all(part in str(caught.value) for part in parts), caught.value
    assert "\n" not in str(caught.value)
    assert (paths.run_folder(runs_of("theirs")[0]) / "run.json").read_bytes() == before


@pytest.mark.parametrize("mistake", [name for name in MISTAKES if name not in ("missing", "extra", "a validation picture")])
def test_cgm_check_names_them_before_the_dataset_is_prepared(mistake: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All but what is known of names."""
    edit, *parts = MISTAKES[mistake]
    shutil.rmtree(project / "data/prepared")
    edit(project)
    with pytest.raises(SystemExit):
        cli.main(["check"])
    said = capsys.readouterr().err
    assert all(part in said for part in parts), said


def test_names_are_checked_as_soon_as_the_dataset_is_prepared(project: Path, made: tuple[Path, Params]) -> None:
    prepared = open_prepared(paths.prepared(DATASET))
    settings = made[1].methods["theirs"]
    External.check(settings, DATASET, made[1].datasets[DATASET], SEEDS, prepared, Path())
    remove_three(project)
    with pytest.raises(UserError, match=f"5 of {COUNT} pictures are missing"):
        External.check(settings, DATASET, made[1].datasets[DATASET], SEEDS, prepared, Path())


def test_the_conditions_come_out_named_as_the_outputs_must_be(
    project: Path, made: tuple[Path, Params], capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that changes nothing: its outputs are the conditions."""
    cli.main(["conditions", DATASET, "-o", "theirs_too"])
    told = f"theirs_too: {COUNT} test conditions, and below val/ {COUNT} validation conditions, {SIZE}×{SIZE} px; a model's outputs"
    assert told in capsys.readouterr().out
    prepared = open_prepared(paths.prepared(DATASET))
    settings = External.Settings(implementation="external", outputs="theirs_too")
    External.check(settings, DATASET, made[1].datasets[DATASET], SEEDS, prepared, Path())
    found = External.outputs(settings, prepared, 0, SEEDS)
    assert np.array_equal(found.test, prepared.images("test", "A"))
    assert np.array_equal(found.validation, prepared.images("val", "A"))


@pytest.mark.parametrize(
    ("dataset", "out", "message"),
    [
        ("mars", "new", "DATASET 'mars': not in params.yaml; expected one of openmoji"),
        (DATASET, "one", "one: is there already; expected an empty folder, or nothing; name another"),
        (DATASET, "params.yaml", "params.yaml: is there already"),
    ],
)
def test_conditions_that_can_t_be_written(dataset: str, out: str, message: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["conditions", dataset, "-o", out])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_conditions_of_what_is_not_prepared(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("data/prepared")
    with pytest.raises(SystemExit):
        cli.main(["conditions", DATASET, "-o", "new"])
    assert "run python -m pipeline.prepare dataset=openmoji" in capsys.readouterr().err
    assert not Path("new").exists()


def test_a_folder_of_its_own_for_each_dataset(project: Path, made: tuple[Path, Params]) -> None:
    shutil.move("theirs", "moved")
    Path("theirs").mkdir()
    shutil.move("moved", f"theirs/{DATASET}")
    found = External.outputs(made[1].methods["theirs"], open_prepared(paths.prepared(DATASET)), 1, SEEDS)
    assert found.folder == f"theirs/{DATASET}/1"
    assert np.array_equal(found.test, np.load(paths.run_folder(runs_of("mae")[1]) / "outputs.npy")[0])


def test_what_is_no_picture_is_passed_over(project: Path, made: tuple[Path, Params]) -> None:
    add("0/readme.txt")(project)
    External.check(made[1].methods["theirs"], DATASET, made[1].datasets[DATASET], SEEDS, open_prepared(paths.prepared(DATASET)), Path())


def test_any_suffix_and_mode(project: Path, made: tuple[Path, Params]) -> None:
    picture = sorted(Path("one").glob("*.png"))
    Image.open(picture[0]).convert("RGBA").save(picture[0].with_suffix(".WEBP"), lossless=True)
    picture[0].unlink()
    Image.open(picture[1]).convert("L").save(picture[1])
    before = np.load(paths.run_folder(runs_of("one_set")[0]) / "outputs.npy")[0]
    found = External.outputs(made[1].methods["one_set"], open_prepared(paths.prepared(DATASET)), 0, SEEDS)
    assert np.array_equal(found.test[0], before[0])
    assert (found.test[1][..., :1] == found.test[1]).all()  # grey in three channels
    assert np.array_equal(found.test[2:], before[2:])


def test_the_entry_wants_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"methods\.theirs\.outputs: missing"):
        make_params(tmp_path, {"theirs": {"implementation": "external"}}, [0])
    with pytest.raises(UserError, match=r"methods\.theirs\.learning_rate: unknown key"):
        make_params(tmp_path, {"theirs": {"implementation": "external", "outputs": "x", "learning_rate": 1.0}}, [0])


def test_they_may_stand_under_unpaired_methods() -> None:
    methods = {"theirs": {"implementation": "external", "outputs": "x"}}
    unpaired = {"datasets": {"fluent-unpaired": {"source": "fluent-unpaired", "kimg": 1.0}}, "methods": methods}
    raw = {"experiment": "x", "seeds": [0], "unpaired": unpaired}
    assert [str(run) for run in parse_params(raw).runs()] == ["fluent-unpaired/theirs/0"]
