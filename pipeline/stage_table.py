"""``dvc.yaml``, the one stage table, read without DVC for the Snakefile and for the agreement of the two engines.

Covers the part of DVC's syntax that the table uses: ``matrix`` over the keys of a mapping or the items of a list, and ``${…}`` in
strings. An output whose name has no suffix is a folder.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cgm.core.errors import UserError
from cgm.experiment.params import Params
from cgm.experiment.reading import parse_params, read_yaml
from cgm.experiment.settings import Evaluation
from cgm.methods import METHODS

KEPT = "it out as in experiments/default.yaml"
EMPTY = {"unpaired": "unpaired: {datasets: {}, methods: {}} where there is none", "datasets": "datasets: {} where there is none"}
"""How a key of ``params.yaml`` that stages depend on is written where an experiment has nothing to say of it."""
INTERPOLATION = re.compile(r"\$\{([^}]+)\}")
FINGERPRINT = "fingerprint"
"""The stage that is no job of Snakemake's: what it makes is brought up to date while the Snakefile is read."""
FIRST, LAST = 10**9, 0
"""Priorities."""


@dataclass(frozen=True)
class Work:
    """How Snakemake runs a stage: ``meta`` of its entry in dvc.yaml, which DVC ignores."""

    computes: bool = False
    """It runs torch: ``compute.threads`` threads and one slot."""
    gpu: bool = False
    """On a GPU, if one is used."""
    looks: bool = False
    """It measures outputs: on a GPU only with ``evaluation.device: auto``, so that every run is measured alike."""
    all_cores: bool = False
    """It works in several processes: nothing that computes runs beside it."""
    local: bool = False
    """It runs where Snakemake was started, also on a cluster: compute nodes often lack the network and MLflow's store."""
    first: bool = False
    """Before every training."""
    longest_first: bool = False
    """A training: the longest starts first, so that few cores are idle at the end."""


@dataclass(frozen=True)
class Stage:
    """One entry of the table with its matrix item filled in."""

    name: str
    """As DVC calls it: ``train@openmoji-pix2pix-0``."""
    template: str
    """The entry in dvc.yaml: ``train`` or ``train-unpaired``."""
    item: dict[str, str]
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: dict[str, Any]
    """The keys of params.yaml that the stage depends on, with their values."""
    work: Work

    @property
    def kind(self) -> str:
        """The stage without its group: ``train``."""
        return self.template.removesuffix("-unpaired")

    @property
    def stamp(self) -> str:
        return f"build/stamps/{self.name}.json"

    @property
    def content(self) -> dict[str, Any]:
        """What the stamp holds: a change of it re-runs the stage."""
        return {"command": self.command, "deps": list(self.deps), "outs": list(self.outs), "params": self.params}


@dataclass(frozen=True)
class Template:
    """One entry of the table, as Snakemake wants it: ``{dataset}`` where dvc.yaml has ``${item.dataset}``."""

    name: str
    keys: tuple[str, ...]
    outs: tuple[str, ...]
    kept: frozenset[str]
    """Outputs that stay in place while the stage renews them (``persist`` in dvc.yaml)."""
    values: dict[str, tuple[str, ...]]
    """The values that each wildcard takes."""
    work: Work

    @property
    def rule(self) -> str:
        return self.name.replace("-", "_")

    @property
    def log(self) -> str:
        return "/".join(["build/logs", self.name, *(f"{{{key}}}" for key in self.keys)]) + ".log"

    @property
    def message(self) -> str:
        return " ".join([self.name, *(f"{{wildcards.{key}}}" for key in self.keys)])

    @property
    def constraints(self) -> dict[str, str]:
        return {key: "|".join(map(re.escape, values)) for key, values in self.values.items()}

    def stage_name(self, wildcards: Mapping[str, str]) -> str:
        return "@".join([self.name, "-".join(wildcards[key] for key in self.keys)]) if self.keys else self.name


