"""One run trained by two processes that torchrun starts (gloo, on the CPU): the loss curve of one process, and resumed as one is."""

from __future__ import annotations

import csv
import shutil
import signal
import socket
from pathlib import Path

import pytest
from project import Project

from cgm.core.files import read_json

RUN = ("dataset=openmoji", "method=pix2pix", "seed=0")
RESULTS = "results/openmoji/pix2pix/0"


def one_run(raw: dict) -> None:
    """Without dropout, whose masks each process draws for itself, and long enough for a checkpoint."""
    raw["seeds"] = [0]
    raw["methods"] = {"pix2pix": {"l1_weight": 100.0}}
    raw["unpaired"] = {"datasets": {}, "methods": {}}
    raw["networks"]["unet"]["dropout"] = 0.0
    raw["datasets"]["openmoji"]["kimg"] = 1.6
    raw["training"] |= {"checkpoint_seconds": 0.2, "log_points": 20}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("project"), one_run)
    for stage in ("fetch", "prepare"):
        assert made.run("python", "-m", f"pipeline.{stage}", RUN[0]).code == 0
    return made


def torchrun(processes: int) -> tuple[str, ...]:
    """At a port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ("--nproc-per-node", str(processes), "--master-addr", "127.0.0.1", "--master-port", str(port))
    return ("python", "-m", "torch.distributed.run", *launch, "-m", "pipeline.train", *RUN)


def history(text: bytes) -> list[dict[str, float]]:
    rows = csv.DictReader(text.decode().splitlines())
    return [{name: float(value) for name, value in row.items() if value} for row in rows]


def files(project: Project) -> dict[str, bytes]:
    return {name: (project.folder / RESULTS / name).read_bytes() for name in ("model.safetensors", "history.csv")}


@pytest.fixture(scope="module")
def whole(project: Project) -> dict[str, bytes]:
    """What two processes make that nobody disturbs."""
    outcome = project.run(*torchrun(2))
    assert outcome.code == 0, outcome.output[-4000:]
    assert read_json(project.folder / RESULTS / "run.json")["processes"] == 2
    return files(project)


def test_the_same_curve_as_one_process(project: Project, whole: dict[str, bytes]) -> None:
    assert project.run("python", "-m", "pipeline.train", *RUN).code == 0
    alone, together = history(project.folder.joinpath(RESULTS, "history.csv").read_bytes()), history(whole["history.csv"])
    assert [row["step"] for row in together] == [row["step"] for row in alone]
    for one, two in zip(alone, together, strict=True):
        assert set(one) == set(two)
        for name in ("G/l1", "G/adversarial", "D/real", "D/fake", "gradient/G", "accuracy/D", "val/mae"):
            if name in one:
                # Sums over halves round differently, and a GAN carries that on.
                assert two[name] == pytest.approx(one[name], rel=0.03 if one["step"] > 50 else 2e-3, abs=5e-3), (name, one["step"])


@pytest.mark.slow
def test_killed_and_resumed_they_end_the_same(project: Project, whole: dict[str, bytes]) -> None:
    shutil.rmtree(project.folder / "results")
    process = project.start(*torchrun(2))
    checkpoint: Path = project.folder / "build/checkpoints/openmoji/pix2pix/0/state.pt"
    project.wait_for(checkpoint.exists, "a checkpoint")
    project.kill(process, signal.SIGINT)
    project.wait_for(lambda: not project.stages_at_work(), "the end of the processes", 60)
    assert not (project.folder / RESULTS / "model.safetensors").exists()

    assert project.run(*torchrun(2)).code == 0
    assert read_json(project.folder / RESULTS / "run.json")["resumed"] == 1
    assert files(project) == whole


def test_a_batch_that_cannot_be_shared_is_refused(project: Project) -> None:
    outcome = project.run(*torchrun(3))
    assert outcome.code != 0
    assert "error: params.yaml: training.batch_size: found 8, expected a multiple of torchrun's 3 processes" in outcome.output
