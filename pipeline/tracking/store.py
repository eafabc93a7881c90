"""The store: opened, made whole or not at all, brought back after a move; its refusals as one line; one writer at a time.

A database of MLflow's holds absolute places of artifacts. Those of a local store lie in ``mlartifacts`` beside the database. Where the
folder was moved or copied since, the places are corrected before anything is written, so that nothing is ever written elsewhere.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from cgm.core.errors import UserError
from cgm.core.files import read_json, remove, write_json
from cgm.experiment.params import Params

SQLITE = "sqlite:///"
ARTIFACTS = "mlartifacts"
LOCK = Path("build/tracking.lock")
LOCK_SECONDS = 600.0
"""How long a writer waits for another one's pass."""
LOCKED_SECONDS = 20.0
"""How long to wait for a database that another process holds."""
PROJECT = Path(".cgm-project")
"""Who this folder is on a server that several write to."""
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
"""Columns of MLflow's tables that hold places of artifacts."""
OWN = "cgm.experiment"
"""Tag of an experiment that this project has made."""
CREDENTIALS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD")
REBUILD = "`python -m pipeline.track --rebuild` makes it anew from results/ and keeps the old one in mlflow.old/"

# MLflow tells a refusal twice: with a traceback in its log, and as an exception. The one line here is made of the second.
for _name in ("mlflow", "alembic", "urllib3.connectionpool"):
    logging.getLogger(_name).setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db.utils").disabled = True


@dataclass(frozen=True)
class Store:
    client: MlflowClient
    uri: str
    home: Path | None
    """The folder of a local store's database, in which its artifacts lie."""
    project: str
    """Tag of this folder's runs on a shared store; empty where the store is the folder's own."""

    def location(self, experiment: str) -> str | None:
        """Where a new experiment keeps its artifacts; None where a server decides."""
        return (self.home / ARTIFACTS / experiment).as_uri() if self.home else None


def database_of(uri: str, root: Path = Path()) -> Path | None:
    """The file of a local store, absolute; None for any other store."""
    return (root / uri.removeprefix(SQLITE)).resolve() if uri.startswith(SQLITE) else None


def open_store(params: Params, root: Path = Path()) -> Store:
    """Ready to be written to. Call it within :func:`told`, and :func:`alone`."""
    uri, database = params.tracking.uri, database_of(params.tracking.uri, root)
    if database is None:
        return Store(MlflowClient(tracking_uri=uri), uri, None, identity(root))
    uri = f"{SQLITE}{database}"
    make_database(database)
    heal(database, params.tracked_as)
    own = database.is_relative_to(root.resolve())
    return Store(MlflowClient(tracking_uri=uri), uri, database.parent, "" if own else identity(root))


def make_database(path: Path, home: Path | None = None) -> None:
    """One that is not there yet: whole or not at all. MLflow makes it in a hundred steps and can't go on from the middle.

    ``home``: the folder in which its artifacts will lie, if another than its own.
    """
    if path.exists():
        return
    folder = path.with_name(f"{path.name}.new")  # SQLite keeps files of its own beside a database
    remove(folder)
    folder.mkdir(parents=True)
    try:
        new = folder / path.name
        MlflowClient(tracking_uri=f"{SQLITE}{new}").search_experiments(max_results=1)
        with closing(sqlite3.connect(new)) as database, database:  # MLflow's own experiment, which nothing here uses
            place = ((home or path.parent) / ARTIFACTS / "0").as_uri()
            database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", (place,))
        new.replace(path)
    finally:
        remove(folder)


def heal(path: Path, experiment: str = "") -> int:
    """Correct the places of artifacts after the folder was moved or copied; all of them or none. Returns how many changed.

    MLflow has no call for it. The folder has moved where an experiment's place ends in ``mlartifacts/<name>`` and is another folder's,
    while its artifacts lie here, or it is ours (``experiment``, or by its tag). Whatever lay in the old folder has moved with it.
    """
    here = path.parent
    with closing(sqlite3.connect(path, timeout=LOCKED_SECONDS)) as database:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"experiments", "experiment_tags"} <= tables:
            return 0
        moved = set()
        for name, place, own in database.execute(
            "SELECT name, artifact_location, EXISTS (SELECT 1 FROM experiment_tags AS tag WHERE tag.key = ? AND "
            "tag.experiment_id = experiments.experiment_id) FROM experiments",
            (OWN,),
        ):
            before = _folder_of(place or "")
            if before and before != here and (own or name == experiment or (here / ARTIFACTS / _local(place).name).exists()):
                moved.add(before)
        changed = 0
        with database:
            for before in moved:
                for old, new in ((f"{before.as_uri()}/", f"{here.as_uri()}/"), (f"{before}/", f"{here}/")):
                    for table, column in PLACES:
                        if table in tables:
                            changed += database.execute(
                                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                                f"WHERE substr({column}, 1, ?) = ? AND substr({column}, 1, ?) != ?",
                                (new, len(old) + 1, len(old), old, len(new), new),
                            ).rowcount
        return changed


