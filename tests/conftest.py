"""Small datasets, prepared by the real code; published weights without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cgm.core.files import sha256
from cgm.data.prepare import prepare
from cgm.data.prepared import Prepared, open_prepared
from cgm.data.sources import SOURCES
from cgm.networks.fixed import FIXED, weights
from cgm.networks.fixed.record import Published

ROOT = Path(__file__).parents[1]
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first, so that both workers end together: those of tests/workflow.

    Coverage is measured on the first case of each test: it takes as long as the code itself, and later cases run the same lines.
    """
    items.sort(key=lambda item: "workflow" not in item.path.parts)
    seen = set()
    for item in items:
        name = (item.path, getattr(item, "originalname", item.name))
        if name in seen:
            item.add_marker(pytest.mark.no_cover)
        seen.add(name)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Twelve pairs of openmoji a split, 32 px."""
    folder = tmp_path_factory.mktemp("small")
    source = SOURCES["openmoji"]
    settings = source.Settings(source="openmoji", image_size=32, kimg=1.0, limit=12)
    source.fetch(settings, folder / "raw", paired=True, root=ROOT)
    prepare(settings, folder / "raw", folder / "prepared", name="small", paired=True)
    return open_prepared(folder / "prepared")


def publish(patch: pytest.MonkeyPatch, name: str, **facts: Any) -> Published:
    """For this test, other facts of a network's published weights than its record has, and no package that brings them."""
    changed = replace(weights.entry(name), **facts)
    patch.setitem(vars(FIXED[name]), "published", changed)
    patch.setitem(vars(FIXED[name]), "package", None)
    return changed


@pytest.fixture(scope="session", autouse=True)
def published() -> Iterator[dict[str, Published]]:
    """No request leaves this machine: each published file is said to lie at a port of it where nobody answers. Yields the true entries."""
    entries = {name: weights.entry(name) for name in weights.published()}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(weights.ENVIRONMENT, raising=False)
        patch.setenv("NO_PROXY", "127.0.0.1")
        for name, entry in entries.items():
            patch.setitem(vars(FIXED[name]), "published", replace(entry, url=f"http://127.0.0.1:9/{entry.file}"))
        yield entries


Place = Callable[[str, Mapping[str, torch.Tensor]], Path]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Put a state dictionary into torch's cache, an empty one of this test, as if it were the published one."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def put(name: str, state: Mapping[str, torch.Tensor]) -> Path:
        path = weights.locate(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(dict(state), path)
        publish(monkeypatch, name, sha256=sha256(path))
        return path

    return put


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store of MLflow's, which takes seconds to make."""
    from pipeline.tracking.store import make_database

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    make_database(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, mlflow_database: Path) -> Path:
    """With an empty store of MLflow's of its own."""
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    return tmp_path
