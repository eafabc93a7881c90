"""What a class of the user's own must be to serve as a method; docs/methods.md is its contract in words."""

from __future__ import annotations

import inspect
from typing import Any

from cgm.core.registry import About
from cgm.methods.method import Implementation, Method, TrainedSettings

ABOUT = "about = About(title=…), from cgm.core.registry"
SETTINGS = "Settings = TranslatorSettings, from cgm.methods.method, or a class of its own derived from it"


def complete(found: Any) -> type[Implementation]:
    """``found`` if it is a method, with words of its own: those of a class that it derives from would be said of another loss.

    Raises ``LookupError``, which says what is missing.
    """
    if not (inspect.isclass(found) and issubclass(found, Method)):
        kind = f"class {found.__name__}" if inspect.isclass(found) else f"a value of type {type(found).__name__}"
        raise LookupError(f"found {kind}, expected a class derived from Method, from cgm.methods.method")
    if lacking := [name for name in ("build", "step") if name in found.__abstractmethods__]:
        raise LookupError(f"has no {' and no '.join(lacking)}; expected both: build makes the networks, step computes the losses")
    Settings = getattr(found, "Settings", None)
    if Settings is None:
        raise LookupError(f"has no Settings; expected {SETTINGS}")
    if not (inspect.isclass(Settings) and issubclass(Settings, TrainedSettings)):
        raise LookupError(f"has Settings that are none; expected {SETTINGS}")
    try:
        Settings.model_rebuild()
    except Exception as error:  # whatever pydantic finds in annotations that others wrote
        raise LookupError(
            f"has Settings that can't be read ({' '.join(str(error).split())}); expected types that the file imports"
        ) from None
    if "about" not in vars(found):
        found.about = About(title=found.__name__, protocol=(found.__doc__ or "").strip().partition("\n")[0])
    if not isinstance(found.about, About):
        raise LookupError(f"has an about that is a {type(found.about).__name__}; expected {ABOUT}")
    return found
