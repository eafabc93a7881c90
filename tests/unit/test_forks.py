"""Jobs that are forks of a process with the packages imported: they do, say and end as they would without it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROBE = """
import os, signal, subprocess, sys, time
from pathlib import Path

import pipeline
from pipeline import forks

what, *rest = sys.argv[1:]
for stream in (sys.stdin, sys.stdout, sys.stderr):
    stream.reconfigure(errors="replace")
print("told", Path.cwd().name, os.environ.get("OF_THIS_JOB"), sys.stdin.read() if what == "read" else "", *rest)
print("an error", file=sys.stderr)
if what == "server":
    print(os.getppid())
own = Path(pipeline.__file__).parent == Path(__file__).parent
print("torch" in sys.modules, pipeline.PARENT == os.getppid(), own, os.umask(0), flush=True)
if what == "raise":
    raise SystemExit(3)
if what == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "wait":
    child = subprocess.Popen(["sleep", "60"])
    try:
        Path("pid.tmp").write_text(f"{os.getpid()} {child.pid}")
        Path("pid.tmp").rename("pid")
        time.sleep(60)
    except KeyboardInterrupt:
        child.kill()
        print("interrupted")
        sys.exit(130)
"""
FORKED = "True True True 18\n"
ITSELF = "False True True 18\n"


@pytest.fixture(scope="module", autouse=True)
def interruptible() -> Iterator[None]:
    """Also where these tests run in the background of a shell, which lets what it starts ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project's own files, with a stage that shows how it was started."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "pipeline").mkdir()
    for name in ("__init__.py", "forks.py", "fork_server.py"):
        shutil.copy(ROOT / "pipeline" / name, folder / "pipeline")
    (folder / "pipeline/probe.py").write_text(PROBE)
    yield folder
    for pid in servers():
        os.kill(pid, signal.SIGTERM)


