"""A user's own folder, the rasteriser's treatment of odd files, and opening what was prepared."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from cgm.core.errors import UserError
from cgm.data.listing import hash_order, read_listing
from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.raster import rasterise
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
    data = run(root, tmp_path, paired=False)
    assert (data.paired, data.hidden_pairs) == (False, True)
    assert (len(data.ids("train", "A")), len(data.ids("train", "B"))) == (20, 25)
    assert data.ids("test", "A") == data.ids("test", "B")


def test_unpaired_without_pairs_claims_none(root, tmp_path):
    data = run(root, tmp_path, paired=False)
    assert (data.paired, data.hidden_pairs) == (False, False)


def test_name_without_a_counterpart(root, tmp_path):
    (root / "train" / "B" / "p03.png").unlink()
    message = error_of(root, tmp_path)
    assert "p03.png" in message
    assert "equal names" in message


def test_pair_of_two_sizes(root, tmp_path):
    image(root / "train" / "B" / "p07.png", size=(40, 48))
    message = error_of(root, tmp_path)
    assert "p07.png: found 40×48 px, expected 40×40 px" in message


@pytest.mark.parametrize("damage", ["text", "truncated", "empty", "16 bits"])
def test_unreadable_image(root, tmp_path, damage):
    path = root / "train" / "A" / "p09.png"
    if damage == "16 bits":
        Image.fromarray(np.full((40, 40), 40000, np.uint16)).save(path)
    else:
        Image.effect_noise((40, 40), 50).save(path)
        data = path.read_bytes()
        path.write_bytes({"text": b"not an image", "truncated": data[: len(data) // 2], "empty": b""}[damage])
    assert "p09.png: not a readable image" in error_of(root, tmp_path)


def test_stray_files(root, tmp_path):
    (root / "train" / "A" / ".DS_Store").write_bytes(b"")
    (root / "train" / "A" / "notes.txt").write_text("?")
    assert "notes.txt: found .txt, expected an image" in error_of(root, tmp_path)
    (root / "train" / "A" / "notes.txt").unlink()
    image(root / "train" / "A" / "p04.bmp")
    assert "the same name" in error_of(root, tmp_path)


def test_missing_folder_and_too_few_images(root, tmp_path):
    assert "nowhere" in error_of(tmp_path / "nowhere", tmp_path)
    pairs(tmp_path / "two", "train", 2)
    assert "too few to carve" in error_of(tmp_path / "two", tmp_path)
    (tmp_path / "empty" / "train" / "A").mkdir(parents=True)
    assert "found no images" in error_of(tmp_path / "empty", tmp_path)


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


def test_a_picture_that_is_gone_since_it_was_fetched(tmp_path):
    with pytest.raises(UserError, match=r"gone\.png: can't be read \(No such file or directory\); run the fetch stage again"):
        rasterise(tmp_path / "gone.png", 32)


def test_alpha_is_laid_on_white_and_padding_is_white(tmp_path):
    picture = np.zeros((32, 64, 4), np.uint8)
    picture[:, :32] = (0, 0, 0, 0)
    picture[:, 32:] = (255, 0, 0, 128)
    Image.fromarray(picture).save(tmp_path / "half.png")
    pixels = rasterise(tmp_path / "half.png", 64).astype(int)
    assert (pixels[:14] == 255).all()
    assert (pixels[50:] == 255).all()
    assert (pixels[20:44, :28] == 255).all()
    assert np.abs(pixels[20:44, 36:] - (255, 127, 127)).max() <= 1


def test_reduction_is_antialiased(tmp_path):
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    pixels = rasterise(tmp_path / "stripes.png", 32).astype(int)
    assert np.abs(pixels - 127.5).max() < 8


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
    assert identity(tmp_path / "gone", tmp_path) == {"path": str(tmp_path / "gone"), "files": None}


def test_a_folder_that_is_gone_stops_a_fetch_before_anything_starts(root, tmp_path):
    FOLDER.check(FOLDER.Settings(source="folder", path=str(root), kimg=1.0), tmp_path)
    with pytest.raises(UserError, match=r"gone/train/A: not found; expected a folder of images"):
        FOLDER.check(FOLDER.Settings(source="folder", path="gone", kimg=1.0), tmp_path)


def test_a_name_that_is_not_utf_8_is_one_line(root, tmp_path):
    (root / "train" / "A" / os.fsdecode(b"caf\xe9.png")).touch()
    assert "found a file name that isn't UTF-8, b'caf\\xe9.png'; rename the file" in error_of(root, tmp_path)
    with pytest.raises(UserError, match="isn't UTF-8"):
        identity(root, tmp_path)
