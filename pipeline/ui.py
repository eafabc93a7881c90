"""``make ui``: MLflow's pages on this machine only, and ``cgm follow`` beside them, which keeps them in line with the files.

``python -m pipeline.ui [PORT]``. The server's own words go to ``build/mlflow.log``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from cgm.core.errors import UserError
from cgm.experiment.params import Params
from cgm.experiment.reading import load_params

HOST = "127.0.0.1"
PORT = 5000
ARTIFACTS = "mlartifacts"
SERVER_LOG = Path("build/mlflow.log")
PATIENCE = 20.0
WORKERS = 2
"""Each takes about 300 MB."""


def main(arguments: list[str]) -> None:
    """Until Ctrl-C."""
    try:
        params, port = load_params(), _port(arguments)
        if not params.tracking.uri.startswith("http"):
            check_free(port)  # before MLflow is imported, which takes seconds
        serve(params, port)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _port(arguments: list[str]) -> int:
    text = arguments[0] if arguments else str(PORT)
    if len(arguments) > 1 or not text.isdecimal() or not 0 < int(text) < 65536:
        raise UserError(f"port: found {' '.join(arguments)!r}, expected a number from 1 to 65535; run: make ui PORT=5001")
    return int(text)


def serve(params: Params, port: int) -> None:
    """A local store gets a server; one that has a server already is only followed. Raises :class:`UserError`."""
    from pipeline.tracking.follow import LOG, follow
    from pipeline.tracking.store import alone, open_store, told
    from pipeline.tracking.view import address, open_experiment

    LOG.parent.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    local = not params.tracking.uri.startswith("http")
    with alone(), told(params):  # healed, and made before the server looks for it
        store = open_store(params)
        page = address(f"http://{HOST}:{port}" if local else params.tracking.uri, open_experiment(store, params))
    home = store.home or Path.cwd()
    following = threading.Thread(target=follow, kwargs={"stop": stop}, daemon=True)
    server = _start(store.uri, home / ARTIFACTS, port) if local else None
    try:
        if server is not None:
            _wait(server, port, stop)
        print(f"MLflow: {page}\nit follows trainings as they go ({LOG}); Ctrl-C ends it", flush=True)
        following.start()
        while not stop.wait(0.5):
            if server is not None and server.poll() is not None:
                raise UserError(f"MLflow's server ended with code {server.returncode}; {SERVER_LOG} says why")
    finally:
        stop.set()
        if following.is_alive():
            following.join(PATIENCE)  # a pass that is under way; cut short, it would be made good by the next call
        if server is not None:
            _end(server)


def check_free(port: int) -> None:
    """Raises :class:`UserError` where something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise UserError(f"port {port} is taken; run: make ui PORT={port + 1 if port < 65535 else PORT}") from None


def _start(uri: str, artifacts: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", str(WORKERS)]
    command += ["--backend-store-uri", uri, "--artifacts-destination", str(artifacts)]
    with SERVER_LOG.open("wb") as log:
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours: the server ends after the last pass
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # helper processes of 2 GB, which nothing here needs
        )


def _wait(server: subprocess.Popen[bytes], port: int, stop: threading.Event) -> None:
    """Until it answers."""
    start = time.monotonic()
    while not stop.wait(0.2):
        if server.poll() is not None:
            raise UserError(f"MLflow's server ended with code {server.returncode}; {SERVER_LOG} says why")
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5):
            return
        if time.monotonic() - start > 300:
            raise UserError(f"MLflow's server doesn't answer after 300 s; {SERVER_LOG} says why")


def _end(server: subprocess.Popen[bytes]) -> None:
    """With all of its workers, which share its process group."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
