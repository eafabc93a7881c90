"""Stage ``fingerprint``: for each stage, what beside DVC's own inputs decides its outcome → ``build/inputs/``.

That is the code which the stage reaches (:mod:`pipeline.code`), the defaults of its settings, and the identity of a dataset's source. Files
are rewritten only when their content changes, so both engines see a change where there is one.

The stage also keeps ``results/`` and ``data/`` to what ``params.yaml`` lists: runs and datasets that it no longer lists wait in
``build/unlisted/`` and come back when it lists them again. The report reads folders, and what lies in them is its input.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from cgm.core.files import read_json, remove, write_text
from cgm.core.registry import Registry, places
from cgm.data.sources import SOURCES
from cgm.evaluation.metrics import METRICS
from cgm.experiment import paths
from cgm.experiment.params import Params
from cgm.experiment.settings import Compute, Evaluation, Training
from cgm.methods import METHODS
from cgm.networks.fixed import FIXED
from cgm.networks.fixed.lpips import TRUNKS
from cgm.networks.settings import Networks
from cgm.report.figures import FIGURES
from cgm.report.tables import TABLES
from pipeline import filters
from pipeline.code import Code, places_of, training_code
from pipeline.stage_command import main
from pipeline.stage_table import looks_on
from pipeline.weights import prospects

FOLDER = Path("build/inputs")
UNLISTED = Path("build/unlisted")
DVC_STAGE = "DVC_STAGE"
"""Environment variable that DVC gives the commands it runs."""
SERIAL = "dvc repro runs one stage at a time; `snakemake --cores 8 all` runs the same stages side by side, and DVC finds them done"


def contents(params: Params, root: Path = Path()) -> dict[str, dict[str, Any]]:
    """What ``build/inputs`` should hold: file name → content."""
    code = Code(root)
    files: dict[str, dict[str, Any]] = {}
    for dataset, settings in params.all_datasets.items():
        source = SOURCES[settings.source]
        name = f"fetch/{dataset}.json"
        identity = _known(source.identity(settings, root), root / FOLDER / name)
        files[name] = _entry(code.fingerprint("pipeline.fetch", [SOURCES.place(settings.source)]), {"source": settings.source, **identity})
        # The budget is left out: another one needs no other data.
        files[f"prepare/{dataset}.json"] = _entry(code.fingerprint("pipeline.prepare"), settings.model_dump(exclude={"kimg"}))
    for run in params.runs():
        models = (
            Compute,
            Training,
            Networks,
            type(params.all_datasets[run.dataset]),
            METHODS[params.method(run.dataset, run.method).implementation].Settings,
        )
        defaults = {model.__qualname__: _defaults(model) for model in models}
        name, method = f"train/{run.dataset}/{run.method}.json", params.method(run.dataset, run.method)
        if name not in files:
            identity = METHODS[method.implementation].identity(method, run.dataset, root)
            files[name] = _entry(training_code(params, run, code), {**defaults, **_known(identity, root / FOLDER / name)})
        files[f"translate/{run.dataset}/{run.method}.json"] = _entry(
            code.fingerprint("pipeline.translate", places_of(params, run)), defaults
        )
        if not params.is_paired(run.dataset):
            files[f"round_trip/{run.dataset}/{run.method}.json"] = _entry(
                code.fingerprint("pipeline.round_trip", places_of(params, run)), defaults
            )
    files["weights.json"] = _entry(code.fingerprint("pipeline.weights"), prospects(params, root))
    files["filters.json"] = _entry(code.fingerprint("pipeline.filters"), filters.identity(params))
    for stage in ("reference", "evaluate"):
        files[f"{stage}.json"] = _entry(
            code.fingerprint(f"pipeline.{stage}", _looks(params)), {**_defaults(Evaluation), "looks_on": looks_on(params.evaluation)}
        )
    files["track.json"] = _entry(code.fingerprint("pipeline.track"), {})
    files["report.json"] = _entry(report_code(params, code), {})
    code.save()
    return files


def report_code(params: Params, code: Code) -> str:
    """The fingerprint of everything that the report shows and says."""
    methods = (place for run in params.runs() for place in places_of(params, run, params.training))
    return code.fingerprint("pipeline.report", [*_looks(params), *_all(FIGURES), *_all(TABLES), *methods], words=True)


def _looks(params: Params) -> list[str]:
    """The entries that an evaluation uses."""
    return [*_all(METRICS), *places(params.evaluation), *(FIXED.place(TRUNKS[each.name]) for each in params.evaluation.lpips)]


def names(deps: Iterable[str]) -> list[str]:
    """Those of a stage's inputs that are fingerprints, as :func:`contents` names them."""
    return [Path(dep).relative_to(FOLDER).as_posix() for dep in deps if Path(dep).is_relative_to(FOLDER)]


def _all(registry: Registry[Any]) -> Iterable[str]:
    return (registry.place(name) for name in registry)


def _known(identity: dict[str, Any], path: Path) -> dict[str, Any]:
    """``identity``; what can't be told now (None) is as it was, so that results outlive the folder that they were made of."""
    before = read_json(path)["settings"] if path.is_file() else {}
    return {key: before.get(key) if value is None else value for key, value in identity.items()}


def put_aside(params: Params, root: Path = Path()) -> None:
    """Move what is not listed to ``build/unlisted``, and back what is listed and missing; times are kept."""
    listed = {paths.run_folder(run) for run in params.runs()}
    for dataset in params.all_datasets:
        listed |= {paths.raw(dataset), paths.prepared(dataset), paths.reference(dataset)}
    for pattern in (f"{paths.RESULTS}/*/*/*", *(f"{folder}/*" for folder in (paths.RAW, paths.PREPARED, paths.REFERENCE))):
        for path in root.glob(pattern):
            if path.relative_to(root) not in listed and not path.name.startswith("."):
                aside = root / UNLISTED / path.relative_to(root)
                remove(aside)
                aside.parent.mkdir(parents=True, exist_ok=True)
                path.rename(aside)
                for parent in path.relative_to(root).parents[:-2]:
                    if not any((root / parent).iterdir()):
                        (root / parent).rmdir()
    for path in listed:
        if (root / UNLISTED / path).exists() and not (root / path).exists():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / UNLISTED / path).rename(root / path)


def write(params: Params, root: Path = Path()) -> None:
    """Bring ``build/inputs`` up to date; a file whose content is right keeps its time. Put aside what is not listed."""
    put_aside(params, root)
    wanted = {root / FOLDER / name: json.dumps(value, indent=2, sort_keys=True) + "\n" for name, value in contents(params, root).items()}
    for path in (root / FOLDER).rglob("*"):
        if path.is_file() and path not in wanted:
            remove(path)
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)


def _entry(code: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"code": code, "settings": settings}


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    values = {name: field.get_default() for name, field in model.model_fields.items() if not field.is_required()}
    found: dict[str, Any] = to_jsonable_python(values)
    return found


if __name__ == "__main__":
    if DVC_STAGE in os.environ:
        print(SERIAL)
    main(write)
