"""Reads ``params.yaml``: every mistake in it is one line that names the file, the key and what was expected.

Unknown keys are rejected with the nearest valid name. Imports no torch.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from cgm.config import METHODS, UNPAIRED_METHODS, Method, Params
from cgm.errors import UserError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Yaml(yaml.SafeLoader):
    """YAML 1.2's booleans and numbers, which DVC writes: ``off`` is a word, ``1e-05`` a number (PyYAML alone reads YAML 1.1)."""


Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))
Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"),
    list("-+.0123456789"),
)


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and validate ``params.yaml``.

    Raises :class:`UserError`, one line, naming the file and the key.
    """
    path = Path(path)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Yaml)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the command in the folder that holds params.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse_params(raw, name=str(path))


def parse_params(raw: Any, *, name: str = "params.yaml") -> Params:
    """Validate what YAML gave; see :func:`load_params`."""
    if not isinstance(raw, dict):
        raise UserError(f"{name}: found {type(raw).__name__}, expected a mapping of settings")
    raw = dict(raw)
    raw["methods"] = _methods(raw.get("methods"), "methods", name, allowed=METHODS)
    if isinstance(raw.get("unpaired"), dict):
        unpaired = dict(raw["unpaired"])
        unpaired["methods"] = _methods(unpaired.get("methods"), "unpaired.methods", name, allowed=UNPAIRED_METHODS)
        raw["unpaired"] = unpaired
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{name}: {_explain(error, Params)}") from None
    _check(params, name)
    return params


def _methods(raw: Any, key: str, name: str, allowed: Iterable[str]) -> dict[str, Method]:
    """Build each entry with the model of its implementation."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise UserError(f"{name}: {key}: found {type(raw).__name__}, expected a mapping from method to settings")
    methods = {}
    for entry, settings in raw.items():
        settings = {} if settings is None else settings
        if not isinstance(settings, dict):
            raise UserError(f"{name}: {key}.{entry}: found {settings!r}, expected a mapping of settings (or {{}})")
        implementation = str(settings.get("implementation", entry))
        if implementation not in allowed:
            where = f"{key}.{entry}" + (".implementation" if "implementation" in settings else "")
            if implementation in METHODS:
                raise UserError(f"{name}: {where}: {implementation!r} needs aligned pairs; expected one of {', '.join(allowed)}")
            raise UserError(f"{name}: {where}: unknown method {implementation!r}{_nearest(implementation, allowed)}")
        model = METHODS[implementation]
        try:
            methods[entry] = model.model_validate({**settings, "implementation": implementation})
        except ValidationError as error:
            raise UserError(f"{name}: {key}.{entry}.{_explain(error, model)}") from None
    return methods


def _check(params: Params, name: str) -> None:
    """What no single field can know."""
    for key, group in (
        ("datasets", params.datasets),
        ("methods", params.methods),
        ("unpaired.datasets", params.unpaired.datasets),
        ("unpaired.methods", params.unpaired.methods),
    ):
        for entry in group:
            if not NAME.fullmatch(entry):
                raise UserError(f"{name}: {key}.{entry}: names become folder names; use lower-case letters, digits, '_' and '-'")
    if repeated := set(params.datasets) & set(params.unpaired.datasets):
        raise UserError(f"{name}: datasets.{min(repeated)}: also stands in unpaired.datasets; give one of them another name")
    if len(set(params.seeds)) != len(params.seeds):
        raise UserError(f"{name}: seeds: found a seed twice in {params.seeds}; list each once")
    for dataset, settings in params.datasets.items():
        if settings.source == "fluent-unpaired":
            raise UserError(f"{name}: datasets.{dataset}.source: 'fluent-unpaired' is unpaired; move the entry to unpaired.datasets")
    for dataset, settings in params.unpaired.datasets.items():
        if settings.source in ("openmoji", "fluent"):
            raise UserError(f"{name}: unpaired.datasets.{dataset}.source: {settings.source!r} is paired; move the entry to datasets")
    if not any(True for _ in params.runs()):
        raise UserError(f"{name}: nothing to train: list at least one dataset and one method in the same group")
    for dataset, settings in params.all_datasets.items():
        layers = params.networks.patchgan.layers
        if patchgan_side(settings.image_size, layers) < 1:
            raise UserError(
                f"{name}: networks.patchgan.layers: {layers} layers leave nothing of a {settings.image_size} px image ({dataset}); lower it"
            )
        steps = settings.kimg * 1000 / params.training.batch_size
        if steps < 1:
            raise UserError(
                f"{name}: {dataset}.kimg: {settings.kimg} kimg is less than one step of training.batch_size={params.training.batch_size};"
                " raise the budget or lower the batch size"
            )


def patchgan_side(image_size: int, layers: int) -> int:
    """Side of the PatchGAN's output; less than 1 where the image is too small for it."""
    return image_size if layers == 0 else image_size // 2**layers - 2


def _nearest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(sorted(known))}"


def _explain(error: ValidationError, root: type[BaseModel]) -> str:
    """The first problem of a pydantic error, as ``key: found …, expected …``."""
    first = error.errors(include_url=False)[0]
    location = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *parents, unknown = first["loc"]
        return f"{location}: unknown key{_nearest(str(unknown), _fields(root, parents))}"
    if first["type"] == "missing":
        return f"{location}: missing; expected a value"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if first["type"] == "value_error":
        return f"{location}: {message}"
    return f"{location}: found {first['input']!r}; {message}"


def _fields(root: type[BaseModel], parents: list[Any]) -> list[str]:
    """The field names of the model at ``parents`` below ``root``; a part may be a field or, below a mapping, an entry's name."""
    model: Any = root
    for part in parents:
        model = get_args(model)[1] if get_origin(model) is dict else model.model_fields[part].annotation
    return list(getattr(model, "model_fields", ()))
