"""The benchmark through profiles/snakemake/slurm on a real Slurm: its own controller, node and GPU request, on this host."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from one_host_slurm import Cluster, missing_programs, one_host_slurm
from project import ROOT, Outcome, Project, miniature

from cgm.experiment.reading import read_yaml
from pipeline.stage_table import load_table

PROFILE = Path("profiles/snakemake/slurm")
LOCAL = {"fetch", "track", "report"}
PLUGIN = importlib.util.find_spec("snakemake_executor_plugin_slurm") is not None

needs_slurm = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing_programs()),
        reason=f"no {', '.join(missing_programs())}: install Slurm and MUNGE (Debian, Ubuntu: apt-get install slurm-wlm munge)",
    ),
    pytest.mark.skipif(not PLUGIN, reason="no snakemake-executor-plugin-slurm: pip install --require-hashes -r requirements-slurm.lock"),
]


@dataclass
class Rehearsal:
    """One project, run twice on the cluster: first with a training that cannot end, then without that obstacle."""

    project: Project
    cluster: Cluster
    failed: Outcome
    jobs_of_failed: list[dict[str, str]]
    left: set[str]
    """The runs that had been evaluated when the first ended."""
    mended: Outcome
    jobs_of_mended: list[dict[str, str]]

    def job(self, comment: str) -> dict[str, str]:
        return next(job for job in self.jobs_of_failed + self.jobs_of_mended if job["Comment"].endswith(comment))


def test_the_profile_names_each_rule_that_it_sends_to_the_cluster() -> None:
    """A rule renamed in dvc.yaml would silently get the defaults."""
    profile = read_yaml(ROOT / PROFILE / "config.yaml", remedy="")
    rules = {template.rule for template in load_table(ROOT).templates}
    for key in ("set-resources", "set-threads", "groups"):
        assert set(profile[key]) <= rules, key
    assert {rule for rule in rules if rule.startswith("train")} <= set(profile["set-resources"])
    assert set(profile["groups"]) == {rule for rule in rules if rule.startswith(("translate", "evaluate"))}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with one_host_slurm(tmp_path_factory.mktemp("slurm") / "cluster") as running:
        yield running


def as_a_site_would(profile: Path) -> None:
    """The edits that docs/cluster.md names: partition and GPU. This cluster keeps no accounts, and the test has no time to lose."""
    settings = read_yaml(profile, remedy="")
    settings["default-resources"]["slurm_partition"] = "main"
    for rule in ("train", "train_unpaired"):
        settings["set-resources"][rule]["gpu"] = 1
    settings |= {"slurm-status-command": "squeue", "slurm-init-seconds-before-status-checks": 3, "retries": 0}
    profile.write_text(yaml.safe_dump(settings, sort_keys=False))


def through_slurm(project: Project, cluster: Cluster) -> tuple[Outcome, list[dict[str, str]]]:
    """What Snakemake printed, and the Slurm jobs that it made."""
    before = {job["JobId"] for job in cluster.jobs()}
    outcome = project.run(sys.executable, "-m", "snakemake", "--profile", str(PROFILE), "--", "all")
    return outcome, [job for job in cluster.jobs() if job["JobId"] not in before]


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Rehearsal]:
    project = Project(tmp_path_factory.mktemp("on-slurm"), miniature)
    as_a_site_would(project.folder / PROFILE / "config.yaml")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        in_the_way = project.folder / "build/checkpoints/openmoji/mae/0/state.pt"
        in_the_way.mkdir(parents=True)
        failed, jobs_of_failed = through_slurm(project, cluster)
        left = {str(path.parent.relative_to(project.folder / "results")) for path in project.folder.glob("results/*/*/*/metrics.json")}
        in_the_way.rmdir()
        mended, jobs_of_mended = through_slurm(project, cluster)
        yield Rehearsal(project, cluster, failed, jobs_of_failed, left, mended, jobs_of_mended)


class TestOnSlurm:
    pytestmark = needs_slurm

    def test_a_failing_training_takes_no_other_run_down(self, rehearsal: Rehearsal) -> None:
        assert rehearsal.failed.code != 0
        assert "build/logs/train/openmoji/mae/0.log" in rehearsal.failed.output
        assert "IsADirectoryError" in rehearsal.failed.output
        assert rehearsal.left == {"openmoji/pix2pix/0", "fluent-unpaired/unpaired_gan/0"}
        states = {job["Comment"]: job["JobState"] for job in rehearsal.jobs_of_failed}
        assert [comment for comment, state in states.items() if state != "COMPLETED"] == ["rule_train_wildcards_openmoji_mae_0"]

    def test_the_next_run_makes_what_is_left(self, rehearsal: Rehearsal) -> None:
        assert rehearsal.mended.code == 0, rehearsal.mended.output[-4000:]
        assert {job["JobState"] for job in rehearsal.jobs_of_mended} == {"COMPLETED"}
        assert len(rehearsal.jobs_of_mended) == 2  # the training; translating and scoring in one job

    def test_each_stage_ran_in_slurm_except_the_local_ones(self, rehearsal: Rehearsal) -> None:
        jobs = [job["Comment"] for job in rehearsal.jobs_of_failed + rehearsal.jobs_of_mended if job["JobState"] == "COMPLETED"]
        stages = load_table(rehearsal.project.folder).stages.values()
        single = [
            "_".join(["rule", stage.template.replace("-", "_"), "wildcards", *stage.item.values()])
            for stage in stages
            if stage.kind in ("prepare", "reference", "train", "round_trip")
        ]
        assert sorted(comment for comment in jobs if comment.startswith("rule_") and "translate" not in comment) == sorted(single)
        assert sum("evaluate" in comment and "translate" in comment for comment in jobs) == 3
        assert not [comment for comment in jobs if any(kind in comment for kind in LOCAL)]
        for stage in stages:
            assert all((rehearsal.project.folder / out).exists() for out in stage.outs), stage.name

    def test_time_memory_and_gpu_reach_slurm(self, rehearsal: Rehearsal) -> None:
        train = rehearsal.job("train_wildcards_openmoji_pix2pix_0")
        assert (train["TimeLimit"], train["MinMemoryNode"], train["Partition"]) == ("12:00:00", "16000M", "main")
        assert train["TresPerJob"] == "gres:gpu:1"
        reference = rehearsal.job("reference_wildcards_openmoji")
        assert (reference["TimeLimit"], reference["MinMemoryNode"]) == ("01:00:00", "8000M")
        assert "TresPerJob" not in reference
        assert rehearsal.job("prepare_wildcards_openmoji")["NumCPUs"] == "4"

    def test_the_numbers_are_those_of_this_machine_alone(self, rehearsal: Rehearsal, tmp_path: Path) -> None:
        local = Project(tmp_path, miniature)
        outcome = local.snakemake()
        assert outcome.code == 0, outcome.output[-4000:]
        assert rehearsal.project.results == local.results

    def test_afterwards_neither_engine_has_anything_to_do(self, rehearsal: Rehearsal) -> None:
        again, jobs = through_slurm(rehearsal.project, rehearsal.cluster)
        assert "Nothing to be done" in again.output, again.output[-4000:]
        assert jobs == []
        status = rehearsal.project.dvc("status")
        assert "up to date" in status.output, status.output
