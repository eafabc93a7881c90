"""By which commit's code a report is, in a project of its own with git."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from code_cache import give_code_cache
from report_inputs import make_params, write_inputs

from cgm.experiment.params import Params
from cgm.report.origin import FILE, Origin
from pipeline import origin
from pipeline.code import Code, training_code

ROOT = Path(__file__).parents[2]


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=cgm", "-c", "user.email=cgm@localhost", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def params() -> Params:
    return make_params([0])


@pytest.fixture
def project(params: Params, tmp_path: Path) -> Path:
    """With this code, committed, and runs that it trained."""
    for package in ("cgm", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    give_code_cache(tmp_path)
    (tmp_path / ".gitignore").write_text("build/\ndata/\nresults/\n")
    (tmp_path / "params.yaml").write_text("experiment: default\n")
    write_inputs(tmp_path, params)
    code = Code(tmp_path)
    for run in params.runs():
        path = tmp_path / f"results/{run}/run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "code_sha256": training_code(params, run, code)}))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "1")
    return tmp_path


def publish(project: Path, found: Origin) -> Origin:
    (project / "reports").mkdir(exist_ok=True)
    (project / "reports" / FILE).write_text(found.to_json())
    return found


def test_a_clean_origin_stays_and_another_is_found_anew(project: Path, params: Params) -> None:
    def find() -> Origin:
        return origin.find(params, project / "reports", {}, project)

    first = publish(project, find())
    assert (first.commit, first.changed, first.other_code) == (git(project, "rev-parse", "HEAD"), (), ())
    assert first.clean
    assert first.date == git(project, "show", "-s", "--format=%cs")

    git(project, "add", ".")  # the report itself
    git(project, "commit", "--quiet", "-m", "2")
    (project / "README.md").write_text("Changed, and nothing that the report is made of.")
    (project / "dvc.lock").write_text("written by a stage")
    assert find() == first

    words = project / "cgm/report/labels.py"
    before = words.read_text()
    words.write_text(before.replace("Copy the input", "Copied input"))
    (project / "my_losses.py").write_text("")
    (project / "notes.txt").write_text("")
    changed = publish(project, find())
    assert changed.changed == ("cgm/report/labels.py", "my_losses.py")
    assert not changed.clean
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "3")
    committed = publish(project, find())
    assert committed.clean
    assert committed.commit == git(project, "rev-parse", "HEAD")

    losses = project / "cgm/methods/losses.py"
    losses.write_text(losses.read_text().replace("    return F.l1_loss(y_hat, y)\n", "    return 1 * F.l1_loss(y_hat, y)\n"))
    git(project, "commit", "--quiet", "-am", "4")
    record = project / "results/icons_a/mae/0/run.json"
    record.write_text(record.read_text().replace('"seconds": 12.5', '"seconds": 13.5'))
    other = find()
    assert "icons_a/mae/0" in other.other_code
    assert other.changed == ()


def test_an_experiment_of_the_commit_is_no_change(project: Path) -> None:
    """Whatever ``cgm experiment`` has made ``params.yaml``."""
    one = project / "experiments/one.yaml"
    one.parent.mkdir()
    one.write_text("experiment: one\n")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "2")

    def changed(text: str) -> tuple[str, ...]:
        (project / "params.yaml").write_text(text)
        return origin.checkout(project)[2]

    assert changed("experiment: one\n") == ()
    assert changed("experiment: one\nseeds: [0]\n") == ("params.yaml",)
    (project / "experiments/two.yaml").write_text("experiment: two\n")
    assert changed("experiment: two\n") == ("params.yaml",)  # the commit hasn't got it
    one.write_text("experiment: one, changed\n")
    assert changed("experiment: one, changed\n") == ("experiments/one.yaml", "params.yaml")
    (project / "params.yaml").unlink()
    assert origin.checkout(project)[2] == ("experiments/one.yaml", "params.yaml")


def test_where_git_keeps_no_code_the_commit_is_not_known(project: Path, params: Params) -> None:
    shutil.rmtree(project / ".git")
    assert origin.checkout(project) == ("", "", ())
    found = origin.find(params, project / "reports", {"icons_a/mae/0": "log"}, project)
    assert (found.commit, found.without) == ("", {"icons_a/mae/0": "log"})
    assert origin.find(params, project / "reports", {}, project / "data") == Origin()


def test_it_reads_back(tmp_path: Path) -> None:
    found = Origin(commit="1" * 40, date="2026-02-03", changed=("a",), other_code=("b",), identity="c", without={"d": "e"})
    publish(tmp_path, found)
    assert origin.read(tmp_path / "reports") == found
    (tmp_path / "reports" / FILE).write_text("[]")
    assert origin.read(tmp_path / "reports") is None
    (tmp_path / "reports" / FILE).write_text(yaml.safe_dump({"commit": 1}))
    assert origin.read(tmp_path / "reports") is None
