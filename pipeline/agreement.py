"""Keeps Snakemake and DVC in agreement: after either has finished, the other has nothing to do.

Snakemake decides by times, DVC by contents (``dvc.lock``). Beside DVC's own inputs each stage has a *stamp*, a file with its command
and parameters that only Snakemake sees. It is rewritten when they change: for Snakemake a changed parameter is then a newer input.

:func:`before` runs while the Snakefile is parsed. Where times say that a stage is stale, where ``dvc.lock`` has moved since the last
agreement, or where an output is not the file that it was then, DVC is asked. If it finds a stage unchanged, the times of the stage's
outputs are set to now; if it finds it changed, the time of its stamp.
:func:`after` runs when the jobs have ended, well or badly, and records in ``dvc.lock`` the stages that this invocation made. A mark that
:func:`begin` sets and :func:`after` removes tells the next invocation of one that was killed: it then records in its place.
:func:`adoption` is for results that were made elsewhere.
Every Snakemake at work here has a file in ``build/engines``; a lock whose owner is gone is seen by them, and removed.

``Stage.save``, ``Stage.commit``, ``Lockfile.dump_stages`` and the file of ``dvc.rwlock`` are DVC's own internals (what ``dvc commit``
uses): DVC is pinned. DVC writes both files in place, and a kill can leave half of one. Here ``dvc.lock`` is therefore written under
another name and renamed, and half a ``rwlock`` is removed.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import json
import logging
import os
import shutil
import socket
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from cgm.core.errors import UserError
from cgm.core.files import read_json, remove, replacing, sha256, write_json, write_text
from cgm.data.prepared import open_prepared
from cgm.data.sources import SOURCES
from cgm.experiment import paths
from cgm.methods import METHODS
from cgm.methods.method import Elsewhere
from pipeline import fingerprint
from pipeline.stage_table import FINGERPRINT, Stage, Table, load_table

AGREED = "build/agreement.json"
MARK = "build/running"
ENGINES = "build/engines"
LOCK = "dvc.lock"
LOCKS = ".snakemake/locks"
INCOMPLETE = ".snakemake/incomplete"
BACKUPS = ".snakemake/backups"


def before(table: Table) -> None:
    """Write fingerprints and stamps, then bring the times of outputs into line with DVC's record of their contents."""
    root = table.root
    others = _register(root)
    if locks := sorted((root / LOCKS).glob("*")):
        if others:
            # Its jobs were started with the parameters in the present stamps: rewriting them now would mark stale outputs as fresh.
            # Snakemake itself refuses to start jobs now.
            print(f"note: Snakemake is at work in this folder already: {'; '.join(others)}", file=sys.stderr)
            return
        for lock in locks:
            lock.unlink()
        print("note: an earlier Snakemake was killed here and left its lock; removed, and its work goes on", file=sys.stderr)
    moved = _lock_state(root) != _agreed(root).get("lock")
    fingerprint.write(table.params, root)
    for stage in table.stages.values():
        _write_stamp(root, stage)
    if (root / MARK).exists():
        _record(table, _made_since_mark(table))
        (root / MARK).unlink()
    elif _source_state(table) != _agreed(root).get("source"):
        _record(table, [])

    stages = [stage for stage in table.jobs() if is_complete(table, stage)]
    known = _agreed(root).get("outs", {})
    unknown = {stage.name for stage in stages if moved or any(known.get(out) != _identity(root / out) for out in stage.outs)}
    if unknown or any(_stale(table, stage) for stage in stages):
        _agree(table, _settle(table, stages, unknown))


def _settle(table: Table, stages: Iterable[Stage], unknown: Container[str]) -> list[Stage]:
    """Ask DVC about stages that look stale or are ``unknown``, and set times by its answers. Returns those that it finds unchanged."""
    clean = []
    with _dvc(table.root) as repo:
        theirs = {stage.name: stage for stage in repo.index.stages}
        for stage in stages:
            stale = _stale(table, stage)  # again: an earlier stage may have got newer times
            if not (stale or stage.name in unknown):
                continue
            changed = theirs[stage.name].changed()
            if not changed:
                clean.append(stage)
            if stale and not changed:
                for out in stage.outs:
                    _touch(table.root / out)
            elif changed and not stale:
                _touch(table.root / stage.stamp)
    _complete_for_snakemake(table.root, {out for stage in clean for out in stage.outs})
    return clean


