"""A run's generator as an MLflow model: code and safetensors, without a pickle; and its place in the registry.

The folder of a model holds what a colleague without this checkout needs beside the packages in its ``requirements.txt``:

- ``data/``: ``run.json``, ``model.safetensors``, and how many test inputs there were;
- ``code/cgm.zip``: the part of this package that builds and runs generators; beside it the files of a method or network of the user's own;
- ``code/cgm_generator.py``: what MLflow imports to load it (:mod:`pipeline.tracking.cgm_generator`).
"""

from __future__ import annotations

import base64
import importlib.metadata
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model, ModelSignature
from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from PIL import Image

import cgm
from cgm.core import own
from cgm.core.files import write_json
from cgm.data.prepared import Prepared
from cgm.methods import METHODS, left_weights
from pipeline.code import Code
from pipeline.tracking import cgm_generator

NAME = "generator"
"""Of the model in its run."""
WRITTEN, FORMAT = "cgm.format", "1"
"""Tag of a model, and its value: of what its folder holds."""
ROOMS = ("core", "data", "networks", "methods", "experiment")
"""The rooms of cgm that a generator needs, and what chooses the device."""
MODULES = ("__init__.py", "training/__init__.py", "training/device.py")
NEEDED = ("numpy", "pillow", "pydantic", "resvg-py", "safetensors", "torch", "tqdm")
"""The packages that those import; ``mlflow`` comes with them."""
OWN = ("implementation", "generator")
"""The settings of a method that may name a file of the user's."""
CODE_LICENCE = "MIT"


def log_model(
    client: MlflowClient, experiment_id: str, run_id: str, folder: Path, prepared: Prepared, record: Mapping[str, Any], root: Path = Path()
) -> str | None:
    """Log the generator of the run in ``folder``, whose ``run.json`` is ``record``; returns the id of MLflow's model.

    ``prepared``: the run's dataset. ``root``: the folder of ``params.yaml``. None where there is no generator to use: the pictures were
    made elsewhere, the weights were left there, or the training diverged.
    """
    if not has_generator(folder, record):
        return None
    logged = client.create_logged_model(
        experiment_id,
        name=NAME,
        source_run_id=run_id,
        model_type=str(record["config"]["method"].get("generator", record["method"])),
        tags={WRITTEN: FORMAT, **{key: str(record[key]) for key in ("dataset", "method", "seed", "status", "supervision")}},
        params={"generator_parameters": str(record["parameters"]["generator"]), "stochastic": str(record["stochastic"])},
    )
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "model"
        save(place, folder, prepared, record, root, model_id=logged.model_id, run_id=run_id)
        client.log_model_artifacts(logged.model_id, str(place))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=round((record["kimg"] or 0) * 1000))])
    return str(logged.model_id)


def has_generator(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether a run left weights that can be used."""
    made_here = record["status"] == "ok" and not record.get("external")
    return made_here and left_weights.left(folder / "model.safetensors") is None


def save(
    place: Path,
    folder: Path,
    prepared: Prepared,
    record: Mapping[str, Any],
    root: Path = Path(),
    *,
    model_id: str | None = None,
    run_id: str | None = None,
) -> None:
    """Write the model of the run in ``folder`` to ``place``, in MLflow's form."""
    conditional = METHODS[record["config"]["method"]["implementation"]].conditional
    asked = json.dumps(example(prepared, conditional))
    shared = _shared(tuple(requirements(record)), tuple(own_files(record, root).items()), asked)
    shutil.copytree(shared.folder.name, place, symlinks=True)
    (place / "data").mkdir()
    write_json(place / "data/run.json", _dotted(record))
    write_json(place / "data/model.json", {"test_inputs": len(prepared.images("test", "A"))})
    (place / "data/model.safetensors").symlink_to((folder / "model.safetensors").resolve())
    described = Model(artifact_path=NAME, run_id=run_id, model_uuid=model_id, model_id=model_id, metadata=licences(prepared, record))
    described.signature = signature(prepared, conditional)
    described.saved_input_example_info = shared.described.saved_input_example_info
    described.flavors = {mlflow.pyfunc.FLAVOR_NAME: {**shared.described.flavors[mlflow.pyfunc.FLAVOR_NAME], mlflow.pyfunc.DATA: "data"}}
    described.model_size_bytes = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    described.save(place / "MLmodel")


@dataclass(frozen=True)
class Shared:
    """What the models of many runs have alike; MLflow takes its time to write it."""

    folder: tempfile.TemporaryDirectory[str]
    described: Model


def signature(prepared: Prepared, conditional: bool) -> ModelSignature:
    """uint8 N×H×W×C in and out; of an unconditional generator a number in."""
    (height, width), channels = prepared.height_width, prepared.channels
    given = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, channels)) if conditional else TensorSpec(np.dtype(np.int64), (1,))
    made = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, channels) if conditional else (-1, height, width, channels))
    options = ParamSchema([ParamSpec("sample", DataType.long, 0), ParamSpec("png", DataType.boolean, False)])
    found = ModelSignature(Schema([given]), Schema([made]), options)
    # MLflow holds what it is asked against the signature, and no signature allows arrays as well as PNG files. What has types of its own it
    # hands on as it is; the generator then checks for itself.
    found._is_signature_from_type_hint = True
    return found


