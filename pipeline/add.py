"""``cgm add`` and ``cgm remove``: a dataset of one's own in ``params.yaml``, looked at before it is written.

The pictures are fetched and prepared below ``build/add``, as the stages would; only then the entry is written, into the file as it stands:
comments and the other entries keep their places.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from cgm.core.errors import UserError
from cgm.core.files import remove, write_text
from cgm.core.processes import processors
from cgm.data.sources.folder import FOLDER
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import NAME, load_params, parse_params
from cgm.methods import METHODS
from pipeline import stage_table

PLACE = Path("build/add")
ALIKE = 0.9
WARM_UP, TIMED = 2, 6
"""Steps before the clock, and on it."""
GROUPS = {True: ("datasets",), False: ("unpaired", "datasets")}
"""Where a dataset's entry stands, by whether it is paired."""


def add(params_path: Path, name: str, places: Sequence[str], *, paired: bool | None, size: int, kimg: float, more: dict[str, Any]) -> None:
    """Look at the pictures in ``places`` (a folder, a table of pairs, or two folders), say what they are, and enter them as ``name``.

    ``paired``: None lets the names decide. ``more``: further settings of the entry. Raises :class:`UserError`, and writes nothing, where
    the pictures or the settings can't be used.
    """
    params = load_params(params_path)
    if not NAME.fullmatch(name):
        raise UserError(f"{name}: names become folder names; use lower-case letters, digits, '_' and '-'")
    if name in params.all_datasets:
        raise UserError(f"{params_path}: a dataset {name} is there already; choose another name, or run `cgm remove {name}` first")
    if len(places) > 2:
        raise UserError(f"found {len(places)} paths, expected a folder, a table of pairs, or two folders (conditions and targets)")
    where = dict(zip(("a", "b") if len(places) == 2 else ("path",), places, strict=True))
    entry = {"source": "folder", **where, **more, "image_size": size, "kimg": kimg}
    text, paired, settings = _checked(params_path, name, entry, paired)
    # Prepared by the names that the stages would use, so that a problem shows now and not in an hour.
    from cgm.data.prepare import prepare

    raw, prepared = PLACE / "raw" / name, PLACE / "prepared" / name
    FOLDER.fetch(settings, raw, paired=paired)
    card = prepare(settings, raw, prepared, name=name, paired=paired, processes=processors())
    print(f"pictures    {'pairs' if paired else 'two domains without pairs'}, {card['image_size']} px, fit: {card['fit']}")
    print(f"sheet       {prepared / 'sheet.png'}")
    estimate = _estimate(parse_params(_loaded(text), name=str(params_path)), name, prepared)
    print(f"time        {estimate}")
    write_text(params_path, text)
    remove(raw)
    print(
        f"{params_path}: {'.'.join(GROUPS[paired])}.{name} added; look at the sheet, then run `make all` (`cgm remove {name}` takes it out)"
    )


def take_out(params_path: Path, name: str) -> None:
    """Remove a dataset's entry; what was made of it waits in ``build/unlisted`` and comes back with the entry."""
    params = load_params(params_path)
    if name not in params.all_datasets:
        raise UserError(f"{params_path}: no dataset {name}; expected one of {', '.join(params.all_datasets)}")
    document = _round_trip(params_path)
    group = _group(document, GROUPS[params.is_paired(name)], params_path)
    del group[name]
    text = _dumped(document)
    parse_params(_loaded(text), name=str(params_path))
    write_text(params_path, text)
    remove(PLACE / "prepared" / name)
    print(f"{params_path}: {name} removed; what was made of it goes to build/unlisted at the next run, and comes back if it is added again")


def _checked(path: Path, name: str, entry: dict[str, Any], paired: bool | None) -> tuple[str, bool, Any]:
    """The new text of the file, how the dataset is read, and its settings, valid beside all others."""
    if paired is None:
        paired = _looks_paired(path, name, entry)
    document = _round_trip(path)
    flow = CommentedMap({key: value for key, value in entry.items() if value is not None})
    flow.fa.set_flow_style()
    entries = _group(document, GROUPS[paired], path)
    entries[name] = flow
    if len(entries) == 1:
        entries.fa.set_block_style()  # a line of its own, where there was {}
    text = _dumped(document)
    params = parse_params(_loaded(text), name=str(path))
    if not params.methods_of(name):
        group, example = ("methods", "mae: {}") if paired else ("unpaired.methods", "cyclegan: {}")
        raise UserError(f"{path}: {group}: lists no method that would train on {name}; add one first, for example {example}")
    return text, paired, params.all_datasets[name]


def _looks_paired(path: Path, name: str, entry: dict[str, Any]) -> bool:
    """Whether nine of ten conditions have a target of their name, or, as an affix a side may still pair them, there are as many of both."""
    settings = parse_params(_minimal(name, entry), name=str(path)).datasets[name]
    if settings.condition is not None:
        return True
    layout, found = FOLDER.layout(settings, Path())
    if layout in ("side-by-side", "table", "single"):
        return True
    names = [{item.id for item in found["train"].get(side, [])} for side in "AB"]
    both, most = names[0] & names[1], max(map(len, names))
    return len(both) >= ALIKE * most or (not both and len(names[0]) == len(names[1]))


def _minimal(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    return {"experiment": "add", "seeds": [0], "datasets": {name: dict(entry)}, "methods": {"mae": {}}}


def _round_trip(path: Path) -> CommentedMap:
    try:
        found = _yaml().load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    assert isinstance(found, CommentedMap)  # load_params has read it
    return found


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 10**6
    return yaml


def _dumped(document: CommentedMap) -> str:
    file = io.StringIO()
    _yaml().dump(document, file)
    return file.getvalue()


def _loaded(text: str) -> Any:
    return YAML(typ="safe").load(text)


def _group(document: CommentedMap, keys: Sequence[str], path: Path) -> CommentedMap:
    """The mapping that holds the datasets, made where it is missing."""
    found: Any = document
    for key in keys:
        if found.get(key) is None:
            found[key] = CommentedMap()
        found = found[key]
    if not isinstance(found, CommentedMap):
        raise UserError(f"{path}: {'.'.join(keys)}: found {type(found).__name__}, expected a mapping")
    return found


def _estimate(params: Params, name: str, prepared: Path) -> str:
    """From some steps of the first method, and what each method's record says of its cost beside it."""
    import torch

    from cgm.data.prepared import open_prepared
    from cgm.training.checkpoint import Checkpoint
    from cgm.training.device import pick_device
    from cgm.training.trainer import Trainer

    methods = params.methods_of(name)
    entry = min(methods, key=lambda key: METHODS[methods[key].implementation].cost)
    device = pick_device(params.compute)
    run = Run(dataset=name, method=entry, seed=params.seeds[0])
    trainer = Trainer(params, run, open_prepared(prepared), Checkpoint(PLACE / "no-checkpoint", ""), device)
    for _ in range(WARM_UP):
        trainer.advance()
    started = time.monotonic()
    for _ in range(TIMED):
        trainer.advance()
    if device.type == "cuda":
        torch.cuda.synchronize()
    second = (time.monotonic() - started) / TIMED
    cost = sum(METHODS[settings.implementation].cost for settings in methods.values()) / METHODS[methods[entry].implementation].cost
    slots = 1 if device.type == "cuda" else max(1, stage_table.cores() // params.compute.threads)
    total = second * trainer.total_steps * cost * len(params.seeds) / slots
    return f"about {_length(total)} to train {len(methods)} methods × {len(params.seeds)} seeds here ({device.type}, {slots} at once)"


def _length(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