def _complete_for_snakemake(root: Path, outs: Container[str]) -> None:
    """Remove the marks by which a killed Snakemake knows that it did not finish ``outs``: DVC has made them since."""
    for path in (root / INCOMPLETE).rglob("*"):
        if path.is_file():  # named by base64 of the output, in pieces where that is long
            name = "".join(part.removeprefix("@") for part in path.relative_to(root / INCOMPLETE).parts)
            if base64.urlsafe_b64decode(name).decode(errors="replace") in outs:
                path.unlink()


def check_sources(table: Table) -> None:
    """Before anything starts: what each ``fetch`` that is going to run reads is there and whole.

    Raises :class:`UserError`. Without this, other datasets would train for an hour before the message is seen.
    """
    for stage in table.stages.values():
        if stage.kind == "fetch" and not is_fresh(table, stage):
            settings = table.params.all_datasets[stage.item["dataset"]]
            SOURCES[settings.source].check(settings, table.root)
    check_elsewhere(table, made_too=False)


def check_elsewhere(table: Table, *, made_too: bool) -> None:
    """Before anything starts: pictures that were made elsewhere, and that a run is going to read, are there and whole.

    ``made_too``: also those of runs that are made, unless the results have outlived the pictures.
    Raises :class:`UserError`. Names of pictures can be compared with the test conditions where the dataset is prepared already.
    """
    params, root = table.params, table.root
    for dataset, method in dict.fromkeys((run.dataset, run.method) for run in params.runs()):
        settings = params.method(dataset, method)
        elsewhere = METHODS[settings.implementation]
        if not issubclass(elsewhere, Elsewhere):
            continue
        stages = [stage for stage in table.stages.values() if stage.item.get("dataset") == dataset]
        made = all(is_fresh(table, stage) for stage in stages if stage.kind == "train" and stage.item["method"] == method)
        if made and (not made_too or None in elsewhere.identity(settings, dataset, root).values()):
            continue
        (prepare,) = (stage for stage in stages if stage.kind == "prepare")
        prepared = open_prepared(root / paths.prepared(dataset)) if is_fresh(table, prepare) else None
        elsewhere.check(settings, dataset, params.all_datasets[dataset], params.seeds, prepared, root)


def begin(table: Table) -> None:
    """Called by Snakemake before its first job, when it holds its lock: mark that jobs are running.

    While a stage renews an output in place (``persist`` in dvc.yaml), Snakemake keeps a copy, which comes back if the stage fails. A copy
    that is there now was left by a Snakemake that was killed. The next attempt to make one would fail on it.
    """
    remove(table.root / BACKUPS)
    write_text(table.root / MARK, f"{os.getpid()}\n")


def after(table: Table, *, touched: bool = False) -> None:
    """Record what was made since :func:`begin`; nothing after ``snakemake --touch``, which makes nothing."""
    mark = table.root / MARK
    try:
        if mark.exists() and not touched:
            _record(table, _made_since_mark(table))
    except UserError as error:  # the mark stays: the next invocation records
        print(f"error: {error}", file=sys.stderr)
    else:
        mark.unlink(missing_ok=True)


def _made_since_mark(table: Table) -> list[Stage]:
    """Complete, fresh stages whose outputs are all newer than the mark, made with the parameters and code that stand there now.

    Parameters or code that were edited while jobs ran are another experiment: those stages are left to run again.
    """
    root, mark = table.root, (table.root / MARK).stat().st_mtime
    try:
        now = load_table(root)
    except UserError as error:
        print(f"error: {error}\nThis run is not recorded for DVC; put params.yaml right and run Snakemake again.", file=sys.stderr)
        return []
    current = fingerprint.contents(now.params, root)
    made = []
    for stage in table.jobs():
        if not is_fresh(table, stage):
            continue
        same = stage.name in now.stages and now.stages[stage.name].content == read_json(root / stage.stamp)
        inputs = fingerprint.names(stage.deps)
        same = same and all(current.get(name) == read_json(root / fingerprint.FOLDER / name) for name in inputs)
        if same and min(_time(root / out) for out in stage.outs) >= mark:
            made.append(stage)
    return made