class Table:
    """All stages of an experiment."""

    def __init__(self, root: Path, definition: dict[str, Any], raw: dict[str, Any], params: Params) -> None:
        self.root, self.params = root, params
        self.templates: list[Template] = []
        self.stages: dict[str, Stage] = {}
        for name, entry in definition["stages"].items():
            axes = {key: _axis(raw, value, name) for key, value in entry.get("matrix", {}).items()}
            if not all(axes.values()):
                continue
            settings = dict(pair for kind in ("outs", "metrics", "plots") for pair in _paths(entry.get(kind, [])))
            outs = tuple(settings)
            wildcards = {f"item.{key}": f"{{{key}}}" for key in axes}
            patterns = {out: _fill(out, wildcards, raw) for out in outs}
            kept = frozenset(patterns[out] for out in outs if settings[out].get("persist"))
            work = Work(**entry.get("meta", {}))
            self.templates.append(Template(name, tuple(axes), tuple(patterns.values()), kept, axes, work))
            for values in itertools.product(*axes.values()):
                item = dict(zip(axes, values, strict=True))
                fields = {f"item.{key}": value for key, value in item.items()}
                keys = [_fill(key, fields, raw) for key in entry.get("params", [])]
                stage = Stage(
                    name="@".join([name, "-".join(values)]) if values else name,
                    template=name,
                    item=item,
                    command=_fill(entry["cmd"], fields, raw),
                    deps=tuple(_fill(dep, fields, raw) for dep in entry.get("deps", [])),
                    outs=tuple(_fill(out, fields, raw) for out in outs),
                    params={key: _lookup(raw, key, f"{name} in dvc.yaml") for key in keys},
                    work=work,
                )
                self.stages[stage.name] = stage
        self._makers = {out: stage for stage in self.stages.values() for out in stage.outs}
        self._inside: dict[str, list[str]] = {}
        """By folder, the outputs somewhere in it: looking through all of them for each stage would take seconds at a thousand runs."""
        for out in self._makers:
            for folder in Path(out).parents:
                self._inside.setdefault(str(folder), []).append(out)

    def inputs(self, stage: Stage) -> list[str]:
        """The files behind ``deps``: a folder that others write into stands for all of their outputs in it."""
        return [file for dep in stage.deps for file in ([dep] if dep in self._makers else self._inside.get(dep, [dep]))]

    def before(self, stage: Stage) -> list[Stage]:
        """The stages that make this one's inputs."""
        return list({maker.name: maker for file in self.inputs(stage) if (maker := self._maker(file))}.values())

    def _maker(self, file: str) -> Stage | None:
        """The stage behind a file, also where the file lies in a folder that is the stage's output."""
        for path in (file, *map(str, Path(file).parents)):
            if path in self._makers:
                return self._makers[path]
        return None

    def jobs(self) -> list[Stage]:
        """The stages that Snakemake runs, in order."""
        return [stage for stage in self.in_order() if stage.name != FINGERPRINT]

    def in_order(self) -> Iterator[Stage]:
        """Every stage after those that make its inputs."""
        done: set[str] = set()

        def visit(stage: Stage) -> Iterator[Stage]:
            if stage.name not in done:
                done.add(stage.name)
                for earlier in self.before(stage):
                    yield from visit(earlier)
                yield stage

        for stage in self.stages.values():
            yield from visit(stage)

    def outputs(self) -> list[str]:
        return list(self._makers)

    def log(self, stage: Stage) -> str:
        """Where Snakemake puts what the stage prints."""
        return next(template for template in self.templates if template.name == stage.template).log.format(**stage.item)

    def threads(self, stage: Stage) -> int:
        """Threads that a job of this stage keeps busy."""
        if stage.work.all_cores:
            return max(cores(), self.params.compute.threads)
        return self.params.compute.threads if stage.work.computes else 1

    def slots(self, stage: Stage) -> int:
        """How many of the :func:`compute_slots` a job takes."""
        return self.compute_slots() if stage.work.all_cores else int(stage.work.computes)

    def compute_slots(self) -> int:
        """How many computing jobs may run at once on this machine, whatever ``--cores`` says: physical cores ÷ threads of a job."""
        return max(1, cores() // self.params.compute.threads)

    def gpus(self, stage: Stage) -> int:
        """``cuda`` asks for one wherever the job is going to run, ``auto`` looks at this machine."""
        device = self.params.compute.device
        trains = stage.work.gpu and (device == "cuda" or (device == "auto" and cuda_present()))
        return int(trains or (stage.work.looks and looks_on(self.params.evaluation) == "cuda"))

    def priority(self, stage: Stage) -> int:
        """Data first, then trainings, then the rest. Of jobs that could start, Snakemake starts the one with the highest."""
        if stage.work.first:
            return FIRST
        if not stage.work.longest_first:
            return LAST
        dataset, method = stage.item["dataset"], stage.item["method"]
        images = self.params.budget(dataset, method) * math.prod(self.params.all_datasets[dataset].height_width)
        return 1 + int(images / 10 * METHODS[self.params.method(dataset, method).implementation].cost)


def load_table(root: str | Path = ".") -> Table:
    """Validate ``params.yaml`` and resolve ``dvc.yaml`` with it.

    Raises :class:`UserError`, one line, where either cannot be used.
    """
    root = Path(root)
    documents = {name: read_yaml(root / name, remedy="run the command in the folder that holds it") for name in ("params.yaml", "dvc.yaml")}
    params = parse_params(documents["params.yaml"])
    return Table(root, documents["dvc.yaml"], documents["params.yaml"], params)


def as_job(command: str) -> str:
    """``command`` with this interpreter where the table says ``python``, and a stage as a fork where it can be (:mod:`pipeline.forks`)."""
    return re.sub(r"(?<!\S)python -m (?=pipeline\.)", lambda _: f"{shlex.quote(sys.executable)} -m pipeline.forks ", command)


def cores() -> int:
    """Physical cores that this process may use (affinity and the container's quota count)."""
    # Hardware threads of one core name the same siblings.
    count = len({_siblings(cpu) for cpu in os.sched_getaffinity(0)}) if sys.platform == "linux" else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.exists():
        allowed, period = quota.read_text().split()
        if allowed != "max":
            count = min(count, int(allowed) // int(period))
    return max(1, count)


def _siblings(cpu: int) -> str:
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return path.read_text() if path.exists() else str(cpu)


def cuda_present() -> bool:
    """Whether an NVIDIA device is visible; asks the driver's files, since importing torch takes seconds."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    return Path("/dev/nvidiactl").exists() or any(Path("/proc/driver/nvidia/gpus").glob("*"))


def looks_on(evaluation: Evaluation) -> Literal["cpu", "cuda"]:
    """Where judges and LPIPS look, as far as this machine can tell: on a cluster a node may have what it hasn't."""
    return "cuda" if evaluation.device == "auto" and cuda_present() else "cpu"


def _paths(entries: list[str | dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each output with its settings."""
    for entry in entries:
        yield from [(entry, {})] if isinstance(entry, str) else entry.items()


def _axis(raw: dict[str, Any], value: Any, where: str) -> tuple[str, ...]:
    """The values of one matrix axis: a list's items or a mapping's keys, as DVC writes them into names."""
    if isinstance(value, str) and (whole := INTERPOLATION.fullmatch(value)):
        value = _lookup(raw, whole[1], f"{where} in dvc.yaml")
    return tuple(map(str, value or ()))


def _fill(text: str, fields: Mapping[str, str], raw: dict[str, Any]) -> str:
    return INTERPOLATION.sub(lambda found: fields[found[1]] if found[1] in fields else str(_lookup(raw, found[1], "dvc.yaml")), text)


def _lookup(raw: dict[str, Any], key: str, where: str) -> Any:
    value: Any = raw
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"params.yaml: {key}: missing, and stage {where} depends on it; write {EMPTY.get(key.split('.')[0], KEPT)}")
        value = value[part]
    return value
