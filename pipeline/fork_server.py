"""The process that jobs are forks of: see :mod:`pipeline.forks`.

``python -m pipeline.fork_server NAME``, started by a job that found none.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import TextIO

from pipeline import forks

IDLE_SECONDS = 20.0
"""How long it waits for the next job: engines look at what is ready every two seconds."""
PACKAGES = (
    "torch",
    "numpy",
    "pandas",
    "PIL.Image",
    "pydantic.json_schema",
    "ruamel.yaml",
    "safetensors.torch",
    "scipy.linalg",
    "scipy.stats",
)
"""What most stages import. A thread that a package starts would be missing in a fork, but for those of OpenBLAS and of jemalloc, which
pyarrow brings: they start anew there."""
PR_SET_PDEATHSIG = 1


@dataclass
class Job:
    module: str
    arguments: list[str]
    folder: str
    path: list[str]
    environment: dict[str, str]


@dataclass
class Server:
    listener: socket.socket
    forks: dict[int, socket.socket] = field(default_factory=dict)
    """The jobs that wait for an answer, by their forks' process ids."""

    def serve(self) -> Job | None:
        """Until nobody has come for a while: None. In a fork: its job."""
        watched = selectors.DefaultSelector()
        watched.register(self.listener, selectors.EVENT_READ)
        while True:
            events = watched.select(IDLE_SECONDS)
            if not events and not self.forks:
                return None
            for key, _ in events:
                if key.fileobj is self.listener:
                    if (job := self._begin(watched)) is not None:
                        return job
                elif isinstance(key.fileobj, socket.socket):
                    self._heard(watched, key.fileobj, key.data)
                else:
                    self._ended(watched, key.fd, key.data)

    def _begin(self, watched: selectors.BaseSelector) -> Job | None:
        client, _ = self.listener.accept()
        server, files = os.getpid(), list[int]()
        try:
            if forks.peer(client) != os.getuid():
                raise PermissionError
            client.settimeout(5)
            header, files, _, _ = socket.recv_fds(client, forks.LENGTH, 3)
            job = Job(**json.loads(received(client, int.from_bytes(header, "big"))))
            client.settimeout(None)
            pid = os.fork()
        except (OSError, ValueError):  # it went away meanwhile, or there is no room: nothing was begun
            client.close()
            for file in files:
                os.close(file)
            return None
        if pid == 0:
            watched.close()
            for other in (self.listener, client, *self.forks.values()):
                other.close()
            become(job, files, server)
            return job
        for file in files:
            os.close(file)
        with contextlib.suppress(OSError):  # as the fork does, whichever comes first
            os.setpgid(pid, pid)
        self.forks[pid] = client
        watched.register(client, selectors.EVENT_READ, pid)
        watched.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
        return None

    def _heard(self, watched: selectors.BaseSelector, client: socket.socket, pid: int) -> None:
        """A signal to pass on, or the end of a job that was killed."""
        if pid not in self.forks:  # its fork has ended meanwhile
            return
        try:
            signals = client.recv(64)
        except OSError:
            signals = b""
        for number in signals:
            os.kill(pid, number)
        if not signals:
            watched.unregister(client)
            os.killpg(pid, signal.SIGKILL)

    def _ended(self, watched: selectors.BaseSelector, descriptor: int, pid: int) -> None:
        watched.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        client = self.forks.pop(pid)
        if client in {key.fileobj for key in watched.get_map().values()}:
            watched.unregister(client)
        with contextlib.suppress(OSError):
            client.sendall(os.waitstatus_to_exitcode(status).to_bytes(forks.STATUS, "big", signed=True))
        client.close()


def received(client: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        if not (part := client.recv(length - len(found))):
            raise ConnectionError
        found += part
    return found


def become(job: Job, files: list[int], server: int) -> None:
    """In a fork: give it what a process that had just been started would have."""
    os.setpgid(0, 0)  # with what it starts it is a group, which the server ends as a whole
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:  # killed before that
        os._exit(1)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(job.folder)
    os.environ.clear()
    os.environ.update(job.environment | ({"CGM_ENGINE": str(server)} if "CGM_ENGINE" in job.environment else {}))
    for name in [name for name in sys.modules if name.partition(".")[0] == "pipeline"]:
        del sys.modules[name]  # that of the job's own folder comes
    sys.path[:] = job.path
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    sys.argv[1:] = job.arguments
    sys.orig_argv[1:] = ["-m", job.module, *job.arguments]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        opened = _stream(number, getattr(sys, name))
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)


def _stream(number: int, before: TextIO) -> TextIO:
    """Made anew: those that were opened on ``/dev/null`` take any file for one that can seek."""
    lines = number == 2 or os.isatty(number)
    opened = open(  # noqa: SIM115
        number, "w" if number else "r", 1 if lines and number else -1, before.encoding, before.errors, closefd=False
    )
    opened.reconfigure(write_through=os.environ.get("PYTHONUNBUFFERED", "") != "")
    return opened


def main(name: str) -> None:
    os.chdir("/")  # which holds no folder of anybody's
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(forks.address(name))
    except OSError:  # another is there already
        return
    for package in PACKAGES:
        importlib.import_module(package)
    gc.collect()
    gc.freeze()  # what is shared isn't touched, so that it stays shared
    listener.listen(128)
    job = Server(listener).serve()
    if job is not None:
        runpy.run_module(job.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
