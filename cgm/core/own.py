"""Classes of the user's own: ``my_losses/focal.py:FocalFrequency``, a file below the folder that holds ``params.yaml`` (the working
directory of every command), or ``package.module:Class``, which is installed or stands in the checkout.

A file is imported by its dotted name from that folder, ``my_losses.focal``, so that files of the user's own may import each other. Whatever
is wrong with a place, or in what stands there, is a :class:`~cgm.core.errors.UserError` of one line.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import keyword
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath
from types import FrameType, ModuleType
from typing import Any

from cgm.core.errors import UserError

TRACEBACK = "CGM_TRACEBACK"
"""Environment variable: set, errors in the user's own code keep their traceback."""
PROJECT = ("cgm", "pipeline")
"""Packages of the project itself."""
FORM = "a file and a class in it, such as my_losses/focal.py:FocalFrequency, or package.module:Class"
LONGEST = 300
"""Letters that are shown of another error's message."""


def is_place(name: str) -> bool:
    """Whether a name looks like a place, a right one or a wrong one."""
    return ":" in name or "/" in name or name.endswith(".py")


def dotted(place: str) -> str:
    """``package.module:Class`` of either form. Raises :class:`UserError` where it has neither."""
    module, name, _ = _taken_apart(place)
    return f"{module}:{name}"


def load(place: str) -> Any:
    """The class at a place. Raises :class:`UserError` where there is none, or its file can't be imported."""
    module, name, path = _taken_apart(place)
    where = place.rpartition(":")[0]
    if path is not None:
        _look(path, where)
    found = _imported(module, where)
    if path is not None and not _is(found, path):
        raise UserError(f"{where}: {module} is imported from {_file(found)} instead; expected this file, so rename one of the two")
    if not hasattr(found, name):
        known = [key for key, value in vars(found).items() if inspect.isclass(value) and value.__module__ == module]
        raise UserError(f"{where}: has no class {name!r}{_near(name, known) if known else '; it defines none'}")
    _LOADED.add(str(_file(found)))
    return getattr(found, name)


def told(error: BaseException) -> str | None:
    """``my_losses/focal.py:31: in step: RuntimeError: …``: the last line of the user's own on the way to an error; None without one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_own(frame)]
    if not frames:
        return None
    frame, line = frames[-1]
    function = frame.f_code.co_name
    inside = "" if function == "<module>" else f"in {function}: "
    return f"{_shown(frame.f_code.co_filename)}:{line}: {inside}{_message(error)}"


@contextmanager
def errors_told() -> Iterator[None]:
    """Turn an error in the user's own code into a :class:`UserError`; all others, and with :data:`TRACEBACK` these too, pass."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if os.environ.get(TRACEBACK) or (line := told(error)) is None:
            raise
        raise UserError(f"{line} ({TRACEBACK}=1 before the command shows the whole traceback)") from error


_LOADED: set[str] = set()
"""Files of the classes that were loaded, wherever they lie."""


def _taken_apart(place: str) -> tuple[str, str, Path | None]:
    """Module, class, and the file where a file is named."""
    where, _, name = place.rpartition(":")
    if not (where and name.isidentifier()):
        raise UserError(f"found {place!r}, expected {FORM}")
    if "/" not in where and not where.endswith(".py"):
        if not all(map(_is_name, where.split("."))):
            raise UserError(f"found {place!r}, expected {FORM}")
        return where, name, None
    path = PurePosixPath(where)
    if path.suffix != ".py":
        raise UserError(f"{where}: expected a file that ends in .py")
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{where}: expected a path below the folder that holds params.yaml, and relative to it")
    parts = path.with_suffix("").parts
    if odd := next((part for part in parts if not _is_name(part)), None):
        raise UserError(f"{where}: is imported as a Python module, so {odd!r} has to be letters, digits and '_'; rename it")
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), name, Path(path)


def _is_name(word: str) -> bool:
    return word.isidentifier() and not keyword.iskeyword(word)


def _look(path: Path, where: str) -> None:
    """Before a file is imported: that it is there, in the checkout, and that its name leads to it."""
    if not path.is_file():
        beside = [str(each) for each in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise UserError(f"{where}: not found{_near(str(path), beside) if beside else f'; {path.parent}/ holds no Python file'}")
    if not path.resolve().is_relative_to(Path().resolve()):
        raise UserError(f"{where}: is a link that leaves the folder of params.yaml; put the file itself there")
    top = path.with_suffix("").parts[0]
    elsewhere = [entry for entry in sys.path if Path(entry).resolve() != Path().resolve()]
    spec = None if top in PROJECT else PathFinder.find_spec(top, elsewhere)
    if top in sys.stdlib_module_names or (spec is not None and spec.origin is not None):
        raise UserError(f"{where}: an installed package is called {top!r} too and would be imported in its place; rename {path.parts[0]}")


def _imported(module: str, where: str) -> ModuleType:
    here = str(Path().resolve())
    if here not in sys.path:  # behind all others: nothing that lies there hides what is installed
        sys.path.append(here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            raise UserError(f"{where}: there is no module {error.name!r}; expected {FORM}") from None
        if os.environ.get(TRACEBACK):
            raise
        raise UserError(told(error) or f"{where}: can't be imported: {_message(error)}") from error


def _message(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= LONGEST else text[:LONGEST] + '…'}"


def _file(module: ModuleType) -> Path:
    return Path(module.__file__ or module.__name__).resolve()


def _is(module: ModuleType, path: Path) -> bool:
    return _file(module) == path.resolve()


def _is_own(frame: FrameType) -> bool:
    """Whether a frame runs a file that was loaded from a place, or another of the checkout's that isn't the project's own."""
    path, name = Path(frame.f_code.co_filename).resolve(), str(frame.f_globals.get("__name__"))
    if str(path) in _LOADED:
        return True
    if name.split(".")[0] in PROJECT:
        return False
    below = Path(*name.split("."))
    return path in (Path(below).with_suffix(".py").resolve(), (below / "__init__.py").resolve())


def _shown(file: str) -> str:
    path = Path(file).resolve()
    return path.relative_to(Path().resolve()).as_posix() if path.is_relative_to(Path().resolve()) else str(path)


def _near(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known := list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(sorted(known))}"
