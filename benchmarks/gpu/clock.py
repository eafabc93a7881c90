"""The time that a GPU is there for, and the processes that work in it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from benchmarks.page import ROOT

DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


class Clock:
    """Counts from its making; every line that it prints says when."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._start = time.monotonic()

    @property
    def gone(self) -> float:
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        return self.seconds - self.gone

    def say(self, *cells: str) -> None:
        print(f"[{minutes(self.gone)} of {minutes(self.seconds)}]", *filter(None, cells), sep="  ", flush=True)


def minutes(seconds: float) -> str:
    """``2:05``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _with_parent() -> Callable[[], None] | None:
    """Called in a child before it becomes its command: it is killed when its parent is. (After a fork nothing should be loaded.)"""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(DIE_WITH_PARENT, signal.SIGKILL) and None


class Children:
    """Processes in sessions of their own, all of which end with the block."""

    def __init__(self) -> None:
        self._all: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._all:
            self.stop(child)

    def start(
        self,
        command: Sequence[str],
        *,
        folder: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        log: IO[str] | int | None = None,
        talk: bool = False,
    ) -> subprocess.Popen[str]:
        """``log``: where its output goes; ``talk``: through pipes, its errors to ``log``."""
        pipe = subprocess.PIPE if talk else None
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | dict(environment or {}),
            stdin=pipe or subprocess.DEVNULL,
            stdout=pipe or log,
            stderr=log if talk else subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_with_parent(),
        )
        self._all.append(child)
        return child

    @staticmethod
    def stop(child: subprocess.Popen[str]) -> None:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
