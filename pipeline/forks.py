"""Jobs of Snakemake without their imports: a process that has imported the packages forks, and the fork is the job.

``python -m pipeline.forks pipeline.train dataset=…`` does what ``python -m pipeline.train dataset=…`` does. Half of what a small stage
takes is ``import torch``. So the first job leaves a *fork server* behind (:mod:`pipeline.fork_server`) and runs as ever. A later one asks
it for a fork, hands over its arguments, environment, folder and open files, and waits for the end. The fork imports cgm and the stage
itself, from the files as they are then: only packages are shared. Where no server answers, a job runs as it would have without one, so that
nothing hangs on it.

A server serves jobs that started in the same circumstances as itself (:func:`circumstances`), and ends when none has come for a while.
A job's end is its fork's: its exit code, or the signal that ended it. Signals are passed on, a job that is killed takes its fork along, and
so does a server. ``CGM_FORK=0`` turns it off. It needs Linux: sockets without a file, which need no cleaning up, and process descriptors.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from pipeline import PARENT

SWITCH = "CGM_FORK"
"""Environment variable: ``0`` for jobs without a server."""
OF_THE_JOB = {"_", "SHLVL", "PWD", "OLDPWD", "PYTHONPATH", "CGM_ENGINE", "PYTEST_CURRENT_TEST"}
"""Environment variables that no package reads when it is imported. Of ``PYTHONPATH`` counts what it leads to."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LENGTH, STATUS = 8, 4
"""Bytes: of a request's length, which comes first, and of the answer, an exit code or less than 0 for a signal."""
SECONDS_BETWEEN_LOOKS = 1.0
SERVER = "pipeline/fork_server.py"


def circumstances() -> str:
    """A name for what a process inherits and can't change later, or what the packages saw when they were imported."""
    packages = [Path(entry) for entry in sys.path if not Path(entry, SERVER).exists()]
    own = Path(__file__).parents[1]
    told = [
        *(sys.executable, sys.version, os.getuid()),
        sorted((key, value) for key, value in os.environ.items() if key not in OF_THE_JOB),
        [(str(path), path.stat().st_mtime_ns) for path in packages if path.exists()],  # a package that comes or goes is seen
        [(own / name).read_bytes() for name in (SERVER, "pipeline/forks.py")],
        next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Umask:")),
        sorted(os.sched_getaffinity(0)),
        os.getpriority(os.PRIO_PROCESS, 0),
        [resource.getrlimit(getattr(resource, name)) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")],
        [signal.getsignal(number) is signal.SIG_IGN for number in PASSED_ON],
        *([Path(f"/proc/self/ns/{name}").readlink() for name in ("mnt", "pid", "user", "net")], Path("/proc/self/cgroup").read_text()),
    ]
    return hashlib.sha256(repr(told).encode(errors="surrogateescape")).hexdigest()


def address(name: str) -> str:
    return f"\0cgm-{name}"


def hand_over(module: str, arguments: list[str], engine: int) -> None:
    """Run ``python -m module arguments`` as a fork and end as it ends; return where there is no server, and leave one behind.

    ``engine``: the process that started this one. Where it ends the fork is told to stop.
    """
    name = circumstances()
    try:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.connect(address(name))
    except ConnectionRefusedError:  # none, or one that imports just now: a second one sees its name taken and ends
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.fork_server", name], cwd=Path(__file__).parents[1],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        return
    except OSError:
        return
    if peer(server) != os.getuid():
        return
    job = {"module": module, "arguments": arguments, "folder": str(Path.cwd()), "path": sys.path, "environment": dict(os.environ)}
    request = json.dumps(job).encode()
    try:
        socket.send_fds(server, [len(request).to_bytes(LENGTH, "big")], [0, 1, 2])
        server.sendall(request)
    except OSError:  # it has just ended; a fork that never got all of its request doesn't start
        return
    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: _pass_on(server, number))
    _end_as(_wait(server, engine))


def peer(connection: socket.socket) -> int:
    """The user at the other end. Any user may connect to such a socket, or take its name."""
    return int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder)


def _pass_on(server: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # it has ended, as will be seen
        server.send(bytes([number]))


def _wait(server: socket.socket, engine: int) -> int:
    told = False
    while True:
        ready, _, _ = select.select([server], [], [], SECONDS_BETWEEN_LOOKS)
        if ready:
            answer = server.recv(STATUS, socket.MSG_WAITALL)
            if len(answer) < STATUS:
                print("error: the fork server of this job was killed, and its fork with it; run the same command again", file=sys.stderr)
                return -signal.SIGKILL
            return int.from_bytes(answer, "big", signed=True)
        if not told and os.getppid() != engine:
            _pass_on(server, signal.SIGTERM)
            told = True


def _end_as(status: int) -> NoReturn:
    sys.stderr.flush()
    if status < 0:
        if status != -signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status if status >= 0 else 128 - status)


def main(module: str, *arguments: str) -> None:
    if sys.platform == "linux" and os.environ.get(SWITCH) != "0":
        hand_over(module, list(arguments), PARENT)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
