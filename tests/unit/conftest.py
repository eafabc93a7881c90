"""A store of MLflow's, which takes seconds to make, for the tests that need one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty one."""
    from pipeline.tracking.store import make_database

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    make_database(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, mlflow_database: Path) -> Path:
    """With an empty store of its own."""
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    return tmp_path
