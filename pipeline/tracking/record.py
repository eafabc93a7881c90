"""What MLflow is told of a run: its name, tags, parameters and description; and the points of its curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import Metric

from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from pipeline.code import Code, training_code
from pipeline.origin import checkout
from pipeline.tracking.files import FinishedRun, LiveRun, Row, curves, read, samples, system

NAME, DIGEST, PARENT, NOTE = "cgm.name", "cgm.fingerprint", "mlflow.parentRunId", "mlflow.note.content"
PROJECT = "cgm.project"
TRAINING = "cgm.training"
"""Tag of a training's own fingerprint, which it has from its first step on: what goes on after a kill is the same one."""
STATE, SUCCESSOR = "state", "superseded_by"
CURRENT, SUPERSEDED, UNLISTED = "current", "superseded", "unlisted"
LEVEL = "level"
"""Tag that tells a dataset × method (``method``) from a training (``seed``) and from what holds earlier ones (``earlier``)."""
METHOD, SEED, EARLIER = "method", "seed", "earlier"
WEIGHTS = "model.safetensors"
ARTIFACTS = ("run.json", "metrics.json", "grid.png", WEIGHTS)
"""Of a run; the weights are left out where its generator has been logged as a model, which holds them."""
CONFIG, PARAMS = "config.json", "params.yaml"
KNOWN_OF_RUN = ("status", "supervision", "device", "precision", "engine", "data_sha256", "code_sha256")
"""Of ``run.json``. What nobody knows is left out: of pictures that were made elsewhere, of results that don't say which engine it was."""
SYSTEM = {
    "cpu_percent": ("system/cpu_percent", 1.0),
    "memory_bytes": ("system/memory_megabytes", 1e-6),
    "gpu_memory_bytes": ("system/gpu_memory_megabytes", 1e-6),
}
"""MLflow shows what begins with ``system/`` under System metrics."""
LONGEST_PARAMETER = 6000


@dataclass(frozen=True)
class Checkout:
    """The code that is here, of which a commit is told where it is what trained a run."""

    params: Params
    root: Path
    code: Code
    commit: str
    changed: tuple[str, ...]

    @classmethod
    def of(cls, params: Params, root: Path = Path()) -> Checkout:
        commit, _, changed = checkout(root)
        return cls(params, root, Code(root), commit, changed)

    def commit_of(self, run: Run, code_sha256: str | None) -> str:
        """With ``(changed)`` where files differ from it; empty where other code trained the run, or nobody knows."""
        if not self.commit or code_sha256 is None or training_code(self.params, run, self.code) != code_sha256:
            return ""
        return f"{self.commit[:12]} (changed)" if self.changed else self.commit[:12]


def tags_of(params: Params, run: Run, record: Mapping[str, Any]) -> dict[str, str]:
    """Of a training, finished or not."""
    known = {key: str(record[key]) for key in KNOWN_OF_RUN if record.get(key) is not None}
    return {
        NAME: str(run),
        LEVEL: SEED,
        "dataset": run.dataset,
        "method": run.method,
        "seed": str(run.seed),
        "experiment": params.experiment,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "pipeline/train.py",
        **({TRAINING: record["fingerprint"]} if "fingerprint" in record else {}),
        **known,
    }


def final_tags(item: FinishedRun, record: Mapping[str, Any], here: Checkout) -> dict[str, str]:
    """What is known of a run at its end."""
    commit = here.commit_of(item.run, record.get("code_sha256"))
    exact = commit and not commit.endswith(")")
    reproduce = _reproduce(item.run, commit if exact else "")
    return {
        **tags_of(here.params, item.run, record),
        **({"commit": commit, "mlflow.source.git.commit": here.commit} if commit else {}),
        "reproduce": reproduce,
        NOTE: _described(item.run, record, commit, reproduce),
    }


def _reproduce(run: Run, commit: str) -> str:
    target = paths.run_folder(run) / "metrics.json"
    before = f"git checkout {commit} && " if commit else ""
    return f"{before}cp ARTIFACTS/{PARAMS} . && .venv/bin/snakemake --cores 8 {target.as_posix()}"


