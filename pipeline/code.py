"""The code that a result depends on, as a hash.

From an entry point every definition (function, class, constant) that it reaches by name is followed through the project's modules. Each
counts by its source without comments, docstrings, annotations and messages. A new function, or another wording, therefore changes nothing
that doesn't use it; where a definition stands doesn't count either.

Names that no source shows are given as places, ``package.module:name``: the entries of registries that a run uses. Where a module is used
other than by ``module.name``, all of it counts.

A method or network of the user's own (:mod:`cgm.core.own`) is such a place. Its file, and what it imports from the checkout, are followed
like the project's. Of one that is installed, its file and the version of its distribution count.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cgm.core.files import read_json, sha256, write_json
from cgm.core.registry import places
from cgm.experiment.params import Params, Run
from cgm.methods import METHODS
from pipeline import syntax
from pipeline.syntax import Definition, Module, from_json, read

PACKAGES = ("cgm", "pipeline")
NOT_IN_RESULTS = (
    "cgm.core.console",
    "cgm.core.download",
    "cgm.core.errors",
    "cgm.core.lazy",
    "cgm.core.own",
    "cgm.core.progress",
    "cgm.core.registry",
    "cgm.core.settings",
    "cgm.experiment",
    "cgm.methods.own",
    "cgm.networks.fixed.weights",
    "cgm.networks.own",
    "cgm.networks.settings",
    "pipeline.code",
    "pipeline.fingerprint",
    "pipeline.stage_command",
    "pipeline.syntax",
)
"""Modules, and packages with all of theirs, that change no result: settings count by value and weights by their hash; the rest speaks to
the user."""
Place = tuple[str, str]
"""Module, and the name of a definition in it; or ``""``: what the module does when it is imported."""
READER = sha256(syntax.__file__)
"""What takes the files apart: another one finds other things."""
CACHE = Path("build/code.json")
"""What was found in each source file, by its hash: to take all of them apart is most of the time that a fingerprint takes."""


def places_of(params: Params, run: Run, *others: BaseModel) -> list[str]:
    """The registries' entries that a run's method uses, and that ``others`` name."""
    settings = params.method(run.dataset, run.method)
    return sorted({METHODS.place(settings.implementation), *places(settings, *others)})


def training_code(params: Params, run: Run, code: Code) -> str:
    """The fingerprint of everything that a run's training reaches."""
    return code.fingerprint("pipeline.train", places_of(params, run, params.training))


