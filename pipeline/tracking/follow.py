"""``cgm follow``: brings MLflow into line every few seconds, from what trainings write as they go and what stages leave.

No training imports MLflow or waits for it. What can't be sent now, because a server is down or a database locked, is sent later: the files
stay, and the store is asked what it has.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cgm.core.errors import UserError, refusal
from cgm.experiment.params import Params
from cgm.experiment.reading import load_params
from pipeline.tracking.files import FinishedRun, LiveRun, finished_runs, live_runs
from pipeline.tracking.reconcile import Reconciler
from pipeline.tracking.store import alone, open_store, told

LOG = Path("build/follow.log")
SECONDS = 3.0
PATIENCE = 60.0
"""At most so many seconds between two attempts, when the store refuses."""
PARAMS = Path("params.yaml")
REPORT = Path("reports/manifest.json")


@dataclass
class Follower:
    """Of one folder. What it did goes to ``log``, a line each."""

    root: Path = Path()
    log: Callable[[str], None] = print
    _seen: Any = None
    _runs: Any = None
    _reconciler: Reconciler | None = None
    _live: dict[str, str] = field(default_factory=dict)
    """States of trainings when they were last told."""

    def look(self) -> bool:
        """One pass; whether there was anything to do. Raises :class:`UserError` where the store refuses, or ``params.yaml`` is wrong."""
        params = load_params(self.root / PARAMS)
        finished = list(finished_runs(params, self.root))
        live = list(live_runs(params, {str(item.run) for item in finished}, self.root))
        report = self.root / REPORT
        runs = [
            params,
            [item.digest for item in finished],
            [str(item.run) for item in live],
            report.is_file() and report.stat().st_mtime_ns,
        ]
        seen = [runs, [(item.alive, item.written) for item in live]]
        if seen == self._seen:
            return False
        self._seen = None
        with alone(self.root), told(params):
            self._bring(params, finished, live, anew=runs != self._runs)
        self._seen, self._runs = seen, runs
        return True

    def _bring(self, params: Params, finished: list[FinishedRun], live: list[LiveRun], anew: bool) -> None:
        """Everything, or the points that trainings have added, where nothing else has changed."""
        if anew or self._reconciler is None:
            store = open_store(params, self.root)
            if self._reconciler is None or self._reconciler.params != params:
                self._reconciler = Reconciler(store, params, self.root)
            reconciler, self._reconciler = self._reconciler, None  # kept only if all goes well
            for name in reconciler.bring(finished, live).written:
                self.log(f"{name}: written")
        else:
            reconciler, self._reconciler = self._reconciler, None
            reconciler.follow(live)
        self._reconciler = reconciler
        states = {str(item.run): "trains" if item.alive else "killed" for item in live}
        for name, state in states.items():
            if self._live.get(name) != state:
                self.log(f"{name}: {state}")
        self._live = states


def follow(root: Path = Path(), seconds: float = SECONDS, stop: threading.Event | None = None) -> None:
    """Until ``stop`` is set. Every ``seconds``, and less often while the store refuses; each refusal is told once."""
    stop, wait, told_before = stop or threading.Event(), seconds, ""
    with (root / LOG).open("a", encoding="utf-8") as file:

        def log(line: str) -> None:
            print(time.strftime("%Y-%m-%d %H:%M:%S"), line, file=file, flush=True)

        follower = Follower(root, log)
        while not stop.is_set():
            try:
                follower.look()
                wait, told_before = seconds, ""
            except (UserError, OSError) as error:
                line = str(error) if isinstance(error, UserError) else refusal(error) or str(error)
                if line != told_before:
                    log(f"error: {line}")
                wait, told_before = min(2 * wait, PATIENCE), line
            stop.wait(wait)


def main(seconds: float = SECONDS) -> None:
    """In the foreground, quietly; Ctrl-C, or a request to stop, ends it between two calls to the store."""
    load_params(PARAMS)  # a mistake in it is told at once
    LOG.parent.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print(f"MLflow follows build/live and results/ every {seconds:g} s; what it does: {LOG}; Ctrl-C ends it", flush=True)
    follow(seconds=seconds, stop=stop)
