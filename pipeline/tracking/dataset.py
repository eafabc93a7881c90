"""A prepared dataset as MLflow's dataset: digest, source, counts, licence; the input of every run on it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import DatasetInput, InputTag
from mlflow.types import ColSpec, DataType, Schema
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from cgm.data.listing import SIDES, SPLITS
from cgm.data.prepared import Prepared
from cgm.data.sources import SOURCES
from cgm.data.sources.archives import MANIFEST
from cgm.data.sources.url import Archive

DIGITS = 12
"""Of the data's SHA-256 that are the digest: MLflow shows it beside the name, and keeps no more than 36. All of it is in the profile."""


class PreparedDataset(MetaDataset):
    """:class:`~mlflow.data.meta_dataset.MetaDataset` with a profile, which MLflow's pages show line by line."""

    def __init__(self, prepared: Prepared, source: DatasetSource) -> None:
        card = prepared.card
        (height, width), counts = prepared.height_width, card["counts"]
        self._profile = {
            "pictures": sum(counts[split][side] for split in SPLITS for side in SIDES),
            **{split: f"{counts[split]['A']} conditions, {counts[split]['B']} targets" for split in SPLITS},
            "pairs": "aligned" if prepared.paired else "hidden from training" if prepared.hidden_pairs else "none",
            "shape": f"uint8 {height}×{width}×{prepared.channels}",
            "licence": card["licence"],
            "attribution": card["attribution"],
            "data_sha256": prepared.data_sha256,
        }
        columns = [ColSpec(DataType.binary, f"{split}/{side}: {counts[split][side]} pictures") for split in SPLITS for side in SIDES]
        super().__init__(source, name=str(card["dataset"]), digest=prepared.data_sha256[:DIGITS], schema=Schema(columns))

    @property
    def profile(self) -> dict[str, Any]:
        return self._profile

    def to_dict(self) -> dict[str, str]:
        return {**super().to_dict(), "profile": json.dumps(self.profile, ensure_ascii=False)}


def dataset_input(prepared: Prepared, settings: Any) -> DatasetInput:
    """What a run is linked to by ``client.log_inputs``. ``settings``: the dataset's entry in ``params.yaml``."""
    entity = PreparedDataset(prepared, source_of(prepared, settings))._to_mlflow_entity()
    return DatasetInput(entity, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])


def measured_on(prepared: Prepared, model_id: str | None, run_id: str) -> dict[str, str]:
    """Arguments of a ``Metric`` that link it to the dataset, and to the model if there is one."""
    links = {"dataset_name": str(prepared.card["dataset"]), "dataset_digest": prepared.data_sha256[:DIGITS]}
    return {**links, **({} if model_id is None else {"model_id": model_id, "run_id": run_id})}


def source_of(prepared: Prepared, settings: Any) -> DatasetSource:
    """Where the pictures came from: an address, the user's folders as ``params.yaml`` names them, one of our archives, or a program."""
    source, archive = SOURCES[settings.source], prepared.card["archive"] or {}
    if isinstance(source, Archive):
        parts = urlsplit(source.addresses(settings)[0])
        return HTTPDatasetSource(
            urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        )  # what may be secret isn't told
    folders = [str(value) for key in ("path", "a", "b") if (value := getattr(settings, key, None))]
    if folders or archive:
        return LocalArtifactDatasetSource(" and ".join(folders) or (MANIFEST.parent / str(archive["name"])).as_posix())
    return CodeDatasetSource({"source": settings.source})
