"""Settings of a run that differ from its method's paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from cgm.experiment.settings import Training
from cgm.methods import METHODS
from cgm.report import labels
from cgm.report.results import DatasetResult

NEUTRAL = ("validations", "judge", "log_points", "checkpoint_seconds")
"""Settings of ``training`` that say when to measure and to save, and change no weight. Every other one stands in each method's
``about.paper``, and so in the report where it differs."""


class Compared(NamedTuple):
    """A setting of a run beside the paper's."""

    name: str
    """As in ``params.yaml``; a network's with the network's name, ``unet.width``."""
    ours: object
    theirs: object
    own: bool = False
    """Whether the entry itself has it, where others have it from ``networks``."""

    @property
    def same(self) -> bool:
        if isinstance(self.ours, int | float) and isinstance(self.theirs, int | float):
            return math.isclose(self.ours, self.theirs, rel_tol=1e-3)
        return self.ours == self.theirs

    @property
    def shared(self) -> bool:
        """Whether all methods have it from ``training`` or ``networks``."""
        return ("." in self.name and not self.own) or self.name == "augment" or self.name in Training.model_fields


def compared(record: Mapping[str, Any]) -> list[Compared]:
    """Of a run.json: every setting that the run has and the paper names."""
    config = record["config"]
    method = config["method"]
    settings = {
        **({"augment": record["augment"]} if "augment" in record else {}),  # older runs shifted, and didn't say so
        **config["training"],
        **{name: value for name, value in method.items() if value is not None},
    }
    networks = [method.get("generator"), *(["patchgan"] if record["parameters"]["discriminator"] else [])]
    for network in networks:
        settings.update({f"{network}.{key}": value for key, value in config["networks"].get(network, {}).items()})
    if settings.get("resnet.blocks") == (9 if _least_side(config["dataset"]["image_size"]) >= 256 else 6):
        settings["resnet.blocks"] = None  # spelled out, the paper's rule is the paper's rule
    own = {f"{network}.{key}" for network, sizes in (method.get("networks") or {}).items() for key in sizes or () if sizes[key] is not None}
    paper = METHODS[method["implementation"]].about.paper
    return [Compared(name, settings[name], theirs, name in own) for name, theirs in paper.items() if name in settings]


def _least_side(image_size: int | list[int]) -> int:
    return min(image_size) if isinstance(image_size, list) else image_size


def departures(record: Mapping[str, Any]) -> list[Compared]:
    """Those that differ, shared ones first."""
    return sorted((setting for setting in compared(record) if not setting.same), key=lambda setting: not setting.shared)


def method_sentence(record: Mapping[str, Any]) -> str:
    """``batch size 8 (1), learning rate 0.0005 (0.0002)``; empty where nothing differs."""
    return ", ".join(f"{_name(setting.name)} {_text(setting.ours)} ({_text(setting.theirs)})" for setting in departures(record))


def shared_sentence(dataset: DatasetResult) -> str:
    """The shared settings that differ: ``batch size 8 (1; 128 for GAN; 4 for Perceptual loss)``. Empty where none does.

    The papers' value has no names where it is that of more than half of the methods that have the setting.
    """
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for method, runs in dataset.runs.items():
        record = next((run.record for run in runs if run.record), None)  # the seeds of a method share their settings
        for setting in compared(record) if record else ():
            if setting.shared:
                theirs = "" if setting.same else _text(setting.theirs)
                found.setdefault((setting.name, _text(setting.ours)), {}).setdefault(theirs, []).append(method)
    parts = []
    for (name, ours), by_value in found.items():
        count = sum(map(len, by_value.values()))
        values = [
            theirs if 2 * len(methods) > count else f"{theirs} for {_papers(dataset, methods)}"
            for theirs, methods in sorted(by_value.items(), key=lambda item: -len(item[1]))
            if theirs
        ]
        parts += [f"{_name(name)} {ours} ({'; '.join(values)})"] if values else []
    return ", ".join(parts)


def _papers(dataset: DatasetResult, methods: list[str]) -> str:
    """The methods by the names that their papers gave them; entries that are variants of one count once."""
    settings = [dataset.methods[method] for method in methods]
    return labels.listing(list(dict.fromkeys(labels.method_title(each.implementation, each) for each in settings)))


def _name(setting: str) -> str:
    return setting.replace(".", " ").replace("_", " ")


def _text(value: object) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return " + ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:.4g}" if isinstance(value, float) else str(value)