def _folder_of(place: str) -> Path | None:
    """What holds the ``mlartifacts`` that an experiment's place is in; None where it is none of ours, or not on this machine."""
    local = _local(place)
    return local.parent.parent if local.is_absolute() and local.parent.name == ARTIFACTS else None


def _local(place: str) -> Path:
    parts = urlsplit(place)
    return Path(unquote(parts.path)) if parts.scheme == "file" else Path(place if not parts.scheme else "")


def identity(root: Path = Path()) -> str:
    """Of this folder among those that write to the same server: made once; a moved folder keeps it, and a copy gets one of its own."""
    path, here = root / PROJECT, {"folder": str(root.resolve()), "host": socket.gethostname()}
    try:
        found = read_json(path)
        made, before = str(found["project"]), {key: found[key] for key in here}
    except (OSError, ValueError, TypeError, KeyError):
        made, before = "", here
    moved = before["host"] == here["host"] and not (Path(before["folder"]) / PROJECT).exists()
    if not made or (before != here and not moved):
        made = f"{root.resolve().name}-{uuid.uuid4().hex[:8]}"
    if before != here or not path.exists():
        write_json(path, {"project": made, **here})
    return made


@contextmanager
def alone(root: Path = Path(), seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """One writer at a time; the lock of a dead one is free. Raises :class:`UserError` where another one keeps it for too long."""
    path = root / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise UserError(f"{LOCK}: held for {seconds:.0f} s by another `cgm follow` or `track`; wait for it, or end it") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def told(params: Params) -> Iterator[None]:
    """What MLflow, its database or the network refuses becomes a :class:`UserError`."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, requests.RequestException) as error:
        raise UserError(f"params.yaml: tracking.uri: {_explained(params.tracking.uri, str(error))}") from None


def _explained(uri: str, text: str) -> str:
    said = " ".join(text.partition("\n[SQL")[0].partition("(Background on")[0].split())
    for name in CREDENTIALS:
        if secret := os.environ.get(name):
            said = said.replace(secret, "***")
    known = {
        ("out-of-date database schema", "Can't locate revision"): f"was written by another version of MLflow; {REBUILD}",
        ("OperationalError) table", "no such table", "not a database", "malformed"): f"is no whole database of MLflow's; {REBUILD}",
        ("database is locked",): "another process holds the database; end it (an MLflow server, a notebook), then run the command again",
        ("readonly database", "unable to open database"): "can't be written; change its permissions, or name another place",
        ("disk is full", "No space left", "disk I/O error"): "no room on the disk; free some, then run the command again",
        ("Connection refused", "Max retries exceeded", "Failed to establish", "timed out", "Connection aborted", "Connection reset"): (
            "no answer; start the server, then run the command again: nothing is lost"
        ),
        ("error code 401", "error code 403", "Unauthorized", "Forbidden"): (
            "the server wants to know who you are; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment"
        ),
    }
    for signs, remedy in known.items():
        if any(sign in said for sign in signs):
            return f"{uri}: {remedy} ({said[:200]})"
    return f"{uri}: MLflow refused: {said[:500]}"


def set_aside(path: Path) -> Path:
    """Copy a database to ``mlflow.old`` beside it, in place of what was there; returns the copy."""
    old = path.parent / f"{path.stem}.old"
    remove(old)
    old.mkdir()
    shutil.copy2(path, old / path.name)
    return old / path.name


def take_over(path: Path, new: Path) -> None:
    """Put the database ``new`` in the place of ``path``: all of it or nothing. A server that has the old one open sees it at once."""
    try:
        with closing(sqlite3.connect(new)) as source, closing(sqlite3.connect(path, timeout=LOCKED_SECONDS)) as target:
            source.backup(target)
    except sqlite3.OperationalError:  # another process holds it
        raise
    except sqlite3.DatabaseError:  # what lies there is no database
        new.replace(path)


def move_others(path: Path, old: Path) -> None:
    """What of the artifacts beside the database ``path`` isn't in it goes to those beside ``old``, whose places follow."""
    with closing(sqlite3.connect(path)) as database:
        places = {_local(row[0]) for table, column in PLACES[:3] for row in database.execute(f"SELECT {column} FROM {table}") if row[0]}
    there = path.parent / ARTIFACTS
    for folder in sorted([*there.glob("*/*"), *there.glob("*/models/*")], key=lambda each: -len(each.parts)):
        if folder.name != "models" and not any(place.is_relative_to(folder) for place in places):
            target = old.parent / ARTIFACTS / folder.relative_to(there)
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(target)
    with suppress(sqlite3.Error):  # it may be what nobody can read
        heal(old)


def now() -> int:
    """Milliseconds since the epoch."""
    return round(time.time() * 1000)
