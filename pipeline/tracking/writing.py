"""Sends runs to the store, in batches; what a run already has there is not sent again.

A run is complete when it has its fingerprint, which is written last. One without it is asked what it holds, so that whatever ended the
call before, a kill or a server that went down, nothing is lost and nothing is there twice.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mlflow.entities import Metric, Param, RunStatus, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking.multimedia import compress_image_size
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES
from PIL import Image

from cgm.experiment.params import Params
from pipeline.tracking.files import FinishedRun, LiveRun, curves, read
from pipeline.tracking.group import Group
from pipeline.tracking.lineage import MODEL, Lineage
from pipeline.tracking.record import (
    ARTIFACTS,
    CONFIG,
    CURRENT,
    DIGEST,
    NAME,
    PARAMS,
    PARENT,
    PROJECT,
    STATE,
    SUCCESSOR,
    SUPERSEDED,
    TRAINING,
    WEIGHTS,
    Checkout,
    curve_points,
    final_points,
    final_tags,
    grids,
    live_points,
    parameters,
    span_of,
    system_points,
    tags_of,
)
from pipeline.tracking.store import Store, now

ALL_AT_ONCE, OTHERS_AT_ONCE = 1000, 100
"""MLflow's limits for one call of ``log_batch``: so many of all, so many parameters, so many tags."""
SAMPLES = "samples"
"""Key of the grids: MLflow shows the images of one key by step."""
FINAL = "final/"
TIMING = ("system/", "seconds", "images_per_second", "final/seconds", "final/images_per_second")
FIRST_STEPS = 2
SAME = 1e-6
IMAGES = "images"
IMAGE = re.compile(r"\+step\+(\d+)\+.*\.png$")
THUMBNAIL = "+compressed.webp"
"""What ``client.log_image`` calls an image and its thumbnail, which comes after it."""
T = TypeVar("T")


@dataclass
class Held:
    """What a run has in the store: points by metric and step, artifacts, and steps of grids."""

    points: dict[tuple[str, int], float] = field(default_factory=dict)
    parameters: set[str] = field(default_factory=set)
    files: dict[str, int] = field(default_factory=dict)
    """Sizes: what was cut short is sent again."""
    grids: set[int] = field(default_factory=set)


