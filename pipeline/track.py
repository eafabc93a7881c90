"""Stage ``track``: bring MLflow into line with the files of all runs → ``build/track.json``.

The only writer to MLflow beside ``cgm follow``, which takes turns with it. It may be called at any time, also while trainings go on. Plain
files stay the truth: ``python -m pipeline.track --rebuild`` makes the whole store anew from ``results/``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from cgm.core.files import write_json
from cgm.experiment.params import Params
from pipeline.stage_command import main
from pipeline.tracking import rebuild
from pipeline.tracking.files import finished_runs, live_runs
from pipeline.tracking.reconcile import Outcome, Reconciler
from pipeline.tracking.store import alone, open_store, told

RECORD = Path("build/track.json")
REBUILD = "--rebuild"


def track(params: Params, root: Path = Path()) -> Outcome:
    """Reconcile, then write down the fingerprint of each run that MLflow holds."""
    with alone(root), told(params):
        finished = list(finished_runs(params, root))
        live = list(live_runs(params, {str(item.run) for item in finished}, root))
        outcome = Reconciler(open_store(params, root), params, root).bring(finished, live)
    write_json(root / RECORD, {str(item.run): item.digest for item in finished})
    return outcome


if __name__ == "__main__":
    stage: Callable[..., object] = track
    if REBUILD in sys.argv:
        sys.argv.remove(REBUILD)
        stage = rebuild.rebuild
    main(stage)