class Code:
    """The project's modules below ``root``, each read once."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        self._modules: dict[str, Module] = {}
        self._fingerprints: dict[tuple[str, tuple[str, ...], bool], str] = {}
        self._references: dict[tuple[Place, bool], frozenset[Place]] = {}
        self._own: dict[str, Path | None] = {}

    def path(self, module: str) -> Path | None:
        """The file of one of the checkout's modules, or the folder of a package without ``__init__.py``; None for any other."""
        if not module:
            return None
        if module.partition(".")[0] in PACKAGES:
            return self._paths.get(module)
        if module not in self._own:
            below = self.root.joinpath(*module.split("."))
            candidates = (below / "__init__.py", Path(f"{below}.py"), below)
            self._own[module] = next((path for path in candidates if path.exists()), None)
        return self._own[module]

    def _is_module(self, name: str) -> bool:
        path = self.path(name)
        return path is not None and path.suffix == ".py"

    @cached_property
    def _paths(self) -> dict[str, Path]:
        found = {}
        for package in PACKAGES:
            for path in (self.root / package).rglob("*.py"):
                parts = path.relative_to(self.root).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return found

    @cached_property
    def _known(self) -> dict[str, Any]:
        path = self.root / CACHE
        try:
            kept = read_json(path) if path.is_file() else {}
            return kept["modules"] if kept.get("by") == READER else {}
        except (ValueError, AttributeError, KeyError):  # whatever stands there, it can be found again
            return {}

    def save(self) -> None:
        """Keep what was found, for the next process."""
        found = {name: asdict(module) for name, module in self._modules.items()}
        if found.keys() - self._known.keys() or any(self._known[name]["sha256"] != each["sha256"] for name, each in found.items()):
            write_json(self.root / CACHE, {"by": READER, "modules": {**self._known, **found}})

    def fingerprint(self, stage: str, entries: Iterable[str] = (), *, words: bool = False) -> str:
        """SHA-256 over what the module ``stage`` and the ``entries`` (places) reach.

        ``words``: texts of records count too, as for the report.
        """
        key = stage, tuple(sorted(set(entries))), words
        if key not in self._fingerprints:
            reached = self.reach(stage, key[1], words=words)
            lines = sorted(f"{name} {self._definition((module, name), words).digest}\n" for module, name in reached)
            ours = {module for module, _ in reached if module.count(".") >= 2 and module.partition(".")[0] in PACKAGES}
            folders = sorted({self._paths[module].parent for module in ours})
            lines += [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for folder in folders for path in _shipped(folder)]
            lines += [f"{place} {_installed(place)}\n" for place in key[1] if not self._is_module(place.partition(":")[0])]
            self._fingerprints[key] = hashlib.sha256("".join(lines).encode()).hexdigest()
        return self._fingerprints[key]

    def reach(self, stage: str, entries: Iterable[str] = (), *, words: bool = False) -> set[Place]:
        """The definitions behind a fingerprint."""
        waiting: list[Place] = [(stage, name) for name in (*self.module(stage).names, "", "__main__")]
        waiting += [place for text in entries for place in self._place(text)]
        reached: set[Place] = set()
        while waiting:
            place = waiting.pop()
            if place in reached or _left_out(place[0]):
                continue
            reached.add(place)
            waiting += self._followed(place, words)
        return reached

    def module(self, name: str) -> Module:
        if name not in self._modules:
            path = self.path(name)
            assert path is not None
            source = path.read_bytes()
            digest = hashlib.sha256(source).hexdigest()
            known = self._known.get(name, {})
            if known.get("sha256") == digest:
                self._modules[name] = from_json(known)
            else:
                self._modules[name] = read(source.decode(), name, path.name == "__init__.py", digest)
        return self._modules[name]

    def _definition(self, place: Place, words: bool) -> Definition:
        return self.module(place[0]).definitions[place[1]][words]

    def _followed(self, place: Place, words: bool) -> frozenset[Place]:
        """The definitions that one uses, and what importing its module does."""
        if (place, words) not in self._references:
            name = place[0]
            module, definition = self.module(name), self._definition(place, words)
            found: set[Place] = set()
            for chain in definition.chains:
                if chain[0] in module.definitions:
                    found.add((name, chain[0]))
                elif chain[0] in module.imports:
                    found.update(self._follow(module.imports[chain[0]], chain[1:]))
            for text in definition.texts:
                found.update(self._place(text))
            for key, target in module.imports.items():
                if key.startswith("*"):  # any of its names may come from there
                    found.update(self._follow(target, ()))
            parents = name.split(".")
            found |= {(".".join(parents[: count + 1]), "") for count in range(len(parents))}
            self._references[place, words] = frozenset(each for each in found if self._is_module(each[0]))
        return self._references[place, words]

    def _place(self, text: str) -> Iterator[Place]:
        """Of ``package.module:name``; nothing of any other text."""
        module, colon, name = text.partition(":")
        if colon and self._is_module(module) and name.isidentifier():
            yield from self._follow(f"{module}.{name}", ())

    def _follow(self, target: str, rest: tuple[str, ...]) -> Iterator[Place]:
        """The definitions behind an imported name and the attributes that follow it; all of a module that is used as a whole."""
        if self.path(target) is not None:
            if rest and self.path(f"{target}.{rest[0]}") is not None:
                yield from self._follow(f"{target}.{rest[0]}", rest[1:])
                return
            if _left_out(target) or not self._is_module(target):
                return
            module = self.module(target)
            if rest and rest[0] in module.definitions:
                yield target, rest[0]
            elif rest and rest[0] in module.imports:
                yield from self._follow(module.imports[rest[0]], rest[1:])
            else:
                yield from ((target, name) for name in (*module.names, ""))
            return
        parent, _, name = target.rpartition(".")
        if self.path(parent) is not None:
            yield from self._follow(parent, (name, *rest))


def _installed(place: str) -> str:
    """Of a module that lies outside of the checkout: its distribution's version and its file's hash."""
    module = place.partition(":")[0]
    spec = importlib.util.find_spec(module)
    distributions = importlib.metadata.packages_distributions().get(module.partition(".")[0], [])
    versions = " ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(set(distributions)))
    return f"{versions} {sha256(spec.origin) if spec is not None and spec.origin else ''}"


def _shipped(folder: Path) -> list[Path]:
    """What a package ships beside its code (templates), in the folder and in those below that are no packages."""
    files = [path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"]
    plain = [path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists()]
    return sorted([*files, *(path for below in plain for path in below.rglob("*") if path.is_file())])


def _left_out(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in NOT_IN_RESULTS)
