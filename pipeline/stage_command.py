"""What every stage's command line shares: ``python -m pipeline.<stage> dataset=… method=… seed=…``.

Bad input and too little memory end with one line on standard error and exit code 2, Ctrl-C with one and 130, a request to stop with one
and 143; an error in a method of the user's own ends with one line, which names its place, and a bug of ours keeps its traceback. A stage
ends when the engine that started it is killed; otherwise the engine's next call would run it a second time beside the first. The time and
memory that a stage took, if it ended well, are written to ``build/timings``, which neither engine looks at (Snakemake's ``benchmark:``
would make DVC's outputs look stale).
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cgm.core import own
from cgm.core.console import any_encoding
from cgm.core.errors import UserError, refusal
from cgm.core.files import write_json
from cgm.experiment.params import Params
from cgm.experiment.reading import load_params
from cgm.networks.fixed.weights import use_folder
from pipeline import ENGINE, PARENT
from pipeline.memory import shortage_told

INTERRUPTED = "interrupted; the same command goes on from the last checkpoint"
TIMINGS = Path("build/timings")
SECONDS_BETWEEN_LOOKS = 1.0


def main(stage: Callable[..., object], keys: Sequence[str] = (), argv: Sequence[str] | None = None) -> None:
    """Parse ``key=value`` arguments, load ``params.yaml``, call ``stage(params, **values)``.

    ``dataset``, ``method`` and ``seed`` are checked against ``params.yaml``; ``seed`` arrives as an int.
    """
    any_encoding()
    if argv is None:
        gc.freeze()  # imported modules are never garbage; looking through them when the process ends takes half as long as importing them
        gc.enable()
    name = Path(sys.argv[0]).stem
    try:
        values = _parse(keys, sys.argv[1:] if argv is None else argv)
        params = load_params()
        checked = check(params, values)
        if params.weights is not None:
            use_folder(params.weights)
        _end_when_told()
        started = time.monotonic()
        with own.errors_told(), shortage_told(name, values):
            stage(params, **checked)
        if argv is None:
            _note(name, values, time.monotonic() - started)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if (line := refusal(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)


def _end_when_told() -> None:
    """SIGTERM unwinds, so that no half-written file stays behind; and so does the end of the engine that started this process."""
    if threading.current_thread() is not threading.main_thread():
        return

    def stop(number: int, frame: object) -> None:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    if any(name in os.environ for name in ENGINE):
        threading.Thread(target=_watch, args=(PARENT,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os.kill(os.getpid(), signal.SIGTERM)


def _note(name: str, values: dict[str, str], seconds: float) -> None:
    """``seconds``: of the stage's own work; CPU seconds and memory are the whole process's, imports and worker processes included."""
    own, workers = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    write_json(
        TIMINGS.joinpath(name, *values.values()).with_suffix(".json"),
        {
            "seconds": round(seconds, 3),
            "cpu_seconds": round(own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime, 3),
            "peak_memory_bytes": max(own.ru_maxrss, workers.ru_maxrss) * unit,
        },
    )


def _parse(keys: Sequence[str], arguments: Sequence[str]) -> dict[str, str]:
    usage = " ".join(f"{key}=…" for key in keys) or "no arguments"
    values: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in keys or key in values:
            raise UserError(f"argument {argument!r}: expected {usage}")
        values[key] = value
    if missing := [key for key in keys if key not in values]:
        raise UserError(f"argument {missing[0]}=… is missing: expected {usage}")
    return values


def check(params: Params, values: dict[str, str]) -> dict[str, Any]:
    """``values`` with ``seed`` as an int. Raises :class:`UserError` where ``params.yaml`` lacks a dataset, method or seed."""
    checked: dict[str, Any] = dict(values)
    if "dataset" in values and values["dataset"] not in params.all_datasets:
        raise UserError(f"dataset={values['dataset']}: not in params.yaml; expected one of {', '.join(params.all_datasets)}")
    if "method" in values:
        known = params.methods if params.is_paired(values["dataset"]) else params.unpaired.methods
        if values["method"] not in known:
            raise UserError(f"method={values['method']}: not in params.yaml for {values['dataset']}; expected one of {', '.join(known)}")
    if "seed" in values:
        if not values["seed"].isdecimal() or int(values["seed"]) not in params.seeds:
            raise UserError(f"seed={values['seed']}: not in params.yaml; expected one of {', '.join(map(str, params.seeds))}")
        checked["seed"] = int(values["seed"])
    return checked
