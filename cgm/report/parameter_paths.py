"""Entries of one implementation that differ in a single setting: the path of that setting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from cgm.experiment.params import Params
from cgm.methods.method import TrainedSettings
from cgm.networks.fixed.record import DEPTHS
from cgm.report import labels
from cgm.report.results import DatasetResult

ORDERS: tuple[tuple[str, ...], ...] = (DEPTHS,)
"""Words that have an order. Numbers have one by themselves."""
Value = int | float | str
Settings = Mapping[str, object]


class Path(NamedTuple):
    setting: str
    """``l1_weight``, ``kimg``, ``terms.ssim.weight``, ``patchgan.layers``."""
    points: tuple[tuple[Value, str], ...]
    """The setting's value and the entry, in the order of the values."""

    @property
    def entries(self) -> list[str]:
        return [entry for _, entry in self.points]


def paths_of(methods: Mapping[str, Settings]) -> list[Path]:
    """All paths of two values or more among entries with these flat settings (:func:`settings_of`), in the order of the settings.

    On a path everything but one setting is the same, and that setting has an order. An entry may be on several paths.
    """
    found = []
    for setting in dict.fromkeys(name for settings in methods.values() for name in settings):
        groups: dict[str, list[tuple[float, Value, str]]] = {}
        for entry, settings in methods.items():
            value: Any = settings.get(setting)
            if (place := _place(value)) is not None:
                order, rank = place
                others = {name: other for name, other in settings.items() if name != setting}
                groups.setdefault(json.dumps([order, others], sort_keys=True), []).append((rank, value, entry))
        for group in groups.values():
            if len({rank for rank, _, _ in group}) > 1:
                found.append(Path(setting, tuple((value, entry) for _, value, entry in sorted(group, key=lambda point: point[0]))))
    return found


def _place(value: object) -> tuple[int, float] | None:
    """An order, and the value's place in it; None for what has none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return -1, value
    return next(((order, words.index(value)) for order, words in enumerate(ORDERS) if value in words), None)


def settings_of(params: Params, dataset: str) -> dict[str, dict[str, object]]:
    """Everything that an entry trains with on ``dataset`` and that may differ between entries, by entry, as ``patchgan.layers``."""
    found = {}
    for entry, settings in params.methods_of(dataset).items():
        if isinstance(settings, TrainedSettings):
            own = settings.model_dump(mode="json")
            own["learning_rate"] = settings.learning_rate or params.training.learning_rate
            own["kimg"] = params.budget(dataset, entry)
            networks = params.networks_of(dataset, entry).model_dump(mode="json")
            found[entry] = _flat({name: value for name, value in own.items() if name != "networks"} | networks)
    return found


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def path_title(dataset: DatasetResult, path: Path) -> str:
    """``Pix2Pix, λ: 1 → 1000``."""
    settings = dataset.methods[path.points[0][1]]
    first, last = (value_text(path.points[place][0]) for place in (0, -1))
    method = labels.method_title(settings.implementation, settings)
    return f"{method}, {labels.setting_title(settings.implementation, path.setting)}: {first} → {last}"


def value_text(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"
