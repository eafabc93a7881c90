"""The generator as an MLflow model: the pipeline's own pixels, loaded and served, no pickle, and its place in the registry."""

from __future__ import annotations

import base64
import importlib.metadata
import io
import json
import os
import pickle
import pickletools
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from packaging.requirements import Requirement
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tiny_runs import COUNT, DATASET, make_data, make_params

from cgm.core.errors import UserError
from cgm.core.files import read_json, write_json
from cgm.data.prepared import Prepared, open_prepared
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.methods import left_weights
from pipeline.track import track
from pipeline.tracking import model
from pipeline.tracking.record import NAME
from pipeline.tracking.registry import BEST, SUPERSEDED, Entry, register
from pipeline.train import train
from pipeline.translate import translate

ROOT = Path(__file__).parents[2]
METHODS: dict[str, dict[str, Any]] = {
    "mae": {},
    "gan": {},
    "cyclegan": {},
    "noisy_unet": {"implementation": "cgan"},
    "own": {"implementation": "mine/loss.py:Squared", "generator": "mine/networks/small.py:Small", "sizes": {"width": 3}},
}
"""U-Net, DCGAN, ResNet, U-Net with noise, and a method and a network of the user's own, which import a third file."""
OWN = {
    "mine/loss.py": """
from cgm.methods.method import Method, TranslatorSettings


class Squared(Method):
    Settings = TranslatorSettings

    def build(self, networks):
        self.player("G", G=networks.generator(self.settings.generator))

    def step(self, batch, update):
        update("G", {"squared": (self.generator(batch.x, batch.noise) - batch.y).square().mean()})
        return {}
""",
    "mine/networks/small.py": """
from torch import nn

from mine.parts import convolution


class Small(nn.Module):
    def __init__(self, image_size, channels=3, width=2):
        super().__init__()
        self.body = nn.Sequential(convolution(channels, width), nn.Tanh(), convolution(width, channels), nn.Tanh())

    def forward(self, x, noise=None):
        return self.body(x)
""",
    "mine/parts.py": """
from torch import nn


def convolution(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1)
""",
    "mine/unused.py": "",
}
ASKED = 5


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("trained")
    for name, text in OWN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))
        params = make_params(folder, METHODS, [0])
        make_data(folder, params)
        for method in METHODS:
            train(params, DATASET, method, 0)
            stir(folder_of(folder, method) / "model.safetensors")
            translate(params, DATASET, method, 0)
            assert np.ptp(outputs(folder, method).astype(int), axis=1).mean() > 20, method  # else equal pixels would say nothing
            write_json(folder_of(folder, method) / "metrics.json", {"status": "ok", "metrics": {"kid": 0.5}, "validation": {"kid": 0.25}})
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def stir(path: Path) -> None:
    """Weights that make more of a picture than those after two steps, which give grey."""
    rng, weights = np.random.default_rng(0), load_file(path)
    for name, value in sorted(weights.items()):
        if value.dtype == np.float32:
            spread = (2 / max(1, value[0].size)) ** 0.5 if value.ndim > 1 else 0.1
            weights[name] = (value + 3 * spread * rng.standard_normal(value.shape).astype(np.float32)).astype(np.float32)
            if name.endswith("running_var"):
                weights[name] = np.abs(weights[name]) + np.float32(0.01)
    save_file(weights, path)


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    return make_params(project, METHODS, [0])


@pytest.fixture(scope="module")
def prepared(project: Path) -> Prepared:
    return open_prepared(project / paths.prepared(DATASET))


