"""Reads ``params.yaml``: every mistake in it is one line that names the file, the key and what was expected.

Unknown keys are rejected with the nearest valid name. Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cgm.core import own
from cgm.core.errors import UserError
from cgm.core.registry import Registry, nearest
from cgm.data.sources import SOURCES
from cgm.experiment.params import Params
from cgm.methods import METHODS

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
NAMELESS = 'in "<unicode string>", '
"""How the parser calls the file, of which it is given the text alone."""
RENAMED = {"profile": "experiment", "evaluation.judge": "judges, a list"}
"""Keys of earlier versions, and what they are called now."""


def read_yaml(path: str | Path, *, remedy: str) -> Any:
    """A YAML file, by the parser and the version of YAML (1.2) that DVC reads it with: ``010`` is 10 and ``off`` a word in both.

    Raises :class:`UserError` where it can't be read, with ``remedy`` if it isn't there, or isn't YAML.
    """
    path = Path(path)
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; {remedy}") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); expected a file") from None
    except (YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date such as 2026-13-01
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split()).replace(NAMELESS, '')}{_advice(error)}") from None


def _advice(error: Exception) -> str:
    """For what the reader refuses although it looks right: a colon within braces or brackets."""
    told = "; within { } and [ ] put quotes around what holds a colon, such as an address or file.py:Class"
    return told if "unexpected ':'" in str(error) else ""


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and validate ``params.yaml``.

    Raises :class:`UserError`, one line, naming the file and the key.
    """
    return parse_params(read_yaml(path, remedy="run the command in the folder that holds params.yaml"), name=str(path))


def parse_params(raw: Any, *, name: str = "params.yaml", complete: bool = True) -> Params:
    """Validate what YAML gave; see :func:`load_params`. ``complete``: False where it may not list anything to train yet."""
    if not isinstance(raw, dict):
        raise UserError(f"{name}: found {type(raw).__name__}, expected a mapping of settings")
    raw = dict(raw)
    for old, new in RENAMED.items():
        section, _, key = old.rpartition(".")
        if isinstance(inside := raw.get(section) if section else raw, dict) and key in inside:
            raise UserError(f"{name}: {old}: this key is called {new!r} now; rename it")
    _read_group(raw, "", name, fits=lambda method: True)
    if "unpaired" in raw and raw["unpaired"] is None:
        raw["unpaired"] = {}
    if isinstance(raw.get("unpaired"), dict):
        raw["unpaired"] = dict(raw["unpaired"])
        _read_group(raw["unpaired"], "unpaired.", name, fits=lambda method: not method.needs_pairs)
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{name}: {explain(error, Params)}") from None
    _check(params, name)
    if complete and not any(True for _ in params.runs()):
        raise UserError(f"{name}: nothing to train: list at least one dataset and one method in the same group")
    return params


def _read_group(group: dict[str, Any], prefix: str, name: str, fits: Callable[[Any], bool]) -> None:
    """Replace the entries of ``datasets`` and ``methods`` by models, each of its source's or its implementation's settings."""
    group["datasets"] = _entries(group.get("datasets"), f"{prefix}datasets", name, SOURCES, "source")
    group["methods"] = _entries(group.get("methods"), f"{prefix}methods", name, METHODS, "implementation", by_name=True)
    for entry, settings in group["methods"].items():
        if not fits(METHODS[settings.implementation]):
            where = f"{prefix}methods.{entry}" + ("" if entry == settings.implementation else ".implementation")
            allowed = ", ".join(other for other in METHODS if fits(METHODS[other]))
            remedy = f"expected one of {allowed}"
            if own.is_place(settings.implementation):
                remedy = "move the entry to methods, or write needs_pairs = False in the class if its loss needs none"
            raise UserError(f"{name}: {where}: {settings.implementation!r} needs aligned pairs; {remedy}")
        if misfit := METHODS[settings.implementation].misfit(settings, paired=not prefix):
            raise UserError(f"{name}: {prefix}methods.{entry}.{misfit}")


