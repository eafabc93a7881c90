"""What a finished run came of, and what it made: its dataset, its generator, the final metrics that belong to both, and the registry.

A run's own tag says of which data this was written, so that results whose data come later are linked then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow.entities import LoggedModelOutput, LoggedModelStatus

from cgm.data.prepared import Prepared, open_prepared
from cgm.experiment import paths
from cgm.experiment.params import Params
from pipeline.tracking import model
from pipeline.tracking.dataset import dataset_input, measured_on
from pipeline.tracking.files import FinishedRun
from pipeline.tracking.registry import Entry, register
from pipeline.tracking.store import Store

LINEAGE, MODEL = "cgm.lineage", "cgm.model"
REGISTERED = "cgm.registered"
"""Tag of a dataset × method: of which runs and models its versions are."""
FORMAT = f"1.{model.FORMAT}"
"""Of datasets and models; a new one writes them again."""


@dataclass
class Linked:
    """``tags``: of the run. ``measured``: what its final metrics are linked to."""

    tags: dict[str, str] = field(default_factory=dict)
    measured: dict[str, str] = field(default_factory=dict)


class Lineage:
    """Of the runs of one experiment in ``store``."""

    def __init__(self, store: Store, experiment: str, params: Params, root: Path = Path()) -> None:
        self.store, self.experiment, self.params, self.root = store, experiment, params, root
        self._prepared: dict[str, Prepared | None] = {}

    def begin(self) -> None:
        """Data may have come since."""
        self._prepared = {}

    def lacks(self, item: FinishedRun, tags: Mapping[str, str]) -> bool:
        """Whether a run with these tags is to be linked: its data are here, and it isn't."""
        found = self.prepared(item.run.dataset)
        return found is not None and tags.get("data_sha256") == found.data_sha256 and tags.get(LINEAGE) != _mark(found)

    def prepared(self, dataset: str) -> Prepared | None:
        """None where results came without their data."""
        if dataset not in self._prepared:
            folder = self.root / paths.prepared(dataset)
            self._prepared[dataset] = open_prepared(folder) if (folder / "card.json").is_file() else None
        return self._prepared[dataset]

    def link(self, item: FinishedRun, run_id: str, record: Mapping[str, Any], *, fresh: bool) -> Linked:
        """``fresh``: whether the run has just been made, and so has neither. Without its own data a run is linked to nothing."""
        prepared = self.prepared(item.run.dataset)
        if prepared is None or record["data_sha256"] != prepared.data_sha256:
            return Linked()
        self.store.client.log_inputs(run_id, [dataset_input(prepared, self.params.all_datasets[item.run.dataset])])
        model_id = None if fresh else self._made_before(run_id)
        model_id = model_id or model.log_model(self.store.client, self.experiment, run_id, item.folder, prepared, record, self.root)
        tags = {LINEAGE: _mark(prepared), **({MODEL: model_id} if model_id else {})}
        return Linked(tags, measured_on(prepared, model_id, run_id))

    def _made_before(self, run_id: str) -> str | None:
        """The model of a run whose writing was cut short; one that isn't whole goes."""
        client = self.store.client
        whole = None
        for found in client.search_logged_models([self.experiment], f"source_run_id = '{run_id}'"):
            if found.status == LoggedModelStatus.READY and found.tags.get(model.WRITTEN) == model.FORMAT and whole is None:
                whole = found.model_id
            else:
                client.delete_logged_model(found.model_id)
        outputs = client.get_run(run_id).outputs
        if whole and not (outputs and any(each.model_id == whole for each in outputs.model_outputs)):
            client.log_outputs(run_id, [LoggedModelOutput(whole, step=0)])
        return whole

    def register(self, group: str, held: Mapping[str, str], runs: Sequence[tuple[FinishedRun, str, Mapping[str, str]]]) -> dict[str, str]:
        """Bring the registered model of ``group`` into line: a dataset × method whose tags are ``held``.

        ``runs``: its seeds, with ids and tags in the store. Returns what is to be tagged; nothing where all is as it was.
        """
        found = [(item, run_id, tags[MODEL]) for item, run_id, tags in runs if MODEL in tags]
        text = [FORMAT, *(f"{item.digest} {run_id} {model_id}" for item, run_id, model_id in found)]
        mark = hashlib.sha256("\n".join(text).encode()).hexdigest()
        if held.get(REGISTERED, "") == mark or (not found and REGISTERED not in held):
            return {}
        dataset, method = group.split("/")
        entries = [Entry(item.run.seed, run_id, model_id, item.folder) for item, run_id, model_id in found]
        register(self.store.client, dataset, method, self.params.experiment, entries, self.store.project)
        return {REGISTERED: mark}


def _mark(prepared: Prepared) -> str:
    return f"{FORMAT} {prepared.data_sha256}"