def servers() -> list[int]:
    """Those that tests of this process have begun."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command, variables = (place / "cmdline").read_bytes(), (place / "environ").read_bytes()
        except OSError:
            continue
        if b"pipeline.fork_server" in command and f"THESE_TESTS={os.getpid()}".encode() in variables.split(b"\0"):
            found.append(int(place.name))
    return found


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "CGM_FORK")}
    return kept | {"THESE_TESTS": str(os.getpid()), "CGM_ENGINE": str(os.getpid()), "OMP_NUM_THREADS": "1", **more}


def start(checkout: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    options.setdefault("env", environment())
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.forks", "pipeline.probe", *arguments],
        cwd=checkout, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, umask=0o022, **options,
    )  # fmt: skip


def run(checkout: Path, *arguments: str, said: str = "", **options: Any) -> tuple[int, str, str]:
    process = start(checkout, *arguments, **options)
    out, err = process.communicate(said, timeout=60)
    return process.returncode, out, err


def until(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it didn't happen")


@pytest.fixture
def server(checkout: Path) -> int:
    """One that answers."""
    return int(until(lambda: (out := run(checkout, "server")[1]).endswith(FORKED) and out.split()[-5]))


def waiting(checkout: Path) -> tuple[subprocess.Popen[str], int, int]:
    """A job that goes on, with its fork and a process that this has started."""
    (checkout / "pid").unlink(missing_ok=True)
    process = start(checkout, "wait")
    until((checkout / "pid").exists)
    fork, child = map(int, (checkout / "pid").read_text().split())
    return process, fork, child


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_first_job_runs_by_itself_and_leaves_one_server_behind(checkout: Path) -> None:
    before = servers()
    jobs = [start(checkout, "once", env=environment(ANOTHER="1")) for _ in range(3)]
    for job in jobs:
        assert job.communicate(timeout=60)[0].endswith(ITSELF)
    until(lambda: run(checkout, "once", env=environment(ANOTHER="1"))[1].endswith(FORKED))
    assert len(set(servers()) - set(before)) == 1


def test_a_fork_has_what_its_job_has(checkout: Path, server: int, tmp_path: Path) -> None:
    folder = tmp_path / "another folder"
    shutil.copytree(checkout, folder)
    before = servers()
    assert run(checkout, "read", "a=b c", "ü", said="from stdin") == (
        0, f"told {checkout.name} None from stdin a=b c ü\n" + FORKED, "an error\n",
    )  # fmt: skip
    code, out, _ = run(folder, "once")  # another checkout, with files of its own
    assert (code, out) == (0, "told another folder None \n" + FORKED)
    assert servers() == before


def test_it_ends_as_its_fork_does(checkout: Path, server: int) -> None:
    assert run(checkout, "raise")[0] == 3
    assert run(checkout, "killed")[0] == -signal.SIGKILL
    process, fork, child = waiting(checkout)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out.splitlines()[-1]) == (130, "interrupted")
    process, fork, child = waiting(checkout)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == -signal.SIGTERM
    assert gone(fork)
    os.kill(child, signal.SIGKILL)
    process.communicate()
    assert server in servers()


def test_a_killed_job_takes_its_fork_along(checkout: Path, server: int) -> None:
    process, fork, child = waiting(checkout)
    process.kill()
    until(lambda: gone(fork) and gone(child))
    process.communicate()
    assert run(checkout, "once")[1].endswith(FORKED)


def test_a_job_whose_engine_is_gone_stops(checkout: Path, server: int) -> None:
    (checkout / "pid").unlink(missing_ok=True)
    code = (
        "import os, subprocess, sys; os.environ['CGM_ENGINE'] = str(os.getpid()); "
        "subprocess.Popen([sys.executable, '-m', 'pipeline.forks', 'pipeline.probe', 'wait']).wait()"
    )
    engine = subprocess.Popen([sys.executable, "-c", code], cwd=checkout, env=environment())
    until((checkout / "pid").exists)
    fork, child = map(int, (checkout / "pid").read_text().split())
    engine.kill()
    engine.wait()
    until(lambda: gone(fork))
    os.kill(child, signal.SIGKILL)


def test_a_killed_server_takes_its_forks_along_and_the_next_job_runs(checkout: Path, server: int) -> None:
    process, fork, child = waiting(checkout)
    os.kill(server, signal.SIGKILL)
    until(lambda: gone(fork))
    os.kill(child, signal.SIGKILL)  # it holds the job's standard error
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert "the fork server of this job was killed" in err
    code, out, _ = run(checkout, "once")
    assert (code, out.splitlines()[-1] + "\n") == (0, ITSELF)


@pytest.mark.parametrize("change", [{"CGM_FORK": "0"}, {"OMP_NUM_THREADS": "2"}, {"PYTHONPATH": "/nowhere", "LANG": "C.UTF-8", "X": "y"}])
def test_other_circumstances_are_another_servers(change: dict[str, str], checkout: Path, server: int) -> None:
    assert run(checkout, "once", env=environment(**change))[1].endswith(ITSELF)


def test_packages_start_no_threads_that_a_fork_would_miss(server: int) -> None:
    """Of OpenBLAS there are none here, by OMP_NUM_THREADS; both it and pyarrow's jemalloc start theirs anew in a fork."""
    threads = [task.read_text().strip() for task in Path(f"/proc/{server}/task").glob("*/comm")]
    assert sorted(threads) in (["jemalloc_bg_thd", "python"], ["python"])


def test_it_ends_by_itself(checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "impatient"
    shutil.copytree(checkout, folder)
    text = (folder / "pipeline/fork_server.py").read_text()
    (folder / "pipeline/fork_server.py").write_text(text.replace("IDLE_SECONDS = 20.0", "IDLE_SECONDS = 0.5"))
    before = set(servers())
    assert run(folder, "once")[1].endswith(ITSELF)
    (pid,) = until(lambda: set(servers()) - before)
    until(lambda: gone(pid))
