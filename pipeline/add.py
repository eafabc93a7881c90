"""``cgm add`` and ``cgm remove``: a dataset of one's own in ``params.yaml``, looked at before it is written.

The pictures are fetched and prepared below ``build/add``, as the stages would; only then the entry is written, into the file as it stands
(:mod:`pipeline.params_text`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from cgm.core.errors import UserError
from cgm.core.files import remove
from cgm.core.processes import processors
from cgm.core.words import plural
from cgm.data.layouts import Found, Item
from cgm.data.listing import VALIDATED, hash_order
from cgm.data.sources.files import FileSettings
from cgm.data.sources.folder import FOLDER
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import NAME, parse_params, read_yaml
from cgm.methods import METHODS
from pipeline import params_text, stage_table

PLACE = Path("build/add")
ALIKE, SURE = 0.9, 0.99
"""Share of one side's names, or of pairs' shapes, that must agree for pairs; and of names that are mere numbers, as any two folders may
have them."""
SAMPLE = 50
"""Pairs whose shapes are compared."""
USABLE = {"val": 16, "test": 32}
"""Conditions from which on a mean over them says something: its standard error is their spread by the root of their number, there a
quarter and a sixth of it."""
SIZE, KIMG = 64, 8.0
"""Where nobody says otherwise."""
WARM_UP, TIMED = 2, 6
"""Steps before the clock, and on it."""
GROUPS = {True: ("datasets",), False: ("unpaired", "datasets")}
"""Where a dataset's entry stands, by whether it is paired."""


def add(
    params_path: Path,
    name: str,
    places: Sequence[str],
    *,
    paired: bool | None,
    more: dict[str, Any],
    size: int | list[int] | None = None,
    kimg: float | None = None,
) -> None:
    """Look at the pictures in ``places`` (a folder, a table of pairs, or two folders), say what they are, and enter them as ``name``.

    ``paired``: None lets the names decide. ``more``: further settings of the entry. Raises :class:`UserError`, and writes nothing, where
    the pictures or the settings can't be used, or contradict each other.
    """
    params = _params(params_path)
    if not NAME.fullmatch(name):
        raise UserError(f"{name}: names become folder names; use lower-case letters, digits, '_' and '-'")
    if name in params.all_datasets:
        raise UserError(f"{params_path}: a dataset {name} is there already; choose another name, or run `cgm remove {name}` first")
    entry = _entry(places, more, {"image_size": size, "kimg": kimg})
    guessed = ""
    if paired is None:
        settings = _parsed(_minimal(name, entry), params_path).datasets[name]
        assert isinstance(settings, FileSettings)
        layout, found = FOLDER.layout(settings, Path())
        if settings.condition is not None or layout in ("side-by-side", "table", "single"):
            paired = True
        else:
            paired = _looks_paired(found)
            guessed = f" (so the names say; if they aren't: {'--unpaired' if paired else '--paired'})"
    text = params_text.with_entry(params_path, params_text.read(params_path), GROUPS[paired], name, entry)
    params = _parsed(YAML(typ="safe").load(text), params_path)
    settings = params.all_datasets[name]
    if not params.methods_of(name):
        group, example = ("methods", "mae: {}") if paired else ("unpaired.methods", "cyclegan: {}")
        raise UserError(f"{params_path}: {group}: lists no method that would train on {name}; add one first, for example {example}")
    # Prepared by the names that the stages would use, so that a problem shows now and not in an hour.
    from cgm.data.prepare import prepare

    raw, prepared = PLACE / "raw" / name, PLACE / "prepared" / name
    FOLDER.fetch(settings, raw, paired=paired)
    card = prepare(settings, raw, prepared, name=name, paired=paired, processes=processors())
    kind = "pairs" if paired else "two domains without pairs"
    print(f"pictures    {kind}{guessed}")
    print(f"prepared    {_pixels(card['image_size'])}, fit: {card['fit']}, augment: {card['augment']}")
    print(f"sheet       {prepared / 'sheet.png'}")
    for warning in _too_few(card["counts"], params.evaluation.neighbours):
        print(f"warning     {warning}")
    print(f"time        {_estimate(params, name, prepared)}")
    params_text.rewrite(params_path, text)
    remove(raw)
    print(
        f"{params_path}: {'.'.join(GROUPS[paired])}.{name} added; look at the sheet, then run `make all` (`cgm remove {name}` takes it out)"
    )