@pytest.fixture(scope="module")
def saved(project: Path, prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model's folder for each method, with plain files, as an upload leaves it."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for method in METHODS:
        run = folder_of(project, method)
        model.save(folder / f"{method}-links", run, prepared, read_json(run / "run.json"), project)
        found[method] = Path(shutil.copytree(folder / f"{method}-links", folder / method))
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def tracked(project: Path, params: Params, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Params, Path]:
    """A project of its own, to be tracked, with MLflow looking at its store."""
    folder = tmp_path / "project"
    shutil.copytree(project, folder, symlinks=True)
    shutil.copy(store, folder / "mlflow.db")
    uri = f"sqlite:///{folder}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    return params.model_copy(update={"tracking": params.tracking.model_copy(update={"uri": uri})}), folder


def folder_of(project: Path, method: str) -> Path:
    return project / paths.run_folder(Run(dataset=DATASET, method=method, seed=0))


def outputs(project: Path, method: str) -> np.ndarray:
    found: np.ndarray = np.load(folder_of(project, method) / "outputs.npy")
    return found


def asked(prepared: Prepared, method: str, count: int = ASKED) -> Any:
    return count if method == "gan" else np.array(prepared.images("test", "A")[:count])


def as_png(picture: np.ndarray) -> dict[str, str]:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return {"b64": base64.encodebytes(file.getvalue()).decode()}  # which breaks lines, as many encoders do


def from_png(answer: dict[str, str]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(answer["b64"]))) as image:
        assert image.format == "PNG"
        return np.asarray(image)


# The pipeline's own pixels


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [1, ASKED, 16, 18, COUNT])
def test_a_loaded_model_gives_the_pipelines_pixels(
    method: str, count: int, project: Path, prepared: Prepared, saved: dict[str, Path]
) -> None:
    made = mlflow.pyfunc.load_model(str(saved[method])).predict(asked(prepared, method, count))
    assert made.dtype == np.uint8
    assert np.array_equal(made, outputs(project, method)[0][:count])


def test_further_samples(project: Path, prepared: Prepared, saved: dict[str, Path]) -> None:
    for method in ("gan", "noisy_unet"):
        found = mlflow.pyfunc.load_model(str(saved[method]))
        again = found.predict(asked(prepared, method, COUNT), params={"sample": 1})
        assert np.array_equal(again, outputs(project, method)[1])
        assert not np.array_equal(again, outputs(project, method)[0])
    with pytest.raises(MlflowException, match=r"sample: found 1, expected 0: openmoji/mae/0 is deterministic"):
        mlflow.pyfunc.load_model(str(saved["mae"])).predict(asked(prepared, "mae"), params={"sample": 1})


def test_png_files_in_and_out(project: Path, prepared: Prepared, saved: dict[str, Path]) -> None:
    found = mlflow.pyfunc.load_model(str(saved["mae"]))
    answers = found.predict([as_png(picture) for picture in asked(prepared, "mae")])
    assert np.array_equal([from_png(answer) for answer in answers], outputs(project, "mae")[0][:ASKED])
    of_arrays = found.predict(asked(prepared, "mae"), params={"png": True})
    assert of_arrays == answers
    assert from_png(mlflow.pyfunc.load_model(str(saved["gan"])).predict(2, params={"png": True})[1]).shape == (32, 32, 3)


def test_pictures_of_any_size(saved: dict[str, Path]) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, shape, np.uint8) for shape in ((32, 32, 3), (41, 70, 3), (24, 33, 3))]
    found = mlflow.pyfunc.load_model(str(saved["cyclegan"]))
    assert [from_png(answer).shape for answer in found.predict([as_png(picture) for picture in pictures])] == [
        picture.shape for picture in pictures
    ]
    assert found.predict(np.stack([pictures[1], pictures[1][::-1]])).shape == (2, 41, 70, 3)


@pytest.mark.parametrize(
    ("method", "given", "told"),
    [
        ("mae", np.zeros((2, 32, 32, 3), np.float32), r"found float32 \(2, 32, 32, 3\); expected uint8 N×H×W×3"),
        ("mae", np.zeros((32, 32, 3), np.uint8), r"found uint8 \(32, 32, 3\)"),
        ("mae", np.zeros((1, 32, 32, 1), np.uint8), r"found uint8 \(1, 32, 32, 1\)"),
        ("mae", np.zeros((0, 32, 32, 3), np.uint8), r"found uint8 \(0, 32, 32, 3\)"),
        ("mae", np.full((1, 32, 32, 3), 256), "found values from 256 to 256; expected 0 to 255"),
        ("mae", [[[1, 2], [3]]], "lists of unequal lengths"),
        ("mae", [{"png": "x"}], "found the keys 'png', expected 'b64'"),
        ("mae", [{"b64": "***"}], "found no base64"),
        ("mae", [{"b64": 7}], "found no base64"),
        ("mae", [{"b64": base64.b64encode(b"no picture").decode()}], "found no readable image"),
        ("gan", np.zeros((2, 32, 32, 3), np.uint8), r"expected the number of pictures, 1 or more"),
        ("gan", 0, "found 0, expected the number of pictures"),
        ("gan", "five", "expected the number of pictures"),
    ],
)
def test_what_it_can_not_take(method: str, given: Any, told: str, saved: dict[str, Path]) -> None:
    with pytest.raises(MlflowException, match=told) as caught:
        mlflow.pyfunc.load_model(str(saved[method])).predict(given)
    assert caught.value.get_http_status_code() == 400


