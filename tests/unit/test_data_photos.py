"""The photographs: what the archive holds, under which licences, how crops are cut, and that x is made from y."""

import csv
import io
import runpy
import struct
import tarfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cgm.core.errors import UserError
from cgm.core.files import read_json, sha256
from cgm.data.conditions import make
from cgm.data.listing import SPLITS, read_listing
from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.sources import SOURCES
from cgm.experiment.reading import parse_params

ROOT = Path(__file__).resolve().parents[2]
ARCHIVES = ROOT / "data" / "embedded"
ENTRY = read_json(ARCHIVES / "manifest.json")["photos"]
LICENCES = {"public domain", "CC0 1.0", "CC BY 4.0", "CC BY-SA 3.0", "CC BY-SA 4.0"}
REBUILD = runpy.run_path(str(ARCHIVES / "rebuild.py"))


def settings(**values):
    return SOURCES["photos"].Settings(**{"source": "photos", "kimg": 1.0, **values})


def table(data):
    return list(csv.DictReader(io.StringIO(data.decode())))


@pytest.fixture(scope="module")
def files():
    with tarfile.open(ARCHIVES / ENTRY["archive"]) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


@pytest.fixture(scope="module")
def crops(files):
    return table(files["split.csv"])


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out = tmp_path_factory.mktemp("raw") / "photos"
    SOURCES["photos"].fetch(settings(), out, paired=True, root=ROOT)
    return out