def take_out(params_path: Path, name: str) -> None:
    """Remove a dataset's entry; what was made of it waits in ``build/unlisted`` and comes back with the entry."""
    params = _params(params_path)
    if name not in params.all_datasets:
        raise UserError(
            f"{params_path}: no dataset {name}; expected one of {', '.join(params.all_datasets) or 'none: it lists no dataset'}"
        )
    text = params_text.without_entry(params_path, params_text.read(params_path), GROUPS[params.is_paired(name)], name)
    if not any(True for _ in _parsed(YAML(typ="safe").load(text), params_path).runs()):
        raise UserError(f"{params_path}: {name} is the only dataset that anything trains on; add another first, then remove it")
    params_text.rewrite(params_path, text)
    remove(PLACE / "prepared" / name)
    print(f"{params_path}: {name} removed; what was made of it goes to build/unlisted at the next run, and comes back if it is added again")


def _params(path: Path) -> Params:
    """Of an experiment that may have no dataset yet."""
    return _parsed(read_yaml(path, remedy="run the command in the folder that holds params.yaml"), path)


def _parsed(raw: Any, path: Path) -> Params:
    return parse_params(raw, name=str(path), complete=False)


def _entry(places: Sequence[str], more: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of these paths, with the settings of ``--set`` and of the ``options`` that were given: what is said twice must be the
    same."""
    if len(places) > 2:
        raise UserError(f"found {len(places)} paths, expected a folder, a table of pairs, or two folders (conditions and targets)")
    where = dict(zip(("a", "b") if len(places) == 2 else ("path",), places, strict=True))
    said = {"source": "folder", **where, **{key: value for key, value in options.items() if value is not None}}
    for key, value in more.items():
        if key in said and said[key] != value:
            raise UserError(f"--set {key}: found {value!r}, but the rest of the command says {said[key]!r}; leave one of them out")
        if key in ("path", "a", "b") and key not in said:
            raise UserError(f"--set {key}: the paths are given as PATH; leave it out")
    given = {key: value for key, value in {**said, **more}.items() if value is not None}
    last = {"image_size": given.pop("image_size", SIZE), "kimg": given.pop("kimg", KIMG)}
    return {**given, **last}


def _looks_paired(found: Found) -> bool:
    """Whether training conditions have a target of their name and shape, or of one that differs by an affix of the whole side."""
    from cgm.data.pairing import by_affix

    a, b = ({item.id: item for item in found.get("train", {}).get(side, [])} for side in "AB")
    both, most = a.keys() & b.keys(), max(len(a), len(b))
    if not both:
        renamed = by_affix({"A": a, "B": b})
        return renamed is not None and renamed[0]["A"].keys() == renamed[0]["B"].keys()
    numbers = all(each.rpartition("/")[2].isdecimal() for each in both)
    return len(both) >= (SURE if numbers else ALIKE) * most and _of_one_shape([(a[each], b[each]) for each in hash_order(both)[:SAMPLE]])


def _of_one_shape(pairs: Sequence[tuple[Item, Item]]) -> bool:
    """Whether both of nearly every pair have the same shape; what can't be read says nothing."""
    from cgm.data.pairing import one_shape
    from cgm.data.raster import Job
    from cgm.data.survey import look

    seen = [tuple(look(Job(path=item.path, sha256="")) for item in pair) for pair in pairs]
    readable = [(a, b) for a, b in seen if a.picture and b.picture and not (a.problem or b.problem)]
    return sum(one_shape(a, b) for a, b in readable) >= ALIKE * len(readable)


def _too_few(counts: Mapping[str, Mapping[str, int]], neighbours: int) -> list[str]:
    """What can't be told by so few pictures; empty where there are enough. ``counts``: by split and side."""
    val, test = (counts[split]["A"] for split in ("val", "test"))
    found = []
    if val < USABLE["val"]:
        why = "on so few it is mostly chance" if val > 1 else "on fewer than 2 not at all, so that nothing may be called best"
        found.append(
            f"val has {plural(val, 'condition')}, expected {USABLE['val']} or more (best {VALIDATED}): whether a method was trained to"
            f" competence is judged on them, and {why}"
        )
    if test < USABLE["test"]:
        lacking = f", and several metrics need more than {neighbours} (evaluation.neighbours)" if test <= neighbours else ""
        found.append(
            f"test has {plural(test, 'condition')}, expected {USABLE['test']} or more: every metric is measured on them, and on so few it"
            f" is mostly chance{lacking}"
        )
    return found


def _pixels(size: int | Sequence[int]) -> str:
    return f"{size if isinstance(size, int) else '×'.join(map(str, size))} px"


def _minimal(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    return {"experiment": "add", "seeds": [0], "datasets": {name: dict(entry)}, "methods": {"mae": {}}}


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
    work = f"{plural(len(methods), 'method')} × {plural(len(params.seeds), 'seed')}"
    return f"about {_length(total)} to train {work} here ({device.type}, {slots} at once); translation and evaluation come on top"


def _length(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
