"""`cgm score`: the pipeline's numbers for the same pictures, and one line for what can't be compared."""

from __future__ import annotations

import csv
import json
import re
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from metrics_inputs import blurred, prepare
from PIL import Image

from cgm.data.prepared import Prepared, open_prepared
from cgm.evaluation.baselines import floor_scores
from cgm.evaluation.evaluate import Another, evaluate_outputs
from cgm.evaluation.judges import load_judge
from cgm.evaluation.reference import Reference, build_reference
from cgm.experiment.settings import Evaluation
from pipeline import cli

JUDGES = ["efficientnet-lite0", "efficientnet-lite1"]
TEST = 12


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return open_prepared(prepare(tmp_path_factory.mktemp("data") / "shapes", test_size=TEST, paired=False, hidden=True))


@pytest.fixture(scope="module")
def outputs(prepared: Prepared) -> np.ndarray:
    return blurred(np.array(prepared.images("test", "B")), 1)


@pytest.fixture
def folders(prepared: Prepared, outputs: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    ids = prepared.ids("test", "A")
    assert ids == sorted(ids)
    write(tmp_path / "out", ids, outputs)
    write(tmp_path / "targets", ids, prepared.images("test", "B"))
    write(tmp_path / "inputs", ids, prepared.images("test", "A"))
    reals = prepared.images("train", "B")
    write(tmp_path / "train", [f"{index:03}" for index in range(len(reals))], reals)
    return tmp_path


def write(folder: Path, names: list[str], pictures: np.ndarray) -> None:
    for name, picture in zip(names, pictures, strict=True):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(["score", *arguments])
    assert caught.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: ")
    return message


def test_the_pipelines_own_numbers(folders: Path, prepared: Prepared, outputs: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    through = [option for name in JUDGES for option in ("--judge", name)]
    options = ["--targets", "targets", "--inputs", "inputs", "--train", "train", "--dataset", "shapes", *through, "--lpips", "alex"]
    cli.main(["score", "out", *options, "--json", "s.json", "--csv", "s.csv"])
    shown = capsys.readouterr().out
    rows = {row["key"]: row for row in json.loads((folders / "s.json").read_text())["rows"]}

    config = Evaluation(judges=JUDGES)
    judges = {name: load_judge(name) for name in JUDGES}
    references = {name: build_reference(prepared, config, judge) for name, judge in judges.items()}
    other = Another(name=JUDGES[1], judge=judges[JUDGES[1]], reference=references[JUDGES[1]])
    result, _ = evaluate_outputs(outputs[None], prepared, references[JUDGES[0]], config, judges[JUDGES[0]], others=[other])
    assert {key: row["value"] for key, row in rows.items()} == result["metrics"]
    assert {key: row["judge"] for key, row in rows.items()} == result["judges"]
    assert rows["kid"]["interval"] == result["intervals"]["kid"]
    assert rows["kid:efficientnet-lite1"]["value"] != rows["kid"]["value"] is not None
    assert rows["lpips"]["value"] > 0
    floors = [floor_scores(prepared, references[JUDGES[0]], config, judges[JUDGES[0]], split)["recall"].value for split in range(5)]
    assert rows["recall"]["floor"] == pytest.approx(np.mean([value for value in floors if value is not None]))
    assert rows["mae"]["inputs"] > rows["mae"]["value"]
    assert rows["mae"]["floor"] is None
    assert "LPIPS (alex)" in shown
    assert "KD-EffLite0 ×10³" in shown
    assert "KD-EffLite1 ×10³" in shown
    assert "Looked through efficientnet-lite0, efficientnet-lite1 and lpips-0.1.4-alexnet" in shown
    with (folders / "s.csv").open(newline="") as file:
        written = {row["metric"]: row for row in csv.DictReader(file)}
    assert float(written["mae"]["value"]) == rows["mae"]["value"]
    assert written["fjd"]["note"] == "the train split holds no pairs"


def test_one_reference_is_held_at_a_time(prepared: Prepared, outputs: np.ndarray) -> None:
    config = Evaluation(judges=JUDGES, lpips="off")
    judges = {name: load_judge(name) for name in JUDGES}
    known = {name: build_reference(prepared, config, judge) for name, judge in judges.items()}
    given: list[weakref.ref[Reference]] = []

    def stored(name: str) -> Reference:
        assert not [each for each in given if each() is not None]
        given.append(weakref.ref(copy := replace(known[name])))
        return copy

    def evaluated(reference: Callable[[str], Any]) -> Any:
        others = [Another(name=JUDGES[1], judge=judges[JUDGES[1]], reference=reference(JUDGES[1]))]
        return evaluate_outputs(outputs[None], prepared, reference(JUDGES[0]), config, judges[JUDGES[0]], others=others)

    (result, table), (same, same_table) = evaluated(lambda name: partial(stored, name)), evaluated(known.__getitem__)
    assert result == same
    assert table.equals(same_table)
    assert len(given) == 3  # the other's twice: once to see whether it belongs to the data


def test_progress_is_shown_where_it_is_asked_for(
    prepared: Prepared, outputs: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, judge = Evaluation(lpips="off"), load_judge(JUDGES[0])
    reference = build_reference(prepared, config, judge)
    evaluate_outputs(outputs[None], prepared, reference, config, judge, label="evaluate this")
    assert capsys.readouterr().err == ""  # within seconds
    monkeypatch.setattr("cgm.core.progress.PATIENCE", 0.0)
    evaluate_outputs(outputs[None], prepared, reference, config, judge)
    assert capsys.readouterr().err == ""
    build_reference(prepared, config, judge, label="reference this")
    evaluate_outputs(outputs[None], prepared, reference, config, judge, label="evaluate this")
    shown = capsys.readouterr().err
    reals = len(reference.features)
    assert re.search(rf"^reference this train/B \(efficientnet-lite0\): {reals}/{reals} images, \d+ img/s, 0 s left$", shown, re.M)
    assert re.search(rf"^evaluate this \(efficientnet-lite0\): {TEST}/{TEST} images, \d+ img/s, 0 s left$", shown, re.M)


def test_against_the_targets_alone(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["score", "out", "--targets", "targets", "--lpips", "off"])
    shown = capsys.readouterr().out
    assert "Distribution and diversity are measured against the targets, whose content the outputs share" in shown
    assert "LPIPS" not in shown
    assert "(N = 6)" in shown  # the floor is of half the reals, where there are no more of them than outputs


def test_real_pictures_alone(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["score", "out", "--train", "train", "--json", "s.json"])
    rows = {row["key"]: row for row in json.loads((folders / "s.json").read_text())["rows"]}
    assert rows["kid"]["value"] is not None
    assert rows["mae"]["note"] == rows["lpips"]["note"] == "the test set holds no aligned targets"
    assert "No MAE" in capsys.readouterr().out


def test_what_cannot_be_compared(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected --targets (each output's own, named like it) or --train" in fails(capsys, "out")
    assert "nowhere: not found; expected a folder with pictures" in fails(capsys, "nowhere", "--targets", "targets")
    (folders / "empty").mkdir()
    assert "empty: found no pictures in it and below" in fails(capsys, "out", "--targets", "empty")
    assert "--judge: " in fails(capsys, "out", "--targets", "targets", "--judge", "inception")
    assert "did you mean 'inception-2015'" in fails(capsys, "out", "--targets", "targets", "--judge", "inception")
    assert "--lpips: " in fails(capsys, "out", "--targets", "targets", "--lpips", "alexnet")
    assert "--threads: found 0" in fails(capsys, "out", "--targets", "targets", "--threads", "0")
    first = sorted((folders / "targets").iterdir())[0]
    picture = first.read_bytes()
    first.unlink()
    assert f"targets: 1 of {TEST} pictures are missing: {first.stem}" in fails(capsys, "out", "--targets", "targets")
    Image.new("RGB", (10, 10)).save(first)
    assert f"targets: found {first.name} (10×10), expected 64×64 px as the first of the outputs has" in fails(
        capsys, "out", "--targets", "targets"
    )
    first.write_bytes(picture[:100])
    assert f"{first.name}: not a readable image" in fails(capsys, "out", "--targets", "targets")
    assert not (folders / "s.json").exists()