def example(prepared: Prepared, conditional: bool) -> Any:
    """What the model may be asked: the first test input as a PNG file, or a number of pictures."""
    if not conditional:
        return [4]
    file, picture = io.BytesIO(), prepared.images("test", "A")[0]
    Image.fromarray(picture[..., 0] if prepared.channels == 1 else picture).save(file, format="PNG")
    return [{"b64": base64.b64encode(file.getvalue()).decode("ascii")}]


def licences(prepared: Prepared, record: Mapping[str, Any]) -> dict[str, str]:
    """Of what the model holds, and what it was made of; for MLflow's ``metadata``."""
    card = prepared.card
    return {
        "run": f"{record['dataset']}/{record['method']}/{record['seed']}",
        "data": prepared.data_sha256,
        "data_licence": str(card["licence"]),
        "data_attribution": str(card["attribution"]),
        "weights_licence": f"as the pictures that they were trained on: {card['licence']}",
        "code_licence": CODE_LICENCE,
        "code": str(record["code_sha256"]),
    }


def requirements(record: Mapping[str, Any]) -> list[str]:
    """Pinned: numpy and torch as the run had them, the others as they are here; and what a method or network of the user's is part of."""
    versions = {name: _version(name) for name in (*NEEDED, "mlflow", *_packages(record))}
    versions |= {name: str(record["versions"][name]) for name in ("numpy", "torch")}
    return [f"{name}=={version.partition('+')[0]}" for name, version in sorted(versions.items())]


def own_files(record: Mapping[str, Any], root: Path) -> dict[str, Path]:
    """The user's files that the generator is made of, and those of the checkout that they import: by their places below ``root``."""
    code, found = Code(root), dict[str, Path]()
    waiting = [own.dotted(place).partition(":")[0] for place in _own_places(record)]
    while waiting:
        module = waiting.pop()
        path = code.path(module)
        if (
            module.partition(".")[0] in ("cgm", "pipeline")
            or path is None
            or path.suffix != ".py"
            or path.relative_to(root).as_posix() in found
        ):
            continue
        found[path.relative_to(root).as_posix()] = path
        parents = module.split(".")
        waiting += [".".join(parents[:count]) for count in range(1, len(parents))]
        waiting += [name for target in code.module(module).imports.values() for name in (target, target.rpartition(".")[0])]
    return found


def _own_places(record: Mapping[str, Any]) -> list[str]:
    method = record["config"]["method"]
    return [method[key] for key in OWN if own.is_place(method.get(key, ""))]


def _packages(record: Mapping[str, Any]) -> set[str]:
    """The distributions of the user's own methods and networks that are installed."""
    modules = {own.dotted(place).partition(".")[0].partition(":")[0] for place in _own_places(record)}
    return {name for module in modules for name in _distributions().get(module, [])}


def _dotted(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with places as modules: a file's path leads nowhere from another folder."""
    method = record["config"]["method"]
    changed = {key: own.dotted(method[key]) for key in OWN if own.is_place(method.get(key, ""))}
    return {**record, "config": {**record["config"], "method": {**method, **changed}}}


_version = cache(importlib.metadata.version)
_distributions = cache(importlib.metadata.packages_distributions)


@cache
def _shared(packages: tuple[str, ...], own: tuple[tuple[str, Path], ...], asked: str) -> Shared:
    described, folder = Model(), tempfile.TemporaryDirectory(prefix="cgm-model-")
    with tempfile.TemporaryDirectory() as temporary:
        code = Path(temporary)
        shutil.copyfile(cgm_generator.__file__, code / "cgm_generator.py")
        (code / cgm_generator.CODE).write_bytes(_package())
        for name, source in own:
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, code / name)
        mlflow.pyfunc.save_model(
            folder.name,
            loader_module=cgm_generator.__name__.rpartition(".")[2],
            code_paths=[str(path) for path in sorted(code.iterdir())],
            mlflow_model=described,
            pip_requirements=list(packages),
            input_example=json.loads(asked),
        )
    return Shared(folder, described)


@cache
def _package() -> bytes:
    """:data:`ROOMS` and :data:`MODULES` as an archive that Python imports from; always the same bytes."""
    folder = Path(cgm.__file__).parent
    files = [*(folder / name for name in MODULES), *(path for room in ROOMS for path in (folder / room).rglob("*.py"))]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as entries:
        for path in sorted(files):
            entries.writestr(zipfile.ZipInfo(path.relative_to(folder.parent).as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive.getvalue()