class Writer:
    """Into one experiment of ``store``."""

    def __init__(self, store: Store, experiment: str, params: Params, root: Path = Path()) -> None:
        self.store, self.experiment, self.params, self.root = store, experiment, params, root
        self.client = store.client
        self.lineage = Lineage(store, experiment, params, root)
        self._here: Checkout | None = None
        self.live: dict[str, Held] = {}
        """What trainings that go on have in the store, by id; asked for once, then kept."""

    def begin(self) -> None:
        """Code, commit and data may be others than the last time."""
        self._here = None
        self.lineage.begin()

    @property
    def here(self) -> Checkout:
        self._here = self._here or Checkout.of(self.params, self.root)
        return self._here

    def create(self, name: str, tags: Mapping[str, str], start: int) -> MlflowRun:
        own = {PROJECT: self.store.project} if self.store.project else {}
        return self.client.create_run(self.experiment, start_time=start, tags={NAME: name, **own, **tags}, run_name=name)

    def finished(self, item: FinishedRun, parent: str, incomplete: str | None) -> tuple[str, dict[str, str]]:
        """A run with its dataset, its generator, parameters, curves, final metrics and artifacts.

        ``incomplete``: its id where it has begun. Returns its id and its tags.
        """
        record = read(item.folder / "run.json")
        span, tags = span_of(item, record), final_tags(item, record, self.here)
        points = [*curve_points(curves(item.folder / "history.csv"), span), *system_points(item.folder, span.start)]
        begun = self._begun(incomplete, [*points, *final_points(item, record, span)])
        run, held = begun or (self.create(str(item.run), {**tags, STATE: CURRENT, PARENT: parent}, span.start), Held())
        run_id = run.info.run_id
        linked = self.lineage.link(item, run_id, record, fresh=begun is None)
        self._points(run_id, [*points, *final_points(item, record, span, linked.measured)], held, parameters(record))
        files = self._files(run)
        for name in ARTIFACTS:
            in_model = name == WEIGHTS and MODEL in linked.tags
            if not in_model and held.files.get(name) != (item.folder / name).stat().st_size:
                files.log_artifact(str(item.folder / name))
        self._texts(files, self._settings(record), held.files)
        shown = self._grids(run, grids(item), held)
        tags = {**tags, **linked.tags, PARENT: parent, STATE: CURRENT}
        self._lacking(run, {**tags, **shown, DIGEST: item.digest})
        self.client.set_terminated(run_id, "FINISHED" if record["status"] == "ok" else "FAILED", end_time=span.end)
        self.live.pop(run_id, None)
        return str(run_id), tags

    def link(self, item: FinishedRun, run: MlflowRun) -> dict[str, str]:
        """Give a complete run what of its lineage has come since; returns the new tags."""
        run_id, record = run.info.run_id, read(item.folder / "run.json")
        linked = self.lineage.link(item, run_id, record, fresh=False)
        self._points(run_id, final_points(item, record, span_of(item, record), linked.measured), Held())
        self.tag(run_id, linked.tags)
        return linked.tags

    def follow(self, item: LiveRun, parent: str, known: MlflowRun | None) -> str:
        """A training that goes on, or was killed: whatever it has written since. Returns its id."""
        points = live_points(item, now())
        begun = self._begun(known.info.run_id if known else None, points, item.record.get("fingerprint"))
        if begun is None:
            tags = {**tags_of(self.params, item.run, item.record), STATE: CURRENT, PARENT: parent}
            begun = self.create(str(item.run), tags, item.began), Held()
        known, held = begun
        run_id = str(known.info.run_id)
        self.live[run_id] = held
        try:
            self._points(run_id, points, held)
            self._lacking(known, self._grids(known, grids(item), held))
        except Exception:  # nobody knows whether the store took the last batch: it is asked again
            self.live.pop(run_id, None)
            raise
        wanted = RunStatus.RUNNING if item.alive else RunStatus.KILLED
        if known.info.status != RunStatus.to_string(wanted):
            if item.alive:
                self.client.update_run(run_id, "RUNNING")
            else:
                self.client.set_terminated(run_id, "KILLED")
        return run_id

    def group(self, run: MlflowRun, group: Group, digest: str, *, end: int | None, well: bool) -> None:
        """Bring a parent up to date: what has changed, and its fingerprint last. ``end``: of its last training; None where one goes on."""
        run_id = run.info.run_id
        gone = {name: math.nan for name, value in run.data.metrics.items() if name not in group.metrics and not math.isnan(value)}
        new = {name: value for name, value in group.metrics.items() if run.data.metrics.get(name) != value}
        time = now()
        self._points(run_id, [Metric(name, value, time, 0) for name, value in {**gone, **new}.items()], Held())
        sent = json.loads(run.data.tags.get("cgm.figures", "{}"))
        files = self._files(run)
        for name, path in group.figures.items():
            if sent.get(name) != group.sent[name][:16]:
                folder, _, own = name.rpartition("/")
                self._file(files, path, own, folder)
        kinds = [name for name in run.data.tags if name.isupper() and name not in group.tags]
        for kind in kinds:
            self.client.delete_tag(run_id, kind)
        self.restate(run, {STATE: CURRENT})
        figures = json.dumps({name: value[:16] for name, value in group.sent.items()})
        self.tag(run_id, {**group.tags, "cgm.figures": figures, STATE: CURRENT, DIGEST: digest})
        if end is None:
            self.client.update_run(run_id, "RUNNING")
        else:
            self.client.set_terminated(run_id, "FINISHED" if well else "FAILED", end_time=end)

    def restate(self, run: MlflowRun, tags: Mapping[str, str]) -> None:
        """Set the tags that differ; the parent and ``superseded_by`` go where they are not among them."""
        self._lacking(run, tags)
        for key in (SUCCESSOR, PARENT):
            if key in run.data.tags and key not in tags:
                self.client.delete_tag(run.info.run_id, key)

    def _lacking(self, run: MlflowRun, tags: Mapping[str, str]) -> None:
        self.tag(run.info.run_id, {key: value for key, value in tags.items() if run.data.tags.get(key) != value})

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        for some in _batches([RunTag(key, value) for key, value in tags.items()], OTHERS_AT_ONCE):
            self.client.log_batch(run_id, tags=some)

    def _begun(self, run_id: str | None, points: Sequence[Metric], training: str | None = None) -> tuple[MlflowRun, Held] | None:
        """An incomplete run that these points go on from, and what it holds. One of another training stays as it was, killed."""
        if run_id is None:
            return None
        run, held = self.client.get_run(run_id), self.live.get(run_id)
        held = self.asked(run_id) if held is None else held
        if training in (None, run.data.tags.get(TRAINING, training)) and not _others(held, points):
            return run, held
        self.give_up(run_id)
        return None

    def give_up(self, run_id: str) -> None:
        """An incomplete run that nothing will go on from."""
        self.tag(run_id, {STATE: SUPERSEDED, DIGEST: f"killed {run_id}"})
        self.client.set_terminated(run_id, "KILLED")
        self.live.pop(run_id, None)

    def asked(self, run_id: str) -> Held:
        """What an incomplete run holds."""
        run = self.client.get_run(run_id)
        points = {(name, point.step): point.value for name in run.data.metrics for point in self.client.get_metric_history(run_id, name)}
        files = self._files(run)
        sizes = {file.path: file.file_size or 0 for file in files.list_artifacts()}
        images = [file.path for file in files.list_artifacts(IMAGES)] if IMAGES in sizes else []
        steps = set()
        for path in images:
            if (found := IMAGE.search(path)) and f"{path.removesuffix('.png')}{THUMBNAIL}" in images:
                steps.add(int(found[1]))
            elif path.endswith(".png"):  # cut short between the image and its thumbnail
                files.delete_artifacts(path)
        return Held(points, set(run.data.params), sizes, steps)

    def _points(self, run_id: str, points: Sequence[Metric], held: Held, settings: Mapping[str, str] | None = None) -> None:
        """With ``settings``, a run's parameters, in the same calls: a call costs more than what is in it."""
        new = [point for point in points if (point.key, point.step) not in held.points]
        given = [Param(key, value) for key, value in (settings or {}).items() if key not in held.parameters]
        while new or given:
            others, given = given[:OTHERS_AT_ONCE], given[OTHERS_AT_ONCE:]
            room = ALL_AT_ONCE - len(others)
            some, new = new[:room], new[room:]
            self.client.log_batch(run_id, metrics=some, params=others)
            held.points.update({(point.key, point.step): point.value for point in some})

    def _grids(self, run: MlflowRun, found: Mapping[int, Path], held: Held) -> dict[str, str]:
        """What ``client.log_image`` does for each, but with the PNG as it is, and the tag once: it encodes every one anew.

        Returns the run's tag that makes MLflow's pages show them.
        """
        files = self._files(run)
        for step, path in found.items():
            if step not in held.grids:
                with tempfile.TemporaryDirectory() as temporary, Image.open(path) as image:
                    whole = Path(temporary) / f"{SAMPLES}+step+{step}+timestamp+{now()}+{uuid.uuid4()}.png"
                    whole.symlink_to(path.resolve())
                    small = whole.with_name(f"{whole.stem}{THUMBNAIL}")
                    compress_image_size(image).save(small)
                    for file in (whole, small):  # in this order, and each whole or not at all
                        files.log_artifact(str(file), IMAGES)
                held.grids.add(step)
        return {MLFLOW_LOGGED_IMAGES: "True"} if held.grids else {}

    def _settings(self, record: Mapping[str, Any]) -> dict[str, str]:
        """The full configuration of the run; and ``params.yaml``, which the command that makes it again wants."""
        texts = {CONFIG: json.dumps(record["config"], indent=2, sort_keys=True) + "\n"}
        path = self.root / PARAMS
        return {**texts, PARAMS: path.read_text(encoding="utf-8")} if path.is_file() else texts

    def _texts(self, files: ArtifactRepository, texts: Mapping[str, str], there: Mapping[str, int]) -> None:
        for name, text in texts.items():
            if there.get(name) != len(text.encode()):
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / name
                    path.write_text(text, encoding="utf-8")
                    files.log_artifact(str(path))

    def _file(self, files: ArtifactRepository, path: Path, name: str, folder: str) -> None:
        """A file under a name of its own: MLflow gives an artifact the name of the file that it is sent."""
        with tempfile.TemporaryDirectory() as temporary:
            link = Path(temporary) / name
            link.symlink_to(path.resolve())
            files.log_artifact(str(link), folder)

    def _files(self, run: MlflowRun) -> ArtifactRepository:
        return get_artifact_repository(run.info.artifact_uri, tracking_uri=self.store.uri)


def _others(held: Held, points: Sequence[Metric]) -> bool:
    """Whether these points are of another training, or another evaluation: it has other values where the curves begin, or at the end."""
    common = [point for point in points if (point.key, point.step) in held.points and not point.key.startswith(TIMING)]
    first = sorted({point.step for point in common})[:FIRST_STEPS]
    return any(
        not math.isclose(point.value, held.points[point.key, point.step], rel_tol=SAME, abs_tol=1e-12)
        for point in common
        if point.step in first or point.key.startswith(FINAL)
    )


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
