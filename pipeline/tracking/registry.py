"""MLflow's registry: a model for each dataset × method, a version for each run, ``best`` for the best of them on validation images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from cgm.core.errors import UserError
from cgm.core.files import read_json

BEST = "best"
METRIC = "kid"
"""By which the best is told, lower is better: of ``validation`` in ``metrics.json``, which the stage ``evaluate`` measures on the first
validation images through the judge that leads. The test split chooses nothing."""
TAG = f"validation.{METRIC}"
SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Entry:
    """A run with a model."""

    seed: int
    run_id: str
    model_id: str
    folder: Path

    @property
    def validation(self) -> float | None:
        """None where it was not measured, for ``val`` has fewer than two conditions."""
        found: Mapping[str, Any] = read_json(self.folder / "metrics.json").get("validation") or {}
        return found.get(METRIC)


def name_of(dataset: str, method: str) -> str:
    return f"{dataset}-{method}"


def register(client: MlflowClient, dataset: str, method: str, experiment: str, entries: Sequence[Entry], project: str = "") -> None:
    """Bring the registered model of ``dataset`` × ``method`` into line with the runs that have a model.

    ``experiment``: the name in ``params.yaml``; ``project``: this folder's on a store that others write to as well. A run gets one version;
    versions of their earlier runs stay and are tagged ``superseded``. Repeated, it writes nothing. Raises :class:`UserError` where the
    name is another dataset's and method's.
    """
    name, ours = name_of(dataset, method), {"experiment": experiment, **({"project": project} if project else {})}
    if not entries and _registered(client, name) is None:
        return
    held = _open(client, name, dataset, method).aliases.get(BEST)  # versions that are searched for don't say theirs
    # A version is known by its place: MLflow's own stores don't keep its model's id, and find models:/… in the store of their settings.
    known, current = {str(version.source): version for version in _versions(client, name)}, set[str]()
    judged: list[tuple[float, int, str]] = []
    for entry in entries:
        logged, found = client.get_logged_model(entry.model_id), entry.validation
        place = str(logged.artifact_location)
        if place not in known:
            tags = {"dataset": dataset, "method": method, "seed": str(entry.seed), **ours}
            known[place] = client.create_model_version(
                name,
                place,
                entry.run_id,
                tags={**tags, **({TAG: repr(found)} if found is not None else {})},
                description=f"{dataset}/{method}/{entry.seed} of the experiment {experiment}.",
                await_creation_for=0,
                model_id=entry.model_id,
            )
        version = known[place]
        if MLFLOW_MODEL_VERSIONS not in logged.tags:  # which a server sets, and the model's page shows
            client.set_logged_model_tags(entry.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([{"name": name, "version": version.version}])})
        if SUPERSEDED in version.tags:  # earlier results that have come back
            client.delete_model_version_tag(name, version.version, SUPERSEDED)
        current.add(place)
        if found is not None:
            judged.append((found, entry.seed, str(version.version)))
    earlier = [each for place, each in known.items() if place not in current and _whose(each) == ours]
    for version in earlier:
        if SUPERSEDED not in version.tags:
            client.set_model_version_tag(name, version.version, SUPERSEDED, "true")
    if judged and min(judged)[2] != str(held):
        client.set_registered_model_alias(name, BEST, min(judged)[2])
    elif not judged and str(held) in {str(version.version) for version in earlier}:
        client.delete_registered_model_alias(name, BEST)


def _whose(version: ModelVersion) -> dict[str, str]:
    return {key: version.tags[key] for key in ("experiment", "project") if key in version.tags}


def _open(client: MlflowClient, name: str, dataset: str, method: str) -> RegisteredModel:
    found = _registered(client, name)
    if found is None:
        try:
            client.create_registered_model(
                name,
                {"dataset": dataset, "method": method},
                f"The generators of {method} on {dataset}, a version for each run. `{BEST}` has the lowest {METRIC} on validation images.",
            )
        except MlflowException as error:  # another project may have made it just now
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
        found = client.get_registered_model(name)
    owner = f"{found.tags.get('dataset')}/{found.tags.get('method')}"
    if owner != f"{dataset}/{method}":
        raise UserError(f"MLflow's model {name!r}: is that of {owner}, and {dataset}/{method} needs it; rename one in params.yaml")
    return found


def _registered(client: MlflowClient, name: str) -> RegisteredModel | None:
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None


def _versions(client: MlflowClient, name: str) -> Iterator[ModelVersion]:
    token = None
    while True:
        page = client.search_model_versions(f"name='{name}'", max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