# What its folder holds


ELSEWHERE = """
import importlib.abc
import json
import sys
from pathlib import Path

unpickled = []


def watch(event, arguments):
    if event == "pickle.find_class" or (event == "import" and arguments[0] in ("dill", "joblib")):
        unpickled.append((event, arguments))


class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in allowed["without"]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


allowed = json.loads(sys.argv[1])
sys.meta_path.insert(0, Absent())
import mlflow.pyfunc
import numpy as np
import torch

sys.addaudithook(watch)


def refuse(*arguments, **options):
    raise AssertionError("unpickles")


import pickle

pickle.load = pickle.loads = pickle.Unpickler = pickle._Unpickler = torch.load = refuse
for name, folder in allowed["models"].items():
    model = mlflow.pyfunc.load_model(folder)
    given = 5 if name == "gan" else np.load("inputs.npy")
    np.save(f"{name}.npy", model.predict(given))
import cgm

assert not unpickled, unpickled
print(cgm.__file__)
"""


def test_another_python_needs_the_folder_and_its_requirements_alone(
    project: Path, prepared: Prepared, saved: dict[str, Path], tmp_path: Path
) -> None:
    """Nothing is unpickled there, no other package is imported, and the code that runs is the model's own."""
    wanted, distributions = [Requirement(line) for line in (saved["mae"] / "requirements.txt").read_text().split()], set[str]()
    assert all(each.specifier for each in wanted)
    names = [each.name for each in wanted]
    while names:
        name = names.pop().lower().replace("_", "-")
        if name not in distributions:
            distributions.add(name)
            required = [Requirement(line) for line in importlib.metadata.requires(name) or ()]
            names += [each.name for each in required if each.marker is None or each.marker.evaluate({"extra": ""})]
    modules = importlib.metadata.packages_distributions()
    without = [key for key, owners in modules.items() if not {name.lower().replace("_", "-") for name in owners} & distributions]
    assert {"torchvision", "lpips", "skimage", "dvc"} <= set(without)
    np.save(tmp_path / "inputs.npy", asked(prepared, "mae"))
    told = json.dumps({"without": [name for name in without if name != "cgm"], "models": {name: str(path) for name, path in saved.items()}})
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, told], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(saved["mae"] / "code/cgm.zip/cgm") in done.stdout
    for method in METHODS:
        assert np.array_equal(np.load(tmp_path / f"{method}.npy"), outputs(project, method)[0][:ASKED]), method


