"""A real Slurm on this host for as long as a test needs it: munged, slurmctld and slurmd in a folder of their own.

Nothing of the machine's own Slurm is read or touched: configuration, state, key, sockets and ports are this cluster's alone. Its one node
claims more than the host has, so that requests of a real size are granted, and a GPU that is ``/dev/null``.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian puts the daemons, which an ordinary user's PATH leaves out."""
CPUS, MEMORY_MB, GPUS = 8, 65536, 1
PATIENCE_S = 60.0

CONFIGURATION = """\
ClusterName=onehost
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=3600
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if _program(name) is None]


@dataclass(frozen=True)
class Cluster:
    environment: Mapping[str, str]
    """What a process needs to talk to this cluster."""

    def jobs(self) -> list[dict[str, str]]:
        """Every job that the controller has seen, with the fields of ``scontrol show job``."""
        listed = self._call("scontrol", "--oneliner", "show", "jobs")
        return [dict(field.partition("=")[::2] for field in line.split()) for line in listed.splitlines() if line.startswith("JobId=")]

    def node_state(self) -> str:
        return self._call("sinfo", "--noheader", "--format=%T").strip()

    def cancel_all(self) -> None:
        self._call("scancel", "--user", getpass.getuser(), "--signal=KILL", "--full")
        self._call("scancel", "--user", getpass.getuser())

    def _call(self, *command: str) -> str:
        return subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        ).stdout


@contextmanager
def one_host_slurm(folder: Path) -> Iterator[Cluster]:
    """Bring the three daemons up below ``folder``; whatever happens inside, they are gone afterwards."""
    folder = folder.resolve()
    for name in ("state", "spool", "log", "bin"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(1024))
    controller_port, node_port = _free_ports(2)
    host = socket.gethostname().partition(".")[0]
    settings = {"host": host, "user": getpass.getuser(), "folder": folder, "controller_port": controller_port, "node_port": node_port}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**settings, cpus=CPUS, memory=MEMORY_MB, gpus=GPUS))
    (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File=/dev/null Count={GPUS}\n")
    # Nothing is confined; without a version slurmd looks for the cgroup file system and may give up.
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}{os.pathsep}{SBIN}"}
    # snakemake-executor-plugin-slurm-jobstep takes SLURM_CONF out of srun's environment; a real cluster's srun looks in /etc/slurm.
    srun = folder / "bin/srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={shlex.quote(environment["SLURM_CONF"])} exec {_program("srun")} "$@"\n')
    srun.chmod(0o755)
    cluster = Cluster(environment)

    own = [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")] + [f"--socket={folder}/munge.socket"]
    with ExitStack() as stack:
        for name, arguments in (
            ("munged", ["--foreground", "--force", f"--key-file={key}", *own]),  # force: the folder need not be open to others
            ("slurmctld", ["-D", "-c", "-f", environment["SLURM_CONF"]]),
            ("slurmd", ["-D", "-c", "-N", host, "-f", environment["SLURM_CONF"]]),
        ):
            stack.enter_context(_daemon(name, arguments, folder / "log", environment))
            if name == "munged":
                _wait(lambda: (folder / "munge.socket").exists(), folder / "log", "munged made no socket")
        stack.callback(_kill_steps, folder)
        stack.callback(cluster.cancel_all)
        _wait(lambda: cluster.node_state() == "idle", folder / "log", "the node did not become idle")
        yield cluster


@contextmanager
def _daemon(name: str, arguments: list[str], logs: Path, environment: Mapping[str, str]) -> Iterator[None]:
    program = _program(name)
    assert program is not None
    with (logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *arguments], stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **environment}, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _kill_steps(folder: Path) -> None:
    """A job's step daemon outlives slurmd: end those that still run below ``folder``."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            belongs = f"SLURM_CONF={folder}/" in (entry / "environ").read_text(errors="replace")
            step = (entry / "comm").read_text().strip() == "slurmstepd"
        except OSError:  # it ended, or is another user's
            continue
        if belongs and step:
            os.kill(int(entry.name), signal.SIGKILL)


def _wait(ready: object, logs: Path, otherwise: str) -> None:
    assert callable(ready)
    end = time.monotonic() + PATIENCE_S
    while not ready():
        if time.monotonic() > end:
            said = "\n".join(f"{path.name}: {path.read_text(errors='replace')[-2000:]}" for path in sorted(logs.glob("*.log")))
            raise TimeoutError(f"{otherwise} within {PATIENCE_S:.0f} s\n{said}")
        time.sleep(0.2)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}{SBIN}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
