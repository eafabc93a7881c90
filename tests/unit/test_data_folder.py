"""A user's own folder, the rasteriser's treatment of odd files, and opening what was prepared."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from cgm.core.errors import UserError
from cgm.data.listing import hash_order, read_listing
from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.sources.folder import FOLDER


def image(path, colour=(200, 30, 30), size=(40, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def pairs(root, split, count, start=0, size=(40, 40)):
    """``count`` pairs, each of a colour of its own."""
    for n in range(start, start + count):
        image(root / split / "A" / f"p{n:02}.png", (n, n, n), size)
        image(root / split / "B" / f"p{n:02}.png", (n, 100, 0), size)


@pytest.fixture
def root(tmp_path):
    """20 training pairs and no other split."""
    pairs(tmp_path / "mine", "train", 20)
    return tmp_path / "mine"


def run(root, tmp_path, *, paired=True, **values):
    settings = FOLDER.Settings(**{"source": "folder", "path": str(root), "kimg": 1.0, "image_size": 32, **values})
    FOLDER.fetch(settings, tmp_path / "raw" / "mine", paired=paired)
    prepare(settings, tmp_path / "raw" / "mine", tmp_path / "prepared" / "mine", name="mine", paired=paired)
    return open_prepared(tmp_path / "prepared" / "mine")


def error_of(root, tmp_path, **values):
    with pytest.raises(UserError) as error:
        run(root, tmp_path, **values)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("prepared/*"))
    return str(error.value)


def test_missing_splits_are_carved_by_hash(root, tmp_path):
    data = run(root, tmp_path)
    order = hash_order(f"p{n:02}" for n in range(20))
    assert data.ids("test", "A") == data.ids("test", "B") == sorted(order[:3])
    assert data.ids("val", "A") == sorted(order[3:5])
    assert data.ids("train", "B") == sorted(order[5:])
    for split in ("train", "val", "test"):
        numbers = [int(identity[1:]) for identity in data.ids(split, "A")]
        assert data.images(split, "A")[:, 16, 16].tolist() == [[n, n, n] for n in numbers]
        assert data.images(split, "B")[:, 16, 16].tolist() == [[n, 100, 0] for n in numbers]
    assert data.card["leakage"]["passed"] is True
    assert data.card["leakage"]["train/test"]["shared_groups"] is None
    assert not data.images("train", "A").flags.writeable


def test_given_splits_are_kept_and_only_the_missing_one_is_carved(root, tmp_path):
    pairs(root, "test", 4, start=50)
    data = run(root, tmp_path)
    assert data.ids("test", "A") == ["p50", "p51", "p52", "p53"]
    assert len(data.ids("val", "A")) == 2
    assert len(data.ids("train", "A")) == 18


def test_suffixes_may_differ(root, tmp_path):
    for path in (root / "train" / "B").iterdir():
        Image.open(path).save(path.with_suffix(".webp"), lossless=True)
        path.unlink()
    assert len(run(root, tmp_path).ids("train", "B")) == 15


def test_leakage_is_found(root, tmp_path, capsys):
    """The same x in train and test: as the same file, and as the same pixels in another file."""
    pairs(root, "val", 2, start=30)
    pairs(root, "test", 4, start=60)
    (root / "test" / "A" / "p60.png").write_bytes((root / "train" / "A" / "p05.png").read_bytes())
    Image.open(root / "train" / "A" / "p06.png").save(root / "test" / "A" / "p61.png", compress_level=0)
    leakage = run(root, tmp_path).card["leakage"]
    assert leakage["passed"] is False
    assert leakage["train/test"] == {"shared_groups": None, "identical_files": 1, "identical_pixels": 2, "identical_lines": None}
    assert leakage["train/val"]["identical_pixels"] == 0
    assert "warning: mine: splits share images" in capsys.readouterr().err


def test_unpaired_with_hidden_pairs(root, tmp_path):
    for n in range(5):
        image(root / "train" / "B" / f"other{n}.png", (n, 0, 200))
    pairs(root, "val", 2, start=30)
    pairs(root, "test", 3, start=40)
    assert run(root, tmp_path, paired=False).hidden_pairs is False, "that names agree doesn't make pairs of strangers"
    data = run(root, tmp_path, paired=False, hidden_pairs=True)
    assert (data.paired, data.hidden_pairs, data.aligned, data.aligned_in("train")) == (False, True, True, False)
    assert (len(data.ids("train", "A")), len(data.ids("train", "B"))) == (20, 25)
    assert data.ids("test", "A") == data.ids("test", "B")


def test_unpaired_without_pairs_claims_none(root, tmp_path):
    data = run(root, tmp_path, paired=False)
    assert (data.paired, data.hidden_pairs) == (False, False)


def test_name_without_a_counterpart(root, tmp_path):
    (root / "train" / "B" / "p03.png").unlink()
    message = error_of(root, tmp_path)
    assert "mine: 1 of 20 pairs can't be used: train/A/p03.png: no picture of that name on side B of train" in message
    data = run(root, tmp_path, unusable="skip")
    assert sum(len(data.ids(split, "A")) for split in ("train", "val", "test")) == 19
    assert data.card["reading"]["left_out"] == [{"file": "train/A/p03.png", "reason": "no picture of that name on side B of train"}]


def test_pair_of_two_sizes(root, tmp_path):
    image(root / "train" / "B" / "p07.png", size=(40, 48))
    message = error_of(root, tmp_path)
    assert "train/B/p07.png: 40×48 px beside 40×40 px of train/A/p07.png: the pair doesn't align" in message
    image(root / "train" / "B" / "p07.png", (7, 100, 0), size=(81, 80))  # twice as large, to a pixel of rounding
    assert len(run(root, tmp_path).ids("train", "A")) == 15


@pytest.mark.parametrize("damage", ["text", "truncated", "empty"])
def test_unreadable_image(root, tmp_path, damage):
    path = root / "train" / "A" / "p09.png"
    Image.effect_noise((40, 40), 50).save(path)
    data = path.read_bytes()
    path.write_bytes({"text": b"not an image", "truncated": data[: len(data) // 2], "empty": b""}[damage])
    reason = {"text": "not a picture, or of a format", "truncated": "can't be decoded (", "empty": "empty"}[damage]
    assert f"mine: 1 of 20 pairs can't be used: train/A/p09.png: {reason}" in error_of(root, tmp_path)


def test_everything_wrong_is_named_at_once(root, tmp_path):
    (root / "train" / "A" / "p01.png").write_bytes(b"?")
    image(root / "train" / "B" / "p02.png", size=(40, 39))
    (root / "train" / "B" / "p03.png").unlink()
    message = error_of(root, tmp_path)
    assert "3 of 20 pairs can't be used" in message
    assert all(name in message for name in ("A/p01.png", "B/p02.png", "A/p03.png"))
    assert message.endswith("mend or remove them, or set mine.unusable: skip (cgm add: --set unusable=skip)")


def test_one_of_many_is_left_out_and_said(tmp_path, capsys):
    for n in range(120):
        for side, rest in (("A", n), ("B", 200)):
            image(tmp_path / "mine" / "train" / side / f"p{n:03}.png", (n, rest, 0), (8, 8))
    (tmp_path / "mine" / "train" / "B" / "p050.png").write_bytes(b"?")
    data = run(tmp_path / "mine", tmp_path)
    assert "p050" not in [*data.ids("train", "A"), *data.ids("val", "A"), *data.ids("test", "A")]
    assert "mine: left out 1: train/B/p050.png: not a picture" in capsys.readouterr().err
    assert "1 of 120 pairs" in error_of(tmp_path / "mine", tmp_path / "again", unusable="stop")


def test_stray_files(root, tmp_path, capsys):
    for name in (".DS_Store", "notes.txt", "desktop.ini", "labels.csv", "._p00.png", "Thumbs.db", "something.bak"):
        (root / "train" / "A" / name).write_bytes(b"not a picture")
    assert run(root, tmp_path).card["reading"]["passed_over"]["count"] == 7
    assert "mine: passed over 7 files: no pictures" in capsys.readouterr().err
    image(root / "train" / "A" / "p04.bmp")
    assert "the same name as train/A/p04.bmp but for the suffix; rename one of them" in error_of(root, tmp_path / "again")


def test_missing_folder_and_too_few_images(root, tmp_path):
    assert "nowhere: not found; expected a folder of pictures" in error_of(tmp_path / "nowhere", tmp_path)
    pairs(tmp_path / "two", "train", 2)
    assert "too few to carve test and val from" in error_of(tmp_path / "two", tmp_path)
    pairs(tmp_path / "few", "train", 8)
    assert "found 6 training pictures of side A after carving test and val, expected 8 or more" in error_of(tmp_path / "few", tmp_path)
    (tmp_path / "empty" / "train" / "A").mkdir(parents=True)
    assert "found no training pictures of side A" in error_of(tmp_path / "empty", tmp_path)


def test_file_or_settings_changed_since_fetch(root, tmp_path):
    settings = FOLDER.Settings(source="folder", path=str(root), kimg=1.0, image_size=32)
    raw = tmp_path / "raw" / "mine"
    FOLDER.fetch(settings, raw, paired=True)
    with pytest.raises(UserError, match="found paired True, expected False"):
        prepare(settings, raw, tmp_path / "prepared", name="mine", paired=False)
    image(root / "train" / "B" / "p02.png", (1, 2, 3))
    with pytest.raises(UserError, match=r"p02\.png: changed since it was fetched"):
        prepare(settings, raw, tmp_path / "prepared", name="mine", paired=True)
    assert not (tmp_path / "prepared").exists()
    assert len(read_listing(raw)) == 40


def test_a_listing_that_is_missing_or_damaged(root, tmp_path):
    with pytest.raises(UserError, match=r"mine/listing\.csv: not found; run python -m pipeline\.fetch dataset=mine first"):
        read_listing(tmp_path / "mine")
    run(root, tmp_path)
    path = tmp_path / "raw" / "mine" / "listing.csv"
    for damaged in (b"split,side\ntrain,A\n", b"\xff\n", path.read_bytes()[:300]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"listing\.csv: not a listing; run python -m pipeline\.fetch dataset=mine again"):
            read_listing(path.parent)


def test_open_prepared_names_the_file_and_the_stage(root, tmp_path):
    folder = tmp_path / "prepared" / "mine"
    with pytest.raises(UserError, match=r"card\.json: not found; run python -m pipeline\.prepare dataset=mine"):
        open_prepared(folder)
    run(root, tmp_path)
    (folder / "val" / "B.npy").rename(folder / "val" / "C.npy")
    with pytest.raises(UserError, match=r"B\.npy: not found; run python -m pipeline\.prepare"):
        open_prepared(folder)
    np.save(folder / "val" / "B.npy", np.zeros((2, 32, 32, 3), np.float32))
    with pytest.raises(UserError, match=r"found float32 \(2, 32, 32, 3\), expected uint8"):
        open_prepared(folder)
    (folder / "val" / "B.npy").write_bytes((folder / "val" / "C.npy").read_bytes()[:-1])
    with pytest.raises(UserError, match=r"B\.npy: not a whole \.npy file"):
        open_prepared(folder)
    (folder / "val" / "C.npy").rename(folder / "val" / "B.npy")
    open_prepared(folder)
    index = (folder / "index.csv").read_text().splitlines(keepends=True)
    (folder / "index.csv").write_text("".join(index[:-1]))
    with pytest.raises(UserError, match=r"index\.csv: found 2 rows for test A, expected 3"):
        open_prepared(folder)
    (folder / "index.csv").write_text("".join(index))
    card = json.loads((folder / "card.json").read_text())
    del card["counts"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"card\.json or index\.csv isn't valid"):
        open_prepared(folder)


def identity(root, tmp_path):
    return FOLDER.identity(FOLDER.Settings(source="folder", path=str(root), kimg=1.0), tmp_path)


def test_what_a_file_manager_leaves_does_not_count(root, tmp_path):
    before = identity(root, tmp_path)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._p00.png"):
        (root / "train" / "A" / name).write_bytes(b"not a picture")
        (root / name).write_bytes(b"not a picture")
    assert identity(root, tmp_path) == before
    assert len(run(root, tmp_path).ids("train", "A")) == 15


def test_pictures_count_by_content_not_by_time(root, tmp_path):
    before = identity(root, tmp_path)
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)  # without the times
    shutil.rmtree(root)
    (tmp_path / "copy").rename(root)
    assert identity(root, tmp_path) == before
    picture = root / "train" / "A" / "p03.png"
    data = picture.read_bytes()
    times = picture.stat().st_atime_ns, picture.stat().st_mtime_ns
    picture.write_bytes(data[::-1])  # as long as it was, and its time set back
    os.utime(picture, ns=times)
    assert identity(root, tmp_path) != before
    picture.write_bytes(data)
    assert identity(root, tmp_path) == before
    picture.rename(picture.with_name("p99.png"))
    assert identity(root, tmp_path) != before


def test_a_picture_is_read_once_while_it_stays_as_it_is(root, tmp_path, monkeypatch):
    before = identity(root, tmp_path)
    monkeypatch.setattr("cgm.data.sources.folder.sha256", lambda path: pytest.fail(f"{path} was read again"))
    assert identity(root, tmp_path) == before


def test_a_folder_that_is_gone_says_nothing(root, tmp_path):
    assert identity(tmp_path / "gone", tmp_path)["files"] is None


def test_a_folder_that_is_gone_stops_a_fetch_before_anything_starts(root, tmp_path):
    FOLDER.check(FOLDER.Settings(source="folder", path=str(root), kimg=1.0), tmp_path)
    with pytest.raises(UserError, match=r"gone: not found; expected a folder of pictures, or a table of pairs"):
        FOLDER.check(FOLDER.Settings(source="folder", path="gone", kimg=1.0), tmp_path)


def test_a_name_that_is_not_utf_8_is_one_line(root, tmp_path):
    (root / "train" / "A" / os.fsdecode(b"caf\xe9.png")).touch()
    assert "found a file name that isn't UTF-8, b'caf\\xe9.png'; rename the file" in error_of(root, tmp_path)
    with pytest.raises(UserError, match="isn't UTF-8"):
        identity(root, tmp_path)


def test_a_control_character_in_a_name_is_one_line(root, tmp_path):
    image(root / "train" / "A" / "scan\r1.png")
    assert r"found a control character in the file name 'scan\r1.png'; rename the file" in error_of(root, tmp_path)


def test_the_card_says_how_the_folder_was_read(root, tmp_path, capsys):
    reading = run(root, tmp_path).card["reading"]
    assert (reading["layout"], reading["sizes"], reading["carved"]) == ("split-folders", "40×40", ["test", "val"])
    assert "mine: found train/A, train/B: train 15 A, 15 B; val 2 A, 2 B; test 3 A, 3 B; 40×40 px" in capsys.readouterr().err


def test_another_way_of_reading_must_be_fetched_first(root, tmp_path):
    run(root, tmp_path)
    settings = FOLDER.Settings(source="folder", path=str(root), kimg=1.0, image_size=32, ground="#000000")
    with pytest.raises(UserError, match=r"found ground '#ffffff', expected '#000000' as in params\.yaml; run .*fetch dataset=mine again"):
        prepare(settings, tmp_path / "raw" / "mine", tmp_path / "prepared" / "mine", name="mine", paired=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "expected path, or a and b"),
        ({"path": "x", "a": "y", "b": "z"}, "expected path, or a and b"),
        ({"a": "y"}, "expected path, or a and b"),
        ({"path": "x", "group": "("}, "expected a regular expression"),
        ({"path": "x", "ground": "white"}, "expected a colour such as '#ffffff'"),
        ({"path": "x", "value_range": [5, 5]}, "expected [low, high] with low < high"),
        ({"path": "x", "layout": "sidewise"}, "side-by-side"),
        ({"path": "x", "condition": "blur"}, "downscale-4"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValidationError) as error:
        FOLDER.Settings(source="folder", kimg=1.0, **settings)
    assert message in str(error.value)
