"""The stage table against DVC's own reading of dvc.yaml, and what the Snakefile takes from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from dvc.stage import PipelineStage

from cgm.core.errors import UserError
from cgm.experiment.reading import load_params
from cgm.methods import METHODS
from cgm.methods.method import Method
from pipeline import stage_table
from pipeline.stage_table import Stage, Table, load_table

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))


def project(folder: Path, experiment: str = "smoke") -> Path:
    """dvc.yaml and an experiment's params.yaml in an empty DVC repository."""
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copy(ROOT / "experiments" / f"{experiment}.yaml", folder / "params.yaml")
    return folder


def edit(folder: Path, **changes: object) -> None:
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump(raw | changes, sort_keys=False))


def stage(table: Table, name: str) -> Stage:
    return table.stages[name]


@pytest.fixture
def smoke(tmp_path: Path) -> Table:
    return load_table(project(tmp_path))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_table_is_the_one_that_dvc_reads(tmp_path: Path, experiment: str) -> None:
    table = load_table(project(tmp_path, experiment))
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        theirs = {stage.name: stage for stage in repo.index.stages}
    assert set(theirs) == set(table.stages)
    for name, one in theirs.items():
        assert isinstance(one, PipelineStage)
        ours = table.stages[name]
        assert ours.command == one.cmd
        assert set(ours.outs) == {out.def_path for out in one.outs}
        assert set(ours.deps) == {dep.def_path for dep in one.deps if not hasattr(dep, "params")}
        keys = [key for dep in one.deps if hasattr(dep, "params") for key in dep.params]
        assert set(ours.params) == set(keys)


def test_every_run_has_its_stages_once(smoke: Table) -> None:
    for kind in ("train", "translate", "evaluate"):
        items = [tuple(one.item.values()) for one in smoke.stages.values() if one.kind == kind]
        assert sorted(items) == sorted((run.dataset, run.method, str(run.seed)) for run in smoke.params.runs())
    assert len(smoke.outputs()) == len(set(smoke.outputs()))


def test_experiments_are_valid_and_named_after_their_files() -> None:
    for name in EXPERIMENTS:
        assert load_params(ROOT / "experiments" / f"{name}.yaml").experiment == name
    smoke, losses, default = (implementations(name) for name in ("smoke", "losses", "default"))
    assert default <= smoke
    assert smoke | losses == {name for name, method in METHODS.items() if issubclass(method, Method)}


def implementations(experiment: str) -> set[str]:
    params = load_params(ROOT / f"experiments/{experiment}.yaml")
    return {method.implementation for method in [*params.methods.values(), *params.unpaired.methods.values()]}


def test_the_default_experiment_is_the_one_that_ships() -> None:
    """As committed: whoever edits params.yaml has changed nothing that ships."""
    shipped = subprocess.run(["git", "show", "HEAD:params.yaml"], cwd=ROOT, capture_output=True, check=False)
    if shipped.returncode != 0:
        pytest.skip("not a git repository")
    default = subprocess.run(["git", "show", "HEAD:experiments/default.yaml"], cwd=ROOT, capture_output=True, check=True)
    assert shipped.stdout == default.stdout


def test_what_dvc_yaml_says_of_a_stage_s_work(smoke: Table) -> None:
    def kinds(mark: str) -> set[str]:
        return {one.kind for one in smoke.stages.values() if getattr(one.work, mark)}

    assert kinds("computes") == {"reference", "train", "translate", "round_trip", "evaluate"}
    assert kinds("gpu") == {"train", "translate", "round_trip"}
    assert kinds("all_cores") == {"prepare"}
    assert kinds("local") == {"fetch", "weights", "filters", "track", "report"}
    assert {one.kind for one in smoke.stages.values()} - {one.kind for one in smoke.jobs()} == {"fingerprint"}


def test_parameters_reach_only_the_stages_that_read_them(smoke: Table) -> None:
    def with_key(key: str) -> set[str]:
        return {one.kind for one in smoke.jobs() if key in one.params}

    assert with_key("training") == {"train"}
    assert with_key("evaluation") == {"reference", "evaluate"}
    assert with_key("evaluation.judges") == {"weights"}
    assert with_key("evaluation.samples") == {"translate"}
    trains = [one for one in smoke.stages.values() if "methods.pix2pix" in one.params]
    assert {one.name for one in trains} == {"train@openmoji-pix2pix-0", "train@openmoji-pix2pix-1"}
    assert stage(smoke, "train-unpaired@fluent-unpaired-cyclegan-0").params["unpaired.methods.cyclegan"]["cycle_weight"] == 10.0


def test_the_folder_of_weights_runs_nothing_again(tmp_path: Path) -> None:
    """What lies in it is known by its hash."""
    before = load_table(project(tmp_path))
    edit(tmp_path, weights="/somewhere")
    after = load_table(tmp_path)
    assert after.params.weights == "/somewhere"
    assert after.stages == before.stages


def test_inputs_and_order(smoke: Table) -> None:
    names = [one.name for one in smoke.in_order()]
    assert set(names) == set(smoke.stages)
    place = {name: index for index, name in enumerate(names)}
    for one in smoke.stages.values():
        assert all(place[earlier.name] < place[one.name] for earlier in smoke.before(one))
    evaluate = stage(smoke, "evaluate@openmoji-mae-0")
    assert {one.name for one in smoke.before(evaluate)} == {
        "fingerprint", "weights", "prepare@openmoji", "reference@openmoji", "train@openmoji-mae-0", "translate@openmoji-mae-0",
    }  # fmt: skip
    made = {one.name for one in smoke.before(stage(smoke, "report"))}
    assert {one.name for one in smoke.stages.values() if one.kind in ("train", "translate", "evaluate", "reference", "prepare")} < made


