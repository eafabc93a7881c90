"""The embedded archives: what they hold, how they align, and what happens to a damaged one."""

import base64
import csv
import hashlib
import io
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cgm.core.errors import UserError
from cgm.core.files import read_json, sha256, write_json
from cgm.data.listing import SIDES, SPLITS, read_listing
from cgm.data.prepare import prepare, select
from cgm.data.prepared import open_prepared
from cgm.data.sources import SOURCES
from cgm.data.sources.archives import extract
from cgm.experiment.reading import parse_params

ROOT = Path(__file__).resolve().parents[2]
ARCHIVES = ROOT / "data" / "embedded"
COUNTS = {
    ("openmoji", "base"): (1139, 1139, 156, 156, 285, 285),
    ("openmoji", "all"): (2604, 2604, 296, 296, 500, 500),
    ("fluent", "base"): (865, 865, 93, 93, 203, 203),
    ("fluent-unpaired", "base"): (457, 408, 93, 93, 203, 203),
}


def settings(source, **values):
    return SOURCES[source].Settings(**{"source": source, "kimg": 1.0, "image_size": 32, **values})


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Each source fetched once: a function from source to raw folder."""
    folder = tmp_path_factory.mktemp("raw")
    for source in ("openmoji", "fluent", "fluent-unpaired"):
        SOURCES[source].fetch(settings(source), folder / source, paired=source != "fluent-unpaired", root=ROOT)
    return lambda source: folder / source


def prepared(raw, out, source, processes=1, **values):
    paired = source != "fluent-unpaired"
    prepare(settings(source, **values), raw(source), out, name=source, paired=paired, processes=processes)
    return open_prepared(out)


@pytest.mark.parametrize(("source", "variant"), COUNTS)
def test_counts(raw, source, variant):
    chosen = select(read_listing(raw(source)), settings(source, variant=variant))
    assert tuple(len(chosen[split, side]) for split in SPLITS for side in SIDES) == COUNTS[source, variant]
    assert all(picture.label for side in chosen.values() for picture in side)


@pytest.mark.parametrize("archive", ["openmoji", "fluent"])
def test_archives_match_the_manifest_and_the_split_lists(archive):
    entry = read_json(ARCHIVES / "manifest.json")[archive]
    path = ARCHIVES / entry["archive"]
    assert sha256(path) == entry["sha256"]
    assert path.stat().st_size < 6_000_000
    with tarfile.open(path) as tar:
        listed = csv.DictReader(io.TextIOWrapper(tar.extractfile("split.csv"), encoding="utf-8"))
        kept = {row["hexcode"]: row["split"] for row in listed}
    with (ARCHIVES / f"{archive}_split.csv").open(encoding="utf-8") as file:
        expected = {row["hexcode"]: row["split"] for row in csv.DictReader(file) if archive == "openmoji" or row["is_base"] == "1"}
    assert kept == expected


def test_whole_of_openmoji_at_32_px(raw, tmp_path):
    """Ground, alignment and leakage on every base pair, not on a sample."""
    data = prepared(raw, tmp_path / "openmoji", "openmoji", processes=2)
    assert data.paired
    assert not data.hidden_pairs
    assert data.card["leakage"]["passed"] is True
    assert data.card["leakage"]["train/test"] == {"shared_groups": 0, "identical_files": 0, "identical_pixels": 0, "identical_lines": 0}
    assert data.card["counts"] == {"train": {"A": 1139, "B": 1139}, "val": {"A": 156, "B": 156}, "test": {"A": 285, "B": 285}}
    a, b = data.images("test", "A").astype(int), data.images("test", "B").astype(int)
    assert data.ids("test", "A") == data.ids("test", "B") == sorted(data.ids("test", "A"))
    # White ground: most corners; a drawing may reach one.
    corners = np.stack([side[:, y, x] for side in (a, b) for y in (0, -1) for x in (0, -1)])
    assert (corners == 255).all(axis=-1).mean() > 0.99
    # A line pixel of x is as dark in y. With the next picture's y it isn't, so this can fail.
    dark = (a < 64).all(axis=-1)
    assert dark.sum() > 5000
    assert np.mean(b[dark].max(axis=-1) < 128) > 0.97
    assert np.mean(np.roll(b, 1, axis=0)[dark].max(axis=-1) < 128) < 0.7
    # x is grey, y has colour.
    assert np.ptp(a, axis=-1).max() == 0
    assert np.mean(np.ptp(b, axis=-1).max(axis=(1, 2)) > 40) > 0.8


def test_fluent_pairs_share_their_outline(raw, tmp_path):
    data = prepared(raw, tmp_path / "fluent", "fluent", limit=40)
    a, b = ((data.images("test", side) < 250).any(axis=-1) for side in SIDES)
    assert a.shape == (40, 32, 32)

    def overlap(one, other):
        return float(np.median((one & other).sum(axis=(1, 2)) / (one | other).sum(axis=(1, 2))))

    assert overlap(a, b) > 0.9
    assert overlap(a, np.roll(b, 1, axis=0)) < 0.8


def test_fluent_unpaired_is_disjoint_in_train_and_aligned_elsewhere(raw, tmp_path):
    data = prepared(raw, tmp_path / "fluent-unpaired", "fluent-unpaired", limit=30)
    assert not data.paired
    assert data.hidden_pairs
    assert data.card["leakage"]["passed"] is True
    assert data.card["leakage"]["train A/train B"] == {"shared_ids": 0}
    every = select(read_listing(raw("fluent-unpaired")), settings("fluent-unpaired"))
    ids = {key: {picture.id for picture in pictures} for key, pictures in every.items()}
    assert not ids["train", "A"] & ids["train", "B"]
    assert not (ids["train", "A"] | ids["train", "B"]) & (ids["val", "A"] | ids["test", "A"])
    for split in ("val", "test"):
        assert ids[split, "A"] == ids[split, "B"]
        assert data.ids(split, "A") == data.ids(split, "B")


@pytest.mark.parametrize("source", ["openmoji", "fluent"])
def test_same_bytes_with_one_and_two_processes(raw, tmp_path, source):
    one, two = (prepared(raw, tmp_path / str(n), source, processes=n, limit=50) for n in (1, 2))
    files = sorted(path.relative_to(one.folder) for path in one.folder.rglob("*") if path.is_file())
    assert len(files) == 9
    assert [(one.folder / file).read_bytes() for file in files] == [(two.folder / file).read_bytes() for file in files]
    assert one.data_sha256 == sha256(*(one.folder / split / f"{side}.npy" for split in SPLITS for side in SIDES))


def test_limit_takes_by_hash_and_a_larger_limit_only_adds(raw):
    listing = read_listing(raw("openmoji"))
    few, more, every = ([p.id for p in select(listing, settings("openmoji", limit=n))["train", "A"]] for n in (20, 60, None))
    assert len(few) == 20
    assert few == sorted(few)
    assert set(few) < set(more) < set(every)
    assert few != sorted(every)[:20]


def test_variant_all_of_a_source_without_it():
    raw = {
        "experiment": "test",
        "seeds": [0],
        "methods": {"mae": {}},
        "datasets": {"fluent": {"source": "fluent", "variant": "all", "kimg": 1.0}},
    }
    with pytest.raises(UserError, match=r"datasets\.fluent\.variant: found 'all'; input should be 'base'"):
        parse_params(raw)


@pytest.fixture
def archives(tmp_path):
    """A copy of the embedded Fluent archive (the one of fewer files) and its manifest, to be damaged."""
    folder = tmp_path / "project" / "data" / "embedded"
    folder.mkdir(parents=True)
    for name in ("manifest.json", "fluent-v1.tar.xz"):
        (folder / name).write_bytes((ARCHIVES / name).read_bytes())
    return folder


@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
def test_damaged_archive(archives, tmp_path, damage):
    path = archives / "fluent-v1.tar.xz"
    good = sha256(path)
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data[: len(data) // 2] if damage == "truncated" else data)
    with pytest.raises(UserError) as error:
        SOURCES["fluent"].fetch(settings("fluent"), tmp_path / "raw" / "fluent", paired=True, root=archives.parents[1])
    message = str(error.value)
    assert str(path) in message
    assert "git checkout" in message
    assert "rebuild.py" in message
    assert "\n" not in message
    if damage != "missing":
        assert good in message
        assert sha256(path) in message
    assert list((tmp_path / "raw").iterdir()) == []


def test_damaged_archive_keeps_what_was_fetched_before(archives, tmp_path):
    out = tmp_path / "raw" / "fluent"
    SOURCES["fluent"].fetch(settings("fluent"), out, paired=True, root=archives.parents[1])
    (archives / "fluent-v1.tar.xz").write_bytes(b"")
    with pytest.raises(UserError):
        SOURCES["fluent"].fetch(settings("fluent"), out, paired=True, root=archives.parents[1])
    assert len(read_listing(out)) == 2322


def test_another_archive_is_fetched_again_and_another_budget_is_not(archives):
    source, root = SOURCES["fluent"], archives.parents[1]
    before = source.identity(settings("fluent"), root)
    assert source.identity(settings("fluent", kimg=9.0, limit=3, image_size=64), root) == before
    manifest = read_json(archives / "manifest.json")
    manifest["fluent"]["sha256"] = "0" * 64
    write_json(archives / "manifest.json", manifest)
    assert source.identity(settings("fluent"), root) != before


def test_a_damaged_archive_is_found_before_anything_starts(archives):
    SOURCES["fluent"].check(settings("fluent"), archives.parents[1])
    (archives / "fluent-v1.tar.xz").write_bytes(b"")
    with pytest.raises(UserError, match=r"fluent-v1\.tar\.xz: found SHA-256 e3b0c442.*, expected .*; restore it with `git checkout"):
        SOURCES["fluent"].check(settings("fluent"), archives.parents[1])


@pytest.mark.parametrize("kind", ["parent", "absolute link", "device"])
def test_archive_that_would_write_outside_its_folder(tmp_path, kind):
    member = tarfile.TarInfo("../evil.svg" if kind == "parent" else "inner")
    if kind == "absolute link":
        member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path / "evil.svg")
    elif kind == "device":
        member.type = tarfile.CHRTYPE
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(member)
    out = tmp_path / "raw" / "out"
    out.mkdir(parents=True)
    with pytest.raises(UserError, match=r"evil\.tar"):
        extract(tmp_path / "evil.tar", out)
    assert list(out.iterdir()) == []
    assert not (tmp_path / "raw" / "evil.svg").exists()


def test_stages_end_to_end_and_exit_code_of_a_corrupted_archive(archives, tmp_path):
    (tmp_path / "data").mkdir()
    archives.rename(tmp_path / "data" / "embedded")
    (tmp_path / "params.yaml").write_text(
        "experiment: test\nseeds: [0]\nmethods: {mae: {}}\ndatasets:\n  small: {source: fluent, image_size: 32, limit: 4, kimg: 1.0}\n"
    )

    def run(*arguments):
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120)

    early = run("pipeline.prepare", "dataset=small")
    assert early.returncode == 2
    assert "python -m pipeline.fetch dataset=small" in early.stderr
    assert run("pipeline.fetch", "dataset=small").returncode == 0
    done = run("pipeline.prepare", "dataset=small", "processes=1")
    assert done.returncode == 0, done.stderr
    assert "24 of 24 images" in done.stderr
    assert open_prepared(tmp_path / "data" / "prepared" / "small").images("test", "B").shape == (4, 32, 32, 3)
    path = tmp_path / "data" / "embedded" / "fluent-v1.tar.xz"
    path.write_bytes(path.read_bytes()[:1000])
    failed = run("pipeline.fetch", "dataset=small")
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: data/embedded/fluent-v1.tar.xz: found SHA-256 ")
    assert failed.stderr.count("\n") == 1


def test_rebuild_refuses_a_package_of_another_hash(tmp_path):
    rebuild = runpy.run_path(str(ARCHIVES / "rebuild.py"))["rebuild"]
    (tmp_path / "openmoji-17.0.0.tgz").write_bytes(b"not the package")
    found = base64.b64encode(hashlib.sha512(b"not the package").digest()).decode()
    with pytest.raises(UserError) as error:
        rebuild("openmoji", tmp_path, tmp_path / "out")
    assert f"found sha512-{found}, expected sha512-EBnYrNGd" in str(error.value)
    assert not (tmp_path / "out").exists()
