"""The stage table against DVC's own reading of dvc.yaml, and what the Snakefile takes from it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from dvc.stage import PipelineStage

from cgm.config import METHODS
from cgm.errors import UserError
from cgm.params import load_params, parse_params
from pipeline import fingerprint, stages
from pipeline.fingerprint import Code, read_module
from pipeline.stages import Stage, Table, load_table

ROOT = Path(__file__).parents[2]
PROFILES = ("smoke", "default", "full")


def project(folder: Path, profile: str = "smoke") -> Path:
    """dvc.yaml and a profile's params.yaml in an empty DVC repository."""
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copy(ROOT / "profiles" / f"{profile}.yaml", folder / "params.yaml")
    return folder


def edit(folder: Path, **changes: object) -> None:
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump(raw | changes, sort_keys=False))


def stage(table: Table, name: str) -> Stage:
    return table.stages[name]


@pytest.fixture
def smoke(tmp_path: Path) -> Table:
    return load_table(project(tmp_path))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_table_is_the_one_that_dvc_reads(tmp_path: Path, profile: str) -> None:
    table = load_table(project(tmp_path, profile))
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


def test_profiles_are_valid_and_named_after_their_files() -> None:
    for name in PROFILES:
        assert load_params(ROOT / "profiles" / f"{name}.yaml").profile == name
    smoke = load_params(ROOT / "profiles/smoke.yaml")
    assert {method.implementation for method in [*smoke.methods.values(), *smoke.unpaired.methods.values()]} == set(METHODS)


def test_default_profile_is_the_experiment_that_ships() -> None:
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "profiles/default.yaml").read_bytes()


def test_parameters_reach_only_the_stages_that_read_them(smoke: Table) -> None:
    def with_key(key: str) -> set[str]:
        return {one.kind for one in smoke.stages.values() if key in one.params}

    assert with_key("training") == {"train"}
    assert with_key("evaluation") == {"reference", "evaluate"}
    assert with_key("evaluation.judge") == set()
    assert with_key("evaluation.samples") == {"translate"}
    trains = [one for one in smoke.stages.values() if "methods.pix2pix" in one.params]
    assert {one.name for one in trains} == {"train@openmoji-pix2pix-0", "train@openmoji-pix2pix-1"}
    assert stage(smoke, "train-unpaired@fluent-unpaired-cyclegan-0").params["unpaired.methods.cyclegan"]["cycle_weight"] == 10.0


def test_the_folder_of_weights_runs_nothing_again(tmp_path: Path) -> None:
    """What lies in it is known by its hash."""
    before = load_table(project(tmp_path))
    inputs = fingerprint.contents(before.params, ROOT)
    edit(tmp_path, weights="/somewhere")
    after = load_table(tmp_path)
    assert after.params.weights == "/somewhere"
    assert after.stages == before.stages
    assert fingerprint.contents(after.params, ROOT) == inputs