def _record(table: Table, made: Sequence[Stage]) -> None:
    """Write ``made`` and the fingerprints, which :func:`before` keeps true, into ``dvc.lock`` in one go."""
    with _dvc(table.root) as repo:
        _record_in(repo, table, made)


def _record_in(repo: Any, table: Table, made: Sequence[Stage]) -> None:
    from dvc.dvcfile import Lockfile

    names = {FINGERPRINT, *(stage.name for stage in made)}
    lock = table.root / LOCK
    stages = [stage for stage in repo.index.stages if stage.name in names]
    for stage in stages:
        stage.save()
        stage.commit(relink=False)
    with replacing(lock) as temporary:
        if lock.exists():
            shutil.copyfile(lock, temporary)
        Lockfile(repo, str(temporary)).dump_stages(stages)
    _agree(table, made)


@contextmanager
def adoption(table: Table) -> Iterator[list[Stage]]:
    """Results that were made elsewhere come in: the block puts the outputs of stages in place and appends these to the list.

    They are recorded as if they had been made here, also where the block breaks off; after a kill the next invocation does it, by the same
    mark as for jobs. Raises :class:`UserError` where an engine is at work in this folder. One that starts meanwhile sees the mark, goes to
    record, and is turned away by DVC's lock.
    """
    root, again = table.root, "wait for it to end and run the same command again"
    if others := _register(root):
        raise UserError(f"{root.resolve()}: Snakemake is at work in this folder: {'; '.join(others)}; {again}")
    before(table)
    with _dvc(root) as repo:
        if others := _at_work(repo):
            raise UserError(f"{root.resolve()}: DVC is at work in this folder: {'; '.join(others)}; {again}")
        begin(table)
        made: list[Stage] = []
        try:
            yield made
        finally:
            _complete_for_snakemake(root, {out for stage in made for out in stage.outs})
            _record_in(repo, table, made)
            (root / MARK).unlink()


@contextmanager
def _dvc(root: Path) -> Iterator[Any]:
    """The DVC repository at ``root``, locked against other DVC processes, silent except for warnings."""
    os.environ.setdefault("DVC_NO_ANALYTICS", "true")
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    logging.getLogger("dvc").setLevel(logging.WARNING)
    try:
        with Repo(str(root.resolve())) as repo, repo.lock:
            _mend_busy_list(repo)
            yield repo
    except LockError:
        raise UserError(
            "dvc: another DVC process holds the project's lock (.dvc/tmp/lock); wait for it to end and run the same command again"
        ) from None
    except SCMError:
        raise UserError(f"{root.resolve()}: not a git repository, which DVC needs; run `git init` there, or clone the project") from None
    except DvcException as error:
        raise UserError(f"dvc: {' '.join(str(error).split())}") from None


def _mend_busy_list(repo: Any) -> None:
    """Remove DVC's list of files that its processes read and write where one was killed while it wrote it: no DVC could go on."""
    from dvc.lock import make_lock
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    path = Path(repo.tmp_dir) / RWLOCK_FILE
    options = {"tmp_dir": repo.tmp_dir, "hardlink_lock": repo.config["core"].get("hardlink_lock", False)}
    with make_lock(str(path.with_name(RWLOCK_LOCK)), **options):  # nobody is writing it
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass
        except ValueError:
            path.unlink()
            print(f"note: {path}: an earlier DVC or Snakemake was killed while it wrote it; removed", file=sys.stderr)


def _at_work(repo: Any) -> list[str]:
    """The other DVC processes that run stages here. They give the lock back meanwhile, and stand in the list of busy files."""
    from dvc.rwlock import RWLOCK_FILE

    path = Path(repo.tmp_dir) / RWLOCK_FILE
    busy = read_json(path) if path.exists() else {}
    owners = [*busy.get("write", {}).values(), *(owner for readers in busy.get("read", {}).values() for owner in readers)]
    return sorted({f"process {owner['pid']}" for owner in owners if owner["pid"] != os.getpid() and psutil.pid_exists(owner["pid"])})