def test_templates_name_each_stage_and_its_outputs(smoke: Table) -> None:
    for template in smoke.templates:
        for one in smoke.stages.values():
            if one.template == template.name:
                assert template.stage_name(one.item) == one.name
                assert tuple(out.format(**one.item) for out in template.outs) == one.outs


def test_an_empty_group_makes_no_stages(tmp_path: Path) -> None:
    edit(project(tmp_path), unpaired={"datasets": {}, "methods": {}})
    table = load_table(tmp_path)
    assert not [name for name in table.stages if "unpaired" in name]
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        assert {one.name for one in repo.index.stages} == set(table.stages)


def test_a_key_that_the_table_needs_is_named(tmp_path: Path) -> None:
    raw = yaml.safe_load(project(tmp_path).joinpath("params.yaml").read_text())
    del raw["training"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(UserError, match=r"^params\.yaml: training: missing"):
        load_table(tmp_path)


@pytest.mark.parametrize(("physical", "threads", "expected"), [(2, 1, 2), (2, 2, 1), (1, 4, 1), (8, 3, 2)])
def test_jobs_at_once_never_exceed_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, physical: int, threads: int, expected: int
) -> None:
    raw = yaml.safe_load(project(tmp_path).joinpath("params.yaml").read_text())
    edit(tmp_path, compute=raw["compute"] | {"threads": threads})
    monkeypatch.setattr(stage_table, "cores", lambda: physical)
    table = load_table(tmp_path)
    assert table.compute_slots() == expected
    assert table.slots(stage(table, "train@openmoji-mae-0")) == 1
    assert table.slots(stage(table, "prepare@openmoji")) == expected
    assert table.threads(stage(table, "train@openmoji-mae-0")) == threads
    assert f"OMP_NUM_THREADS={threads} " in stage(table, "train@openmoji-mae-0").command


def test_this_machine_has_cores() -> None:
    assert 1 <= stage_table.cores() <= (os.cpu_count() or 1)


def test_long_trainings_start_first(smoke: Table) -> None:
    def priority(name: str) -> int:
        return smoke.priority(stage(smoke, name))

    slowest_first = ("cyclegan", "pix2pix", "perceptual", "mae", "gan")
    trainings = [priority(f"train@openmoji-{method}-0") for method in slowest_first]
    assert trainings == sorted(set(trainings), reverse=True)
    assert priority("prepare@openmoji") > trainings[0]
    assert trainings[-1] > priority("evaluate@openmoji-mae-0")


def test_an_entry_s_own_budget_counts(tmp_path: Path) -> None:
    table = load_table(project(tmp_path, "budget"))
    trainings = [table.priority(stage(table, f"train@openmoji-{name}-0")) for name in ("gan_quarter", "gan", "gan_x4")]
    assert trainings == sorted(set(trainings))


def test_no_training_starts_before_the_data(tmp_path: Path) -> None:
    table = load_table(project(tmp_path, "full"))
    trainings = [table.priority(one) for one in table.stages.values() if one.kind == "train"]
    assert max(trainings) < stage_table.FIRST


def test_gpu_is_claimed_only_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = yaml.safe_load(project(tmp_path).joinpath("params.yaml").read_text())
    monkeypatch.setattr(stage_table, "cuda_present", lambda: True)
    assert load_table(tmp_path).gpus(stage(load_table(tmp_path), "train@openmoji-mae-0")) == 0
    edit(tmp_path, compute=raw["compute"] | {"device": "auto"})
    table = load_table(tmp_path)
    assert table.gpus(stage(table, "train@openmoji-mae-0")) == 1
    assert table.gpus(stage(table, "translate@openmoji-mae-0")) == 1
    assert table.gpus(stage(table, "prepare@openmoji")) == 0
    assert table.gpus(stage(table, "evaluate@openmoji-mae-0")) == 0


@pytest.mark.parametrize(("device", "there", "expected"), [("cpu", True, 0), ("auto", False, 0), ("auto", True, 1)])
def test_what_measures_claims_a_gpu_only_where_the_evaluation_asks_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, there: bool, expected: int
) -> None:
    monkeypatch.setattr(stage_table, "cuda_present", lambda: there)
    raw = yaml.safe_load(project(tmp_path).joinpath("params.yaml").read_text())
    edit(tmp_path, evaluation=raw["evaluation"] | {"device": device}, compute=raw["compute"] | {"device": "cpu"})
    table = load_table(tmp_path)
    assert table.gpus(stage(table, "evaluate@openmoji-mae-0")) == expected
    assert table.gpus(stage(table, "reference@openmoji")) == expected
    assert table.gpus(stage(table, "train@openmoji-mae-0")) == 0


def test_no_shell_stays_between_an_engine_and_a_stage() -> None:
    assert {stage.command.split()[0] for stage in load_table(ROOT).stages.values()} == {"exec"}


def test_a_job_runs_with_this_interpreter_and_may_be_a_fork() -> None:
    command = stage_table.as_job("env OMP_NUM_THREADS=1 python -m pipeline.train dataset=python")
    assert command == f"env OMP_NUM_THREADS=1 {sys.executable} -m pipeline.forks pipeline.train dataset=python"