def pickles(data: bytes, name: str) -> Iterator[str]:
    """Whatever in a file, or in an archive, may be unpickled."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from pickles(archive.read(member), f"{name}/{member}")
        return
    if Path(name).suffix in (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".ckpt", ".bin") or data[:1] == b"\x80":
        yield name
        return
    try:
        operations = list(pickletools.genops(data))
    except (ValueError, UnicodeDecodeError, IndexError):
        return
    if operations[-1][0].name == "STOP":
        yield name


def test_no_file_of_a_model_is_a_pickle(saved: dict[str, Path]) -> None:
    for folder in saved.values():
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert {"cgm.zip", "model.safetensors", "MLmodel"} <= {path.name for path in files}
        assert [found for path in files for found in pickles(path.read_bytes(), str(path))] == []
        with safe_open(folder / "data/model.safetensors", framework="numpy") as weights:
            assert list(weights.keys())
    planted = {"a": pickle.dumps([1]), "b": pickle.dumps([1], protocol=0)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr("data", planted["b"])
    assert list(pickles(planted["a"], "a")) == ["a"]
    assert list(pickles(planted["b"], "b")) == ["b"]
    assert list(pickles(archive.getvalue(), "c")) == ["c/data"]


def test_signature_example_requirements_and_licences(saved: dict[str, Path], prepared: Prepared, project: Path) -> None:
    found = mlflow.models.get_model_info(str(saved["mae"]))
    assert [(each.type, each.shape) for each in (*found.signature.inputs, *found.signature.outputs)] == [(np.uint8, (-1, -1, -1, 3))] * 2
    loaded = mlflow.pyfunc.load_model(str(saved["mae"]))
    assert np.array_equal(from_png(loaded.predict(loaded.input_example)[0]), outputs(project, "mae")[0][0])
    assert np.array_equal(from_png(loaded.input_example[0]), prepared.images("test", "A")[0])
    assert mlflow.models.get_model_info(str(saved["gan"])).signature.inputs.inputs[0].type == np.int64
    assert found.metadata["data_licence"] == "CC BY-SA 4.0"
    assert "OpenMoji" in found.metadata["data_attribution"]
    assert found.metadata["weights_licence"].endswith("CC BY-SA 4.0")
    assert found.metadata["code_licence"] == "MIT"
    assert found.metadata["data"] == prepared.data_sha256
    torch = read_json(folder_of(project, "mae") / "run.json")["versions"]["torch"].partition("+")[0]
    assert f"torch=={torch}" in (saved["mae"] / "requirements.txt").read_text().split()


def test_own_files_come_along_and_no_others(saved: dict[str, Path]) -> None:
    found = {path.relative_to(saved["own"] / "code").as_posix() for path in (saved["own"] / "code").rglob("*.py")}
    assert found == {"cgm_generator.py", "mine/loss.py", "mine/networks/small.py", "mine/parts.py"}
    assert [path.name for path in (saved["mae"] / "code").iterdir() if path.suffix == ".py"] == ["cgm_generator.py"]


def test_nothing_in_a_model_names_the_folder_it_was_made_in(saved: dict[str, Path], project: Path) -> None:
    for path in (path for folder in saved.values() for path in folder.rglob("*") if path.is_file()):
        assert str(project).encode() not in path.read_bytes()


def test_other_code_that_is_imported_already_is_told(saved: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(saved["mae"], tmp_path / "model")
    with zipfile.ZipFile(folder / "code/cgm.zip", "a") as archive:
        archive.writestr("cgm/more.py", "")
    with pytest.warns(UserWarning, match="its code is another than that of this model"):
        mlflow.pyfunc.load_model(str(folder))


# In MLflow


def test_runs_link_to_their_dataset_and_model(tracked: tuple[Params, Path], prepared: Prepared) -> None:
    params, folder = tracked
    track(params, folder)
    client = MlflowClient()
    experiment = client.get_experiment_by_name(params.tracked_as)
    assert experiment is not None
    runs = {run.data.tags[NAME]: run for run in client.search_runs([experiment.experiment_id])}
    run = runs[f"{DATASET}/mae/0"]
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == (DATASET, prepared.data_sha256[:12])
    profile = json.loads(given.dataset.profile)
    assert profile["data_sha256"] == prepared.data_sha256
    assert profile["test"] == f"{COUNT} conditions, {COUNT} targets"
    assert mlflow.data.get_source(given.dataset).uri == "data/embedded/openmoji-paired-v1.tar.xz"
    (made,) = run.outputs.model_outputs
    logged = client.get_logged_model(made.model_id)
    assert (logged.source_run_id, str(logged.status)) == (run.info.run_id, "READY")
    assert {metric.key: (metric.value, metric.dataset_name) for metric in logged.metrics}["final/kid"] == (0.5, DATASET)
    assert "model.safetensors" not in {file.path for file in client.list_artifacts(run.info.run_id)}

    registered = {each.name: each for each in client.search_registered_models()}
    assert set(registered) == {f"{DATASET}-{method}" for method in METHODS}
    images = asked(prepared, "mae")
    made = mlflow.pyfunc.load_model(f"models:/{DATASET}-mae@best").predict(images)
    assert np.array_equal(made, outputs(folder, "mae")[0][:ASKED])
    before = {each.name: each.last_updated_timestamp for each in registered.values()}
    track(params, folder)
    assert {each.name: each.last_updated_timestamp for each in client.search_registered_models()} == before
    assert len(client.search_logged_models([experiment.experiment_id])) == len(METHODS)

    page = (ROOT / "docs/mlflow.md").read_text(encoding="utf-8")
    searches = re.findall(r"^\| [^|]+ \| (`+)(.+)\1 \|$", page, re.MULTILINE)
    assert len(searches) >= 10
    found = {search: client.search_runs([experiment.experiment_id], search) for _, search in searches}
    by_method = {run.data.tags[NAME] for run in found["tags.level = 'method' AND tags.dataset = 'openmoji'"]}
    assert by_method == {f"{DATASET}/{method}" for method in METHODS}
    assert len(found["tags.state = 'current'"]) == 2 * len(METHODS)


def test_results_whose_data_come_later_are_linked_then(tracked: tuple[Params, Path], tmp_path: Path) -> None:
    params, folder = one_method(*tracked)
    (folder / paths.prepared(DATASET)).rename(tmp_path / "aside")
    name = f"{DATASET}/mae/0"
    before = track(params, folder).runs
    client = MlflowClient()
    run = client.get_run(before[name])
    assert not run.inputs.dataset_inputs
    assert "model.safetensors" in {file.path for file in client.list_artifacts(before[name])}
    assert client.search_registered_models() == []
    (tmp_path / "aside").rename(folder / paths.prepared(DATASET))
    outcome = track(params, folder)
    assert (outcome.runs, outcome.written) == (before, [name])
    run = client.get_run(before[name])
    assert [each.dataset.name for each in run.inputs.dataset_inputs] == [DATASET]
    assert client.get_model_version_by_alias(f"{DATASET}-mae", BEST).run_id == before[name]
    (logged,) = client.search_logged_models([outcome.experiment])
    assert "final/kid" in {metric.key for metric in logged.metrics}
    assert len(client.get_metric_history(before[name], "final/kid")) == 1
    assert track(params, folder).written == []


def test_data_that_are_other_ones_than_a_runs_are_not_linked(tracked: tuple[Params, Path]) -> None:
    params, folder = one_method(*tracked)
    card = folder / paths.prepared(DATASET) / "card.json"
    write_json(card, {**read_json(card), "data_sha256": "0" * 64})
    outcome = track(params, folder)
    assert not MlflowClient().get_run(outcome.runs[f"{DATASET}/mae/0"]).inputs.dataset_inputs
    assert MlflowClient().search_registered_models() == []


@pytest.mark.parametrize("at", ["log_model_artifacts", "finalize_logged_model", "log_outputs", "create_model_version"])
def test_whatever_ends_it_the_next_call_makes_it_whole(at: str, tracked: tuple[Params, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    params, folder = one_method(*tracked)

    def ends(*arguments: Any, **options: Any) -> None:
        raise MlflowException("the server went away")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, at, ends)
        with pytest.raises(UserError, match="the server went away"):
            track(params, folder)
    outcome = track(params, folder)
    client = MlflowClient()
    (logged,) = client.search_logged_models([outcome.experiment])
    assert str(logged.status) == "READY"
    run_id = outcome.runs[f"{DATASET}/mae/0"]
    assert [each.model_id for each in client.get_run(run_id).outputs.model_outputs] == [logged.model_id]
    version = client.get_model_version_by_alias(f"{DATASET}-mae", BEST)
    assert (version.run_id, version.source) == (run_id, logged.artifact_location)
    assert json.loads(client.get_logged_model(logged.model_id).tags["mlflow.modelVersions"])[0]["name"] == f"{DATASET}-mae"
    assert len(client.search_model_versions()) == 1
    assert track(params, folder).written == []


def one_method(params: Params, folder: Path) -> tuple[Params, Path]:
    return params.model_copy(update={"methods": {"mae": params.methods["mae"]}}), folder


def test_best_is_told_on_validation_images(project: Path, prepared: Prepared, store: Path, tmp_path: Path) -> None:
    shutil.copy(store, tmp_path / "mlflow.db")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.create_experiment("best", (tmp_path / "artifacts").as_uri())

    def entry(seed: int, validation: float | None, test: float) -> Entry:
        folder = tmp_path / f"{seed}-{validation}"
        shutil.copytree(folder_of(project, "mae"), folder)
        write_json(folder / "metrics.json", {"metrics": {"kid": test}, "validation": {} if validation is None else {"kid": validation}})
        run_id = client.create_run(experiment).info.run_id
        model_id = model.log_model(client, experiment, run_id, folder, prepared, read_json(folder / "run.json"))
        assert model_id is not None
        return Entry(seed, run_id, model_id, folder)

    def best() -> str | None:
        return client.get_registered_model("d-m").aliases.get(BEST)

    first, second = entry(0, 0.5, 0.1), entry(1, 0.25, 0.9)
    register(client, "d", "m", "e", [first, second])
    assert client.get_model_version_by_alias("d-m", BEST).run_id == second.run_id
    register(client, "d", "m", "e", [first, second])
    assert len(client.search_model_versions("name='d-m'")) == 2

    anew = entry(1, 0.75, 0.1)
    register(client, "d", "m", "e", [first, anew])
    assert client.get_model_version_by_alias("d-m", BEST).run_id == first.run_id
    versions = {each.run_id: each for each in client.search_model_versions("name='d-m'")}
    assert {run_id for run_id, each in versions.items() if SUPERSEDED in each.tags} == {second.run_id}

    register(client, "d", "m", "e", [first, second])  # the earlier results come back
    assert client.get_model_version_by_alias("d-m", BEST).run_id == second.run_id
    versions = {each.run_id: each for each in client.search_model_versions("name='d-m'")}
    assert {run_id for run_id, each in versions.items() if SUPERSEDED in each.tags} == {anew.run_id}

    register(client, "d", "m", "e", [])
    assert best() is None
    register(client, "d", "m", "e", [entry(2, None, 0.1)])
    assert best() is None
    register(client, "d-m", "x", "e", [first])
    with pytest.raises(UserError, match=r"'d-m-x': is that of d-m/x, and d/m-x needs it; rename one"):
        register(client, "d", "m-x", "e", [first])


def test_a_run_without_a_generator_has_no_model(project: Path, prepared: Prepared, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folder_of(project, "mae"), tmp_path / "run"))
    record = read_json(folder / "run.json")
    assert model.has_generator(folder, record)
    assert not model.has_generator(folder, {**record, "status": "diverged"})
    assert not model.has_generator(folder, {**record, "external": True})
    left_weights.write(folder / "model.safetensors", "0" * 64)
    assert not model.has_generator(folder, record)


# Served


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(port: int, body: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["predictions"]


def test_served_over_http(tracked: tuple[Params, Path], prepared: Prepared, tmp_path: Path) -> None:
    params, folder = tracked
    track(params, folder)
    port, log = free_port(), tmp_path / "log"
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow looks there for uvicorn
    with log.open("w") as file:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{DATASET}-noisy_unet@best"),
                *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            ],
            cwd=tmp_path,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PATH": commands},
        )  # fmt: skip
    try:
        wait_for(port, server, log)
        images, expected = asked(prepared, "noisy_unet"), outputs(folder, "noisy_unet")[0][:ASKED]
        assert np.array_equal(np.array(post(port, {"inputs": images.tolist()}), np.uint8), expected)
        answers = post(port, {"inputs": [as_png(picture) for picture in images]})
        assert np.array_equal([from_png(answer) for answer in answers], expected)
        whole = asked(prepared, "noisy_unet", COUNT)
        second = post(port, {"inputs": whole.tolist(), "params": {"sample": 1}})
        assert np.array_equal(np.array(second, np.uint8), outputs(folder, "noisy_unet")[1])
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(port, {"inputs": [{"b64": "***"}]})
        assert caught.value.code == 400
        assert "found no base64" in caught.value.read().decode()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)


def wait_for(port: int, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise AssertionError(log.read_text())