def _entries(raw: Any, key: str, name: str, registry: Registry[Any], kind: str, by_name: bool = False) -> dict[str, Any]:
    """Each entry as the ``Settings`` of the record that its ``kind`` names, or, with ``by_name``, the entry itself."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise UserError(f"{name}: {key}: found {type(raw).__name__}, expected a mapping from name to settings")
    found = {}
    for entry, settings in raw.items():
        settings = {} if settings is None else settings
        if not isinstance(settings, dict):
            raise UserError(f"{name}: {key}.{entry}: found {settings!r}, expected a mapping of settings (or {{}})")
        if not isinstance(entry, str) or not NAME.fullmatch(entry):
            raise UserError(f"{name}: {key}.{entry}: names become folder names; use lower-case letters, digits, '_' and '-'")
        if kind not in settings and not by_name:
            raise UserError(f"{name}: {key}.{entry}.{kind}: missing; expected one of {', '.join(registry)}")
        chosen = str(settings.get(kind, entry))
        where = f"{key}.{entry}" + (f".{kind}" if kind in settings else "")
        if chosen not in registry:
            raise UserError(f"{name}: {where}: unknown {registry.kind} {chosen!r}{nearest(chosen, registry)}")
        try:
            model = registry[chosen].Settings
        except UserError as error:
            raise UserError(f"{name}: {where}: {error}") from None
        try:
            with own.errors_told():
                found[entry] = model.model_validate({**settings, kind: chosen})
        except ValidationError as error:
            raise UserError(f"{name}: {explain(error, model, f'{key}.{entry}')}") from None
    return found


def _check(params: Params, name: str) -> None:
    """What no single field can know."""
    if repeated := set(params.datasets) & set(params.unpaired.datasets):
        raise UserError(f"{name}: datasets.{min(repeated)}: also stands in unpaired.datasets; give one of them another name")
    if len(set(params.seeds)) != len(params.seeds):
        raise UserError(f"{name}: seeds: found a seed twice in {params.seeds}; list each once")
    for group, other, pairing in (("datasets", "unpaired.datasets", "paired"), ("unpaired.datasets", "datasets", "unpaired")):
        for dataset, settings in (params.datasets if pairing == "paired" else params.unpaired.datasets).items():
            if SOURCES[settings.source].pairing not in (pairing, "either"):
                kind = SOURCES[settings.source].pairing
                raise UserError(f"{name}: {group}.{dataset}.source: {settings.source!r} is {kind}; move the entry to {other}")
    _check_names(params, name)
    for dataset, settings in params.all_datasets.items():
        prefix = "" if params.is_paired(dataset) else "unpaired."
        sizes = {f"{prefix}methods.{method}.": params.networks_of(dataset, method) for method in params.methods_of(dataset)}
        for place, networks in {"": params.networks, **sizes}.items():
            if patchgan_side(side := min(settings.height_width), layers := networks.patchgan.layers) < 1:
                raise UserError(
                    f"{name}: {place}networks.patchgan.layers: {layers} layers leave nothing of a {side} px image ({dataset}); lower it"
                )
        for method in params.methods_of(dataset):
            own = getattr(params.method(dataset, method), "kimg", None)
            where = f"{dataset}.kimg" if own is None else f"{prefix}methods.{method}.kimg"
            budget, batch_size = params.budget(dataset, method), params.batch_size(dataset, method)
            if budget * 1000 / batch_size < 1:
                raise UserError(
                    f"{name}: {where}: {budget} kimg is less than one step of batch_size={batch_size}; raise the budget, or lower the"
                    " batch size"
                )


def _check_names(params: Params, name: str) -> None:
    """The engines join names by hyphens: ``a`` × ``b-c`` and ``a-b`` × ``c`` would be one stage."""
    for group in (params.datasets, params.unpaired.datasets):
        seen: dict[str, tuple[str, str]] = {}
        for dataset in group:
            for method in params.methods_of(dataset):
                joined = f"{dataset}-{method}"
                if joined in seen:
                    first, second = seen[joined]
                    raise UserError(
                        f"{name}: {dataset} × {method} and {first} × {second} would both be the stage {joined}; rename one of them"
                    )
                seen[joined] = dataset, method


def patchgan_side(image_size: int, layers: int) -> int:
    """Side of the PatchGAN's output; less than 1 where the image is too small for it."""
    return image_size if layers == 0 else image_size // 2**layers - 2


def explain(error: ValidationError, root: type[BaseModel], under: str = "") -> str:
    """The first problem of a pydantic error, as ``key: found …, expected …``; the keys of ``root`` stand ``under`` another."""
    errors = error.errors(include_url=False)
    # A key that is missing may be there, and misspelled: that says more.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0]) if errors[0]["type"] == "missing" else errors[0]
    location = ".".join([*([under] if under else []), *map(str, first["loc"])])
    if first["type"] == "extra_forbidden":
        *parents, unknown = first["loc"]
        return f"{location}: unknown key{nearest(str(unknown), _fields(root, parents))}"
    if first["type"] == "missing":
        return f"{location}: missing; expected a value"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if first["type"] == "value_error":
        return f"{location}: {message}"
    return f"{location}: found {first['input']!r}; {message}"


def _fields(root: type[BaseModel], parents: Iterable[Any]) -> list[str]:
    """The field names of the model at ``parents`` below ``root``; a part may be a field or, below a mapping, an entry's name."""
    model: Any = root
    for part in parents:
        if isinstance(part, int):  # a place in a list, whose items' model is already found
            continue
        model = get_args(model)[1] if get_origin(model) is dict else model.model_fields[part].annotation
        model = next((each for each in get_args(model) if hasattr(each, "model_fields")), model)  # of a setting that may be None
    return list(getattr(model, "model_fields", ()))
