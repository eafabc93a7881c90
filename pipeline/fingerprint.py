"""Stage ``fingerprint``: for each stage, the code that matters to it → ``build/inputs/``.

A stage's code is its entry point and everything that imports reach from it, comments and docstrings taken out; of ``cgm.methods`` a
training or translation counts its own method's files only. The models of ``cgm/config.py`` count by the defaults that reach the stage,
an embedded archive by its SHA-256 in the manifest.
Files are rewritten only when their content changes, so both engines see a change where there is one.

The stage also keeps ``results/`` and ``data/`` to what ``params.yaml`` lists: runs and datasets that it no longer lists wait in
``build/unlisted/`` and come back when it lists them again. The report reads folders, and what lies in them is its input.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cgm import config
from cgm.config import Params
from cgm.data.embedded import EMBEDDED
from cgm.files import read_json, remove, write_text
from pipeline.stage import main

FOLDER = Path("build/inputs")
UNLISTED = Path("build/unlisted")
MANIFEST = Path("data/embedded/manifest.json")
REGISTRY = "cgm.methods"
DVC_STAGE = "DVC_STAGE"
"""Environment variable that DVC gives the commands it runs."""
SERIAL = "dvc repro runs one stage at a time; `snakemake --cores 8 all` runs the same stages side by side, and DVC finds them done"
NOT_IN_RESULTS = ("cgm.config", "cgm.errors", "cgm.params", "pipeline.stage")
"""Settings count by value (see above); messages and the command line change no result."""


@dataclass(frozen=True)
class Module:
    digest: str
    imports: frozenset[str]
    """Names of modules of ours, or of names in them: ``cgm.losses``, ``cgm.losses.l1``."""


class Code:
    """The modules below ``root``, read once."""

    def __init__(self, root: Path = Path()) -> None:
        self.paths = {_module_name(path.relative_to(root)): path for top in ("cgm", "pipeline") for path in (root / top).rglob("*.py")}
        self._modules: dict[str, Module] = {}
        self._fingerprints: dict[tuple[str, str | None], str] = {}

    def fingerprint(self, entry: str, implementation: str | None = None) -> str:
        """SHA-256 over the code that ``entry`` reaches; ``implementation`` stands in for the registry of methods."""
        key = entry, implementation
        if key not in self._fingerprints:
            self._fingerprints[key] = self._fingerprint(entry, implementation)
        return self._fingerprints[key]

    def _fingerprint(self, entry: str, implementation: str | None) -> str:
        digest = hashlib.sha256()
        reached = self._reach(entry, implementation)
        for name in sorted(reached):
            digest.update(f"{name} {self.module(name).digest}\n".encode())
        for path in sorted({file for name in reached for file in self._data_files(name)}):
            digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return digest.hexdigest()

    def module(self, name: str) -> Module:
        if name not in self._modules:
            path = self.paths[name]
            self._modules[name] = read_module(path.read_text(encoding="utf-8"), name, is_package=path.name == "__init__.py")
        return self._modules[name]

    def _reach(self, entry: str, implementation: str | None) -> set[str]:
        reached: set[str] = set()
        waiting = [entry]
        while waiting:
            name = waiting.pop()
            while name and name not in self.paths:  # a name inside a module
                name = name.rpartition(".")[0]
            if name == REGISTRY and implementation is not None:
                name = f"{REGISTRY}.{implementation}"
            if not name or name in reached or name in NOT_IN_RESULTS:
                continue
            reached.add(name)
            waiting += self.module(name).imports
        return reached

    def _data_files(self, name: str) -> Iterator[Path]:
        """What a sub-package ships beside its code (templates)."""
        folder = self.paths[name].parent
        if name.count(".") >= 2:
            yield from (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))


def read_module(source: str, name: str, *, is_package: bool) -> Module:
    """Imports of ours, and a digest of the source without comments, docstrings and blank lines (the same for every Python)."""
    tree = ast.parse(source)
    imports: set[str] = set()
    dropped: set[int] = set()
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            imports.update(f"{origin}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            dropped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    kept = (line.rstrip() for number, line in enumerate(lines, 1) if number not in dropped)
    text = "\n".join(line for line in kept if line)
    ours = frozenset(found for found in imports if found.partition(".")[0] in ("cgm", "pipeline"))
    return Module(hashlib.sha256(text.encode()).hexdigest(), ours)


def contents(params: Params, root: Path = Path()) -> dict[str, dict[str, Any]]:
    """What ``build/inputs`` should hold: file name → content."""
    code = Code(root)
    manifest = read_json(root / MANIFEST)
    files: dict[str, dict[str, Any]] = {}
    for dataset, settings in params.all_datasets.items():
        chosen = settings.model_dump()
        archive = manifest[EMBEDDED[settings.source].archive]["sha256"] if settings.source in EMBEDDED else None
        source = {"source": settings.source, "path": settings.path, "archive": archive}
        if settings.path is not None:
            source["files"] = _folder_state(root / settings.path)
        files[f"fetch/{dataset}.json"] = _entry(code.fingerprint("pipeline.fetch"), source)
        # The budget is left out: another one needs no other data.
        files[f"prepare/{dataset}.json"] = _entry(
            code.fingerprint("pipeline.prepare"), {key: value for key, value in chosen.items() if key != "kimg"}
        )
    for run in params.runs():
        implementation = params.method(run.dataset, run.method).implementation
        models = (config.Compute, config.Training, config.Networks, config.Dataset, config.METHODS[implementation])
        for stage in ("train", "translate"):
            files[f"{stage}/{run.dataset}/{run.method}.json"] = _entry(
                code.fingerprint(f"pipeline.{stage}", implementation), {model.__name__: _defaults(model) for model in models}
            )
    for stage in ("reference", "evaluate"):
        files[f"{stage}.json"] = _entry(code.fingerprint(f"pipeline.{stage}"), _defaults(config.Evaluation))
    for stage in ("track", "report"):
        files[f"{stage}.json"] = _entry(code.fingerprint(f"pipeline.{stage}"), {})
    return files


def put_aside(params: Params, root: Path = Path()) -> None:
    """Move what is not listed to ``build/unlisted``, and back what is listed and missing; times are kept."""
    listed = {Path("results", run.dataset, run.method, str(run.seed)) for run in params.runs()}
    for dataset in params.all_datasets:
        listed |= {Path("data", folder, dataset) for folder in ("raw", "prepared")}
        listed |= {Path("data/reference", f"{dataset}.{suffix}") for suffix in ("npz", "json")}
    for pattern in ("results/*/*/*", "data/raw/*", "data/prepared/*", "data/reference/*"):
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


def _folder_state(folder: Path) -> str:
    """Of a user's own folder, by name, size and time: whoever adds or replaces a picture gets it fetched again."""
    files = sorted((path.relative_to(folder).as_posix(), path.stat()) for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256("".join(f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in files).encode()).hexdigest()


def _entry(code: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"code": code, "settings": settings}


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    values = {name: field.get_default() for name, field in model.model_fields.items() if not field.is_required()}
    return {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in values.items()}


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


if __name__ == "__main__":
    if DVC_STAGE in os.environ:
        print(SERIAL)
    main(write)