def test_inputs_and_order(smoke: Table) -> None:
    names = [one.name for one in smoke.in_order()]
    assert set(names) == set(smoke.stages)
    place = {name: index for index, name in enumerate(names)}
    for one in smoke.stages.values():
        assert all(place[earlier.name] < place[one.name] for earlier in smoke.before(one))
    evaluate = stage(smoke, "evaluate@openmoji-mae-0")
    assert {one.name for one in smoke.before(evaluate)} == {
        "fingerprint", "prepare@openmoji", "reference@openmoji", "train@openmoji-mae-0", "translate@openmoji-mae-0",
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
    monkeypatch.setattr(stages, "cores", lambda: physical)
    table = load_table(tmp_path)
    assert table.compute_slots() == expected
    assert table.slots(stage(table, "train@openmoji-mae-0")) == 1
    assert table.slots(stage(table, "prepare@openmoji")) == expected
    assert table.threads(stage(table, "train@openmoji-mae-0")) == threads
    assert f"OMP_NUM_THREADS={threads} " in stage(table, "train@openmoji-mae-0").command


def test_this_machine_has_cores() -> None:
    assert 1 <= stages.cores() <= (stages.os.cpu_count() or 1)


def test_long_trainings_start_first(smoke: Table) -> None:
    def priority(name: str) -> int:
        return smoke.priority(stage(smoke, name))

    slowest_first = ("cyclegan", "pix2pix", "perceptual", "mae", "gan")
    trainings = [priority(f"train@openmoji-{method}-0") for method in slowest_first]
    assert trainings == sorted(set(trainings), reverse=True)
    assert priority("prepare@openmoji") > trainings[0]
    assert trainings[-1] > priority("evaluate@openmoji-mae-0")


def test_no_training_starts_before_the_data(tmp_path: Path) -> None:
    table = load_table(project(tmp_path, "full"))
    trainings = [table.priority(one) for one in table.stages.values() if one.kind == "train"]
    assert max(trainings) < stages.FIRST


def test_gpu_is_claimed_only_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = yaml.safe_load(project(tmp_path).joinpath("params.yaml").read_text())
    monkeypatch.setattr(stages, "cuda_present", lambda: True)
    assert load_table(tmp_path).gpus(stage(load_table(tmp_path), "train@openmoji-mae-0")) == 0
    edit(tmp_path, compute=raw["compute"] | {"device": "auto"})
    table = load_table(tmp_path)
    assert table.gpus(stage(table, "train@openmoji-mae-0")) == 1
    assert table.gpus(stage(table, "prepare@openmoji")) == 0


def test_no_shell_stays_between_an_engine_and_a_stage() -> None:
    assert {stage.command.split()[0] for stage in load_table(ROOT).stages.values()} == {"exec"}


def test_python_is_this_interpreter() -> None:
    command = stages.with_python("env OMP_NUM_THREADS=1 python -m pipeline.train dataset=python")
    assert command == f"env OMP_NUM_THREADS=1 {stages.sys.executable} -m pipeline.train dataset=python"


def test_fingerprint_ignores_comments_and_docstrings_only() -> None:
    source = '"""Doc."""\nimport cgm.losses\n\ndef f(x):  # why\n    """Doc."""\n    return "# not a comment"\n'
    plain = 'import cgm.losses\ndef f(x):\n    return "# not a comment"\n'
    other = plain.replace("not a", "a")
    assert read_module(source, "cgm.x", is_package=False) == read_module(plain, "cgm.x", is_package=False)
    assert read_module(source, "cgm.x", is_package=False).digest != read_module(other, "cgm.x", is_package=False).digest
    assert read_module(source, "cgm.x", is_package=False).imports == {"cgm.losses"}
    relative = read_module("from . import a\nfrom .b import c\nfrom ..d import e\n", "cgm.x.y", is_package=False)
    assert relative.imports == {"cgm.x.a", "cgm.x.b.c", "cgm.d.e"}


def changed_by(folder: Path, file: str, code: str) -> set[str]:
    """The fingerprints that a line of code added to ``file`` changes."""
    for top in ("cgm", "pipeline"):
        shutil.copytree(ROOT / top, folder / top, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data/embedded").mkdir(parents=True)
    shutil.copy(ROOT / fingerprint.MANIFEST, folder / fingerprint.MANIFEST)
    params = load_params(ROOT / "profiles/smoke.yaml")
    before = fingerprint.contents(params, folder)
    with (folder / file).open("a") as stream:
        stream.write(code)
    after = fingerprint.contents(params, folder)
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("file", "code", "expected"),
    [
        ("cgm/methods/pix2pix.py", "\n# a comment\n", set()),
        ("cgm/methods/pix2pix.py", "\nEXTRA = 1\n", {"train/openmoji/pix2pix.json", "translate/openmoji/pix2pix.json", "report.json"}),
        ("cgm/methods/__init__.py", "\nEXTRA = 1\n", {"report.json"}),  # the registry of methods
        ("cgm/config.py", "\nEXTRA = 1\n", set()),
        ("cgm/report/tables.py", "\nEXTRA = 1\n", {"report.json"}),
        ("pipeline/track.py", "\nEXTRA = 1\n", {"track.json"}),
    ],
)
def test_a_change_of_code_reaches_what_uses_it(tmp_path: Path, file: str, code: str, expected: set[str]) -> None:
    assert changed_by(tmp_path, file, code) == expected


def test_a_template_of_the_report_is_its_code(tmp_path: Path) -> None:
    template = next(path for path in sorted((ROOT / "cgm/report/templates").iterdir()) if path.is_file())
    assert changed_by(tmp_path, str(template.relative_to(ROOT)), "<!-- more -->") == {"report.json"}


def test_a_change_of_the_loop_reaches_every_training(tmp_path: Path) -> None:
    changed = changed_by(tmp_path, "cgm/training.py", "\nEXTRA = 1\n")
    params = load_params(ROOT / "profiles/smoke.yaml")
    assert {f"train/{run.dataset}/{run.method}.json" for run in params.runs()} <= changed
    assert "evaluate.json" not in changed


def test_the_code_of_train_holds_its_own_method_only() -> None:
    code = Code(ROOT)
    assert code.fingerprint("pipeline.train", "mae") != code.fingerprint("pipeline.train", "mse")


def test_budget_does_not_prepare_again(tmp_path: Path) -> None:
    project(tmp_path)
    before = fingerprint.contents(load_params(tmp_path / "params.yaml"), ROOT)
    raw = yaml.safe_load((tmp_path / "params.yaml").read_text())
    raw["datasets"]["openmoji"] |= {"kimg": 0.2}
    edit(tmp_path, **raw)
    assert fingerprint.contents(load_params(tmp_path / "params.yaml"), ROOT) == before
    raw["datasets"]["openmoji"] |= {"limit": 40}
    edit(tmp_path, **raw)
    after = fingerprint.contents(load_params(tmp_path / "params.yaml"), ROOT)
    assert {name for name in before if before[name] != after[name]} == {"prepare/openmoji.json"}


def test_what_is_no_longer_listed_waits_aside_and_comes_back(tmp_path: Path) -> None:
    params = load_params(ROOT / "profiles/smoke.yaml")
    fewer = params.model_copy(update={"seeds": [0], "unpaired": type(params.unpaired)()})
    files = ["results/openmoji/mae/0/run.json", "results/openmoji/mae/1/run.json", "data/prepared/fluent-unpaired/card.json"]
    files += ["results/fluent-unpaired/cyclegan/0/run.json", "data/reference/fluent-unpaired.npz", "data/reference/.x.1.tmp.npz"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file)
    times = {file: (tmp_path / file).stat().st_mtime_ns for file in files}
    fingerprint.put_aside(fewer, tmp_path)
    assert [file for file in files if (tmp_path / file).exists()] == [files[0], files[5]]
    assert not (tmp_path / "results/fluent-unpaired").exists()
    fingerprint.put_aside(params, tmp_path)
    assert {file: (tmp_path / file).stat().st_mtime_ns for file in files} == times
    assert not [path for path in (tmp_path / fingerprint.UNLISTED).rglob("*") if path.is_file()]


def test_a_changed_picture_in_a_users_folder_is_fetched_again(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())
    raw["datasets"] = {"mine": {"source": "folder", "path": str(tmp_path / "mine"), "image_size": 32, "kimg": 0.1}}
    params = parse_params(raw)
    picture = tmp_path / "mine/train/A/one.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"first")
    first = fingerprint.contents(params, ROOT)
    assert fingerprint.contents(params, ROOT) == first
    picture.write_bytes(b"another")
    second = fingerprint.contents(params, ROOT)
    assert {name for name in first if first[name] != second[name]} == {"fetch/mine.json"}