def _agree(table: Table, stages: Iterable[Stage]) -> None:
    """Write down what both engines agree on: the lock, the sources, and how the outputs of ``stages`` and of earlier calls look."""
    root = table.root
    outs = _agreed(root).get("outs", {})
    outs.update({out: _identity(root / out) for stage in stages for out in stage.outs})
    listed = {out: outs[out] for out in table.outputs() if out in outs}
    write_json(root / AGREED, {"lock": _lock_state(root), "source": _source_state(table), "outs": listed})


def _identity(path: Path) -> list[int]:
    """Tells whether a file was written, or a folder replaced, by somebody else."""
    state = path.stat()
    return [state.st_mtime_ns, 0 if path.is_dir() else state.st_size]


def _agreed(root: Path) -> dict[str, Any]:
    path = root / AGREED
    return read_json(path) if path.exists() else {}


def _lock_state(root: Path) -> str:
    """Content and time: DVC may have written another lock, with other files, before git restored this one."""
    lock = root / LOCK
    return f"{sha256(lock)} {lock.stat().st_mtime_ns}" if lock.exists() else ""


def _source_state(table: Table) -> str:
    """A hash of everything that DVC sees the fingerprint stage depend on."""
    stage = table.stages[FINGERPRINT]
    digest = hashlib.sha256(json.dumps(stage.content, sort_keys=True).encode())
    for dep in stage.deps:
        top = table.root / dep
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(table.root)} {sha256(path)}\n".encode())
    return digest.hexdigest()


def _write_stamp(root: Path, stage: Stage) -> None:
    path = root / stage.stamp
    if not path.exists() or read_json(path) != stage.content:
        write_json(path, stage.content)


def _register(root: Path) -> list[str]:
    """Note that this process works here until it ends. Returns the others that do; those on this machine that are gone are forgotten."""
    host, folder = socket.gethostname(), root / ENGINES
    others = []
    for path in sorted(folder.glob("*.json")):
        owner = read_json(path)
        if owner["host"] == host and owner["pid"] == os.getpid():
            continue
        if owner["host"] == host and not _alive(owner):
            path.unlink(missing_ok=True)
        elif owner["host"] == host:
            others.append(f"process {owner['pid']}")
        else:
            others.append(f"process {owner['pid']} on {owner['host']} (if it is gone, remove {path})")
    own = folder / f"{host}-{os.getpid()}.json"
    write_json(own, {"host": host, "pid": os.getpid(), "started": psutil.Process().create_time()})
    atexit.register(own.unlink, missing_ok=True)
    return others


def _alive(owner: dict[str, Any]) -> bool:
    try:
        return bool(psutil.Process(owner["pid"]).create_time() == owner["started"])
    except psutil.NoSuchProcess:
        return False


def is_complete(table: Table, stage: Stage) -> bool:
    return all((table.root / out).exists() for out in stage.outs)


def is_fresh(table: Table, stage: Stage) -> bool:
    """Whether the outputs are there and no input is newer."""
    return is_complete(table, stage) and not _stale(table, stage)


def _stale(table: Table, stage: Stage) -> bool:
    """As Snakemake judges by time: an input is newer than the oldest output, or is not there."""
    oldest = min(_time(table.root / out) for out in stage.outs)
    inputs = [table.root / file for file in (stage.stamp, *table.inputs(stage))]
    return any(not path.exists() or _time(path) > oldest for path in inputs)


def _time(path: Path) -> float:
    """A file's time, or that of a folder as Snakemake keeps it."""
    stamp = path / ".snakemake_timestamp"
    return (stamp if stamp.exists() else path).stat().st_mtime


def _touch(path: Path) -> None:
    (path / ".snakemake_timestamp" if path.is_dir() else path).touch()


if __name__ == "__main__":  # `make repro` begins with it: otherwise DVC would make again what a killed Snakemake had finished
    try:
        before(load_table())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