@pytest.fixture(scope="module")
def prepared(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "photos"
    prepare(settings(image_size=64), raw, out, name="photos", paired=True)
    return open_prepared(out)


def test_the_archive_is_the_pinned_one_and_small():
    path = ARCHIVES / ENTRY["archive"]
    assert sha256(path) == ENTRY["sha256"]
    assert path.stat().st_size <= 6_000_000


def test_counts_of_crops_and_photographs(crops):
    assert Counter(row["split"] for row in crops) == {"train": 794, "val": 111, "test": 154}
    photographs = {split: {row["photograph"] for row in crops if row["split"] == split} for split in SPLITS}
    assert {split: len(names) for split, names in photographs.items()} == {"train": 64, "val": 8, "test": 13}
    assert len(set.union(*photographs.values())) == 85, "a photograph stands in one split only"
    assert max(Counter(row["photograph"] for row in crops).values()) <= REBUILD["MOST"]


def test_every_photograph_has_an_author_a_licence_and_a_pinned_package(files, crops):
    photographs = table(files["photographs.csv"])
    assert files["photographs.csv"] == (ARCHIVES / "photographs.csv").read_bytes()
    assert [row["photograph"] for row in photographs] == sorted({row["photograph"] for row in crops})
    assert {row["licence"] for row in photographs} == LICENCES
    assert all(row["title"] and row["author"] and row["path"] for row in photographs)
    assert {(row["package"], row["version"]) for row in photographs} == {(each["name"], each["version"]) for each in ENTRY["packages"]}
    notice = files["NOTICE.txt"].decode()
    assert all(f"{row['title']}, {row['author']}, {row['licence']}, " in notice for row in photographs)
    # Who must be named is named wherever the dataset is shown.
    assert all(row["author"].strip('"').split('"')[0] in ENTRY["attribution"] for row in photographs if row["licence"].startswith("CC BY"))
    assert all(licence in ENTRY["licence"] for licence in LICENCES)
    assert f"{len(photographs)} photographs by {len({row['author'] for row in photographs})} authors" in ENTRY["attribution"]
    assert files["LICENSE.txt"].startswith(b"Attribution-ShareAlike 4.0 International")


def test_every_crop_is_a_picture_of_its_size_with_something_to_see(files, crops):
    listed = {f"photos/{row['id']}.webp" for row in crops}
    assert listed == {name for name in files if name.startswith("photos/")}
    for name in sorted(listed):
        with Image.open(io.BytesIO(files[name])) as image:
            image.load()
        assert (image.format, image.mode, image.size) == ("WEBP", "RGB", (128, 128)), name
        # Encoding moves the contrast a little.
        assert REBUILD["contrast"](np.asarray(image.convert("L"))) > 0.9 * REBUILD["LEAST_CONTRAST"], name


def test_crops_of_one_size_do_not_overlap(crops):
    seen = {}
    for row in crops:
        seen.setdefault((row["photograph"], int(row["side"])), []).append((int(row["left"]), int(row["top"])))
    assert len({side for _, side in seen}) > 3
    for (_, side), places in seen.items():
        for index, (left, top) in enumerate(places):
            assert all(abs(left - x) >= side or abs(top - y) >= side for x, y in places[:index])


def test_x_is_made_from_y_and_splits_share_nothing(prepared):
    assert prepared.paired
    assert prepared.card["condition"] == "downscale-4"
    assert prepared.card["fit"] == "crop"
    assert prepared.card["leakage"]["passed"] is True
    assert prepared.card["leakage"]["train/test"]["shared_groups"] == 0
    for split in SPLITS:
        assert prepared.ids(split, "A") == prepared.ids(split, "B")
    a, b = prepared.images("test", "A"), prepared.images("test", "B")
    assert a.shape == b.shape == (154, 64, 64, 3)
    for place, identity in enumerate(prepared.ids("test", "B")[:8]):
        np.testing.assert_array_equal(a[place], make("downscale-4", b[place], dataset="photos", identity=identity))
    # Not far from its own y, far from the next one's.
    difference = np.abs(a.astype(int) - b).mean()
    assert 1 < difference < 20 < np.abs(a.astype(int) - np.roll(b, 1, axis=0)).mean()


def test_grey_colourises(raw, tmp_path):
    prepare(settings(condition="grey", limit=5), raw, tmp_path / "colours", name="colours", paired=True)
    data = open_prepared(tmp_path / "colours")
    assert np.ptp(data.images("test", "A"), axis=-1).max() == 0
    assert np.ptp(data.images("test", "B"), axis=-1).max() > 40


def test_only_targets_are_fetched_with_what_photographs_need(raw):
    source = read_json(raw / "source.json")
    assert (source["fit"], source["augment"], source["hidden_pairs"]) == ("crop", "resize-crop", False)
    listing = read_listing(raw)
    assert {picture.side for picture in listing} == {"B"}
    assert all(picture.group and picture.label and picture.id.startswith(picture.group) for picture in listing)


def test_a_condition_of_null_is_an_error():
    entry = {"source": "photos", "kimg": 1.0, "condition": None}
    with pytest.raises(UserError, match=r"datasets\.photos\.condition: found None") as error:
        parse_params({"experiment": "test", "seeds": [0], "methods": {"mae": {}}, "datasets": {"photos": entry}})
    assert "grey" in str(error.value)


def test_squares_of_a_photograph():
    found = REBUILD["boxes"](1000, 700)
    # One of 700, 2 × 2 of 350, 4 × 3 of 233, each grid in the middle.
    assert Counter(name[0] for name in found) == {"1": 1, "2": 4, "3": 12}
    assert found["1-0-0"] == (150, 0, 850, 700)
    assert found["2-1-1"] == (500, 350, 850, 700)
    assert found["3-0-0"] == (34, 0, 267, 233)
    assert all(0 <= left < right <= 1000 and 0 <= top < bottom <= 700 for left, top, right, bottom in found.values())
    assert set(REBUILD["boxes"](400, 1000)) == {f"{part}-{row}-{column}" for part, rows in ((1, 2), (2, 5)) for row in range(rows)
                                               for column in range(part)}  # fmt: skip
    assert REBUILD["boxes"](190, 4000) == {}


def test_contrast_sees_detail_and_no_gradient():
    rows = np.linspace(0, 255, 128).astype(np.uint8)
    sky = np.repeat(rows[:, None], 128, axis=1)
    checks = np.where(np.indices((128, 128)).sum(axis=0) % 2 == 0, 0, 255).astype(np.uint8)
    assert sky.std() > 70
    assert REBUILD["contrast"](sky) < REBUILD["LEAST_CONTRAST"]
    assert REBUILD["contrast"](checks) == pytest.approx(127.5)


def packages(photograph):
    """A made-up package with one picture, published as it is and in a Qt resource."""
    return {"a.png": photograph, "b.rcc": resource({"readme": (b"text", True), "folder/b.png": (photograph, False)})}


def resource(contents):
    """A Qt resource with files at the root or one folder down, as ``rcc`` writes them."""
    names, data, nodes = b"", b"", [None]
    folders = sorted({name.split("/")[0] for name in contents if "/" in name})
    top = [*folders, *(name for name in contents if "/" not in name)]

    def named(name):
        nonlocal names
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        return len(names) - 6 - 2 * len(name)

    def leaf(name, content, packed):
        nonlocal data
        stored = struct.pack(">I", len(content)) + zlib.compress(content) if packed else content
        node = struct.pack(">IHHHIQ", named(name), int(packed), 0, 0, len(data), 0)
        data += struct.pack(">I", len(stored)) + stored
        return node

    nodes[0] = struct.pack(">IHIIQ", 0, 2, len(top), 1, 0)
    inner = []
    for name in top:
        if name in folders:
            below = [each for each in contents if each.startswith(f"{name}/")]
            nodes.append(struct.pack(">IHIIQ", named(name), 2, len(below), 1 + len(top) + len(inner), 0))
            inner += [leaf(each.split("/")[1], *contents[each]) for each in below]
        else:
            nodes.append(leaf(name, *contents[name]))
    tree = b"".join([*nodes, *inner])
    return b"qres" + struct.pack(">IIII", 2, 20, 20 + len(tree), 20 + len(tree) + len(data)) + tree + data + names


def test_cutting_a_made_up_photograph(tmp_path, monkeypatch):
    """Left half noise, right half sky: only what holds some of the noise is kept; the same bytes each time."""
    pixels = np.full((600, 1200, 3), 180, np.uint8)
    pixels[:, :600] = np.random.default_rng(0).integers(0, 256, (75, 75, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    (tmp_path / "LICENSES").mkdir()
    (tmp_path / "LICENSES" / "CC-BY-SA-4.0.txt").write_text("text")
    head = "photograph,title,author,licence,source,package,version,path\n"
    rows = [f"{name},T,A,CC0 1.0,,p,1,{path}\n" for name, path in (("plain", "a.png"), ("inside", "b.rcc:folder/b.png"))]
    (tmp_path / "photographs.csv").write_text(head + "".join(rows))
    photos = REBUILD["_photos"]
    monkeypatch.setitem(photos.__globals__, "HERE", tmp_path)
    package = packages(buffer.getvalue())
    found = photos(package)
    assert found == photos(package)
    kept = [row["id"].removeprefix("plain-") for row in table(found["split.csv"]) if row["photograph"] == "plain"]
    everything = ["1-0-0", *(f"2-{r}-{c}" for r in range(2) for c in range(2)), *(f"3-{r}-{c}" for r in range(3) for c in range(3))]
    assert set(kept) == set(everything)
    assert len([name for name in found if name.startswith("photos/inside-")]) == len(kept)
    (tmp_path / "photographs.csv").write_text(head + rows[0])
    blank = io.BytesIO()
    Image.new("RGB", (600, 600), "grey").save(blank, "PNG")
    with pytest.raises(UserError, match="no crop of 'plain' has a contrast of 10; take the row out"):
        photos({"a.png": blank.getvalue()})


def test_resource_files_packed_and_not():
    assert dict(REBUILD["_resource"](packages(b"photograph")["b.rcc"])) == {"readme": b"text", "folder/b.png": b"photograph"}


def test_a_debian_package_of_another_hash_is_refused(tmp_path):
    (tmp_path / "gcompris-qt-data_3.1-2_all.deb").write_bytes(b"not the package")
    with pytest.raises(
        UserError, match=r"gcompris-qt-data_3\.1-2_all\.deb: found [0-9a-f]{64}, expected e9cf06ab.*; fetch gcompris-qt-data"
    ):
        REBUILD["rebuild"]("photos", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_files_of_a_debian_package():
    """``ar``: members of odd size are padded."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        member = tarfile.TarInfo("./usr/share/x")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"data"))
    members = [("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", buffer.getvalue())]
    packed = b"!<arch>\n" + b"".join(
        f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2) for name, data in members
    )
    assert REBUILD["_data_of"](packed) == buffer.getvalue()