def _described(run: Run, record: Mapping[str, Any], commit: str, reproduce: str) -> str:
    lines = [f"**{run.method}** on **{run.dataset}**, seed {run.seed}: {record.get('supervision')}, {record.get('kimg')} thousand images."]
    if record["status"] != "ok":
        lines.append(f"**Diverged**: {record['reason']}. It has no final metrics beyond what was measured before.")
    if not commit:
        lines.append("The code that trained it is not the checkout's, or git doesn't keep it: the tag `code_sha256` says which it was.")
    elif commit.endswith(")"):
        lines.append(f"Trained by the code of commit {commit.split()[0]} with changed files.")
    lines += [
        "Curves are against images seen. `final/…` are the metrics of the report, measured on test images.",
        f"To make it again (ARTIFACTS is where this run's artifacts were downloaded to):\n\n```sh\n{reproduce}\n```",
    ]
    return "\n\n".join(lines)


def parameters(record: Mapping[str, Any]) -> dict[str, str]:
    """The method's own, flat: what all methods share counts where the method has nothing of its own, and of the networks those it has."""
    config = record["config"]
    method, training, networks = config["method"], config.get("training", {}), config.get("networks", {})
    found: dict[str, Any] = {key: value for key, value in method.items() if key not in ("networks", "sizes")}
    for key in ("learning_rate", "batch_size"):
        found[key] = method.get(key) or training.get(key)
    found["kimg"] = method.get("kimg") or config.get("dataset", {}).get("kimg")
    found["image_size"] = config.get("dataset", {}).get("image_size")
    generator = method.get("generator", "dcgan" if networks else None)
    counts = record.get("parameters") or {}
    used = [generator] + (["patchgan"] if counts.get("discriminator") and generator != "dcgan" else [])
    found.update({name: networks[name] for name in used if name in networks})
    found["sizes"] = method.get("sizes") or None
    found.update({f"parameters.{name}": count for name, count in counts.items()})
    flat = flatten(found)
    return {key: value for key, value in flat.items() if value not in ("None", "[]", "{}", "")}


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """``{"a": {"b": 1}}`` → ``{"a.b": "1"}``."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = str(value)[:LONGEST_PARAMETER]
    return flat


@dataclass(frozen=True)
class Span:
    """When a training began and ended, milliseconds since the epoch; its rows lie between, by images seen."""

    start: int
    end: int
    images: int

    def at(self, step: int) -> int:
        return self.start + round((self.end - self.start) * min(1.0, step / self.images)) if self.images else self.end


def span_of(item: FinishedRun, record: Mapping[str, Any]) -> Span:
    return Span(item.began, item.ended, round((record.get("kimg") or 0) * 1000))


def curve_points(rows: Iterable[Row], span: Span) -> list[Metric]:
    return [Metric(name, value, span.at(step), step) for step, values in rows for name, value in values.items()]


def system_points(folder: Path, start: int) -> list[Metric]:
    """Speed against images seen; what a training took of its machine by seconds since it began."""
    points = []
    for seconds, images, values in system(folder):
        time = start + round(seconds * 1000)
        for name, value in values.items():
            if name in SYSTEM:
                key, unit = SYSTEM[name]
                points.append(Metric(key, value * unit, time, round(seconds)))
            else:
                points.append(Metric(name, value, time, images))
    return points


def final_points(item: FinishedRun, record: Mapping[str, Any], span: Span, measured: Mapping[str, str] | None = None) -> list[Metric]:
    """``measured``: the dataset and model that they are linked to, as :func:`pipeline.tracking.dataset.measured_on` has them."""
    metrics = read(item.folder / "metrics.json")["metrics"]
    final = {**metrics, "seconds": record.get("seconds"), "images_per_second": record.get("images_per_second")}
    numbers = {name: value for name, value in final.items() if isinstance(value, int | float)}
    return [Metric(f"final/{name}", value, span.end, span.images, **(measured or {})) for name, value in numbers.items()]


def live_points(item: LiveRun, now: int) -> list[Metric]:
    """What a training has written so far. Its rows say no time, so they get the one at which they were read."""
    points = [Metric(name, value, now, step) for step, values in curves(item.folder / "history.csv") for name, value in values.items()]
    return points + system_points(item.folder, item.began)


def grids(item: FinishedRun | LiveRun) -> dict[int, Path]:
    return samples(item.folder)
