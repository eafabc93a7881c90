"""``python -m pipeline.track --rebuild``: the whole store anew from ``results/``.

The old one stays until the new one is whole, and is kept.
"""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient

from cgm.core.files import remove
from cgm.experiment.params import Params
from pipeline.tracking.files import finished_runs, live_runs
from pipeline.tracking.reconcile import Reconciler
from pipeline.tracking.store import SQLITE, Store, alone, database_of, make_database, move_others, open_store, set_aside, take_over, told


def rebuild(params: Params, root: Path = Path()) -> None:
    """Of a local store a new database takes the old one's place, and the old one moves to ``mlflow.old/`` with its artifacts. On a server
    every run of this experiment and folder is written again, and those that were there are tagged as superseded."""
    with alone(root), told(params):
        finished = list(finished_runs(params, root))
        live = list(live_runs(params, {str(item.run) for item in finished}, root))
        path = database_of(params.tracking.uri, root)
        if path is None or not path.exists():
            Reconciler(open_store(params, root), params, root).bring(finished, live, anew=True)
            print(f"{params.tracked_as}: {len(finished)} finished runs written anew")
            return
        # Its artifacts go where they stay, beside the old ones: every run has a folder of its own.
        folder = path.with_name(f"{path.name}.new")
        remove(folder)
        try:
            make_database(folder / path.name, path.parent)
            uri = f"{SQLITE}{folder / path.name}"
            Reconciler(Store(MlflowClient(tracking_uri=uri), uri, path.parent, ""), params, root).bring(finished, live)
            old = set_aside(path)
            take_over(path, folder / path.name)
            move_others(path, old)
        finally:
            remove(folder)
    print(f"{path.name}: {len(finished)} finished runs written anew; the store before is {old.relative_to(path.parent)}")
