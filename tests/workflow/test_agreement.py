"""Snakemake and DVC agree, and each runs what a change touches and nothing else.

One small experiment with the real stage table, Snakefile and stages is changed again and again, by one engine and by the other. The tests
use it in their order. After each, neither engine has anything to do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from project import ENGINES, LAMBDA, LAST, MINIATURE, Project, miniature, stages, whole_run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("project"), miniature)
    outcome = made.snakemake()
    assert outcome.code == 0, outcome.output[-4000:]
    everything = {f"{kind}@openmoji" for kind in ("fetch", "prepare", "reference")}
    everything |= {f"{kind}-unpaired@fluent-unpaired" for kind in ("fetch", "prepare", "reference")}
    assert outcome.executed == everything | {"weights", "filters"} | whole_run(*MINIATURE)
    made.assert_agreed()
    return made


def append(*texts: tuple[str, str]) -> Callable[[Project, int], None]:
    """Add text to files; ``{n}`` makes it new each time."""

    def change(project: Project, n: int) -> None:
        for name, text in texts:
            with (project.folder / name).open("a") as file:
                file.write(text.format(n=n))

    return change


def parameter(key: str, *values: object) -> Callable[[Project, int], None]:
    return lambda project, n: project.change(key, values[n])


CODE = "\n\nassert {n} >= 0\n"
UNFELT = "a metric's code"
"""Every value comes out as it was."""

CHANGES: dict[str, tuple[Callable[[Project, int], None], set[str]]] = {
    "a method's parameter": (parameter(LAMBDA, 50.0, 25.0), whole_run("pix2pix")),
    "a dataset's budget": (parameter("datasets.openmoji.kimg", 0.024, 0.032), whole_run("mae", "pix2pix")),
    "a dataset's pictures": (
        parameter("unpaired.datasets.fluent-unpaired.limit", 22, 20),
        {"prepare-unpaired@fluent-unpaired", "reference-unpaired@fluent-unpaired"} | whole_run("unpaired_gan"),
    ),
    "an evaluation's parameter": (
        lambda project, n: project.change(*(("evaluation.floor_splits", 1), ("evaluation.neighbours", 2))[n]),
        {"reference@openmoji", "reference-unpaired@fluent-unpaired"} | stages("evaluate") | LAST,
    ),
    "the report's template": (append(("cgm/report/templates/style.css", "\nem {{ top: {n}px; }}\n")), LAST),
    "a claim": (append(("claims.yaml", "# {n}\n")), LAST),
    "comments, and what nothing uses": (
        append(("cgm/training/trainer.py", "\n\n# another comment {n}\n"), ("cgm/methods/losses.py", "\n\nUNUSED_{n} = {n}\n")),
        set(),
    ),
    "a method's code": (append(("cgm/methods/pix2pix.py", CODE)), whole_run("pix2pix")),
    UNFELT: (
        append(("cgm/evaluation/metrics/intra_diversity.py", CODE)),
        {"reference@openmoji", "reference-unpaired@fluent-unpaired"} | stages("evaluate") | LAST,
    ),
    "the training loop": (append(("cgm/training/trainer.py", CODE)), whole_run(*MINIATURE)),
    "the tracking": (parameter("tracking.experiment", "another", "cgm-smoke"), {"track"}),
}

BY_DVC = ("a method's parameter", "comments, and what nothing uses", "a method's code", UNFELT, "the tracking")
"""Each in its own way; Snakemake runs them all, for it is the one that has to be told what DVC knows."""


ALIKE = {
    "snakemake": {"a dataset's budget", "the report's template", "a method's code", UNFELT},
    "dvc": {"a method's parameter", "the tracking"},
}
"""What each is told of as of others: Snakemake as of a method's parameter, a claim, the training loop, an evaluation's parameter; DVC as of
a method's code, and of those of the tests below."""


@pytest.mark.parametrize(
    ("change", "engine"),
    [
        pytest.param(change, engine, marks=pytest.mark.slow if change in ALIKE[engine] else ())
        for change in CHANGES
        for engine in ENGINES
        if engine == "snakemake" or change in BY_DVC
    ],
)
def test_a_change_runs_what_it_touches(project: Project, change: str, engine: str) -> None:
    make, expected = CHANGES[change]
    make(project, ENGINES.index(engine))
    outcome = project.execute(engine)
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == expected
    project.assert_agreed()


def test_a_method_comes_and_goes(project: Project) -> None:
    """DVC trains it, Snakemake puts it aside."""
    project.change("methods.variant", {"implementation": "mae", "learning_rate": 0.002})
    outcome = project.dvc("repro")
    assert outcome.executed == {f"{kind}@openmoji-variant-0" for kind in ("train", "translate", "evaluate")} | LAST
    project.assert_agreed()
    assert b",variant," in project.results

    project.change("methods.variant", None)
    outcome = project.snakemake()
    assert outcome.executed == LAST
    project.assert_agreed()
    assert b",variant," not in project.results


def test_revisions_and_a_colleagues_clone(project: Project, tmp_path: Path) -> None:
    """``git checkout`` + ``dvc checkout`` back and forth; then a clone that pulls."""
    assert project.dvc("remote", "add", "--default", "store", str(tmp_path / "store")).code == 0
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message=first")
    project.git("tag", "first")
    first = project.results
    project.change(LAMBDA, 7.0)
    assert project.snakemake().executed == whole_run("pix2pix")
    project.git("commit", "--quiet", "--all", "--message=second")
    second = project.results
    assert first != second
    for revision, results in (("first", first), ("main", second)):
        project.git("checkout", "--quiet", revision)
        assert project.dvc("checkout").code == 0
        assert project.results == results
        project.assert_agreed()

    pushed = project.dvc("push")
    assert pushed.code == 0, pushed.output
    project.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project.__new__(Project)
    clone.folder = tmp_path / "clone"
    pulled = clone.dvc("pull")
    assert pulled.code == 0, pulled.output
    assert clone.results == second
    clone.assert_agreed()
    clone.change(LAMBDA, 8.0)
    assert clone.snakemake("--dry-run").executed == whole_run("pix2pix")


def test_an_experiment_of_dvc(project: Project) -> None:
    outcome = project.dvc("exp", "run", "--set-param", f"{LAMBDA}=9.0")
    assert outcome.code == 0, outcome.output[-4000:]
    assert outcome.executed == whole_run("pix2pix")
    project.assert_agreed()


def test_files_without_their_parameters(project: Project) -> None:
    """The other experiment's parameters and lock come back without its files, as with ``git checkout`` alone: every time looks right."""
    lock = project.folder / "dvc.lock"
    new, params = lock.read_bytes(), project.params.read_text()
    project.git("checkout", "--quiet", "main", "--", "params.yaml", "dvc.lock")
    assert "train@openmoji-pix2pix-0" in project.snakemake("--dry-run").executed
    lock.write_bytes(new)
    project.params.write_text(params)
    project.assert_agreed()


def test_what_was_made_in_steps_equals_what_is_made_at_once(project: Project, tmp_path: Path) -> None:
    """Every change above, by both engines, ends where DVC comes from nothing."""
    clean = Project(tmp_path, source=project.folder)
    outcome = clean.dvc("repro")
    assert outcome.code == 0, outcome.output[-4000:]
    assert clean.results == project.results
    clean.assert_agreed()
