"""What people of this field really have in their folders, and what becomes of it; each case with its neighbours."""

import shutil
import struct
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cgm.core.errors import UserError
from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.raster import label_colours
from cgm.data.sources.folder import FOLDER

COUNT = 24


def picture(seed, width=32, height=32):
    blocks = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def pairs(root, count=COUNT, suffix=".png", width=32, height=32, split="train", start=0):
    for n in range(start, start + count):
        save(picture(n, width, height), root / split / "A" / f"{n:03}{suffix}")
        save(picture(1000 + n, width, height), root / split / "B" / f"{n:03}{suffix}")
    return root


def opened(root, tmp_path, *, paired=True, **settings):
    place = {} if "a" in settings else {"path": str(root)}
    settings = FOLDER.Settings(**{"source": "folder", "kimg": 1.0, "image_size": 32, **place, **settings})
    FOLDER.check(settings, tmp_path)
    FOLDER.fetch(settings, tmp_path / "raw" / "mine", paired=paired)
    prepare(settings, tmp_path / "raw" / "mine", tmp_path / "prepared" / "mine", name="mine", paired=paired)
    return open_prepared(tmp_path / "prepared" / "mine")


def counts(data, side="A"):
    return [len(data.ids(split, side)) for split in ("train", "val", "test")]


def error_of(root, tmp_path, **settings):
    with pytest.raises(UserError) as error:
        opened(root, tmp_path, **settings)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "prepared").exists()
    return str(error.value)


@pytest.fixture
def mine(tmp_path):
    return tmp_path / "mine"


def both(n, width=64, height=32):
    wide = Image.new("RGB", (width, height))
    wide.paste(picture(n, width // 2, height), (0, 0))
    wide.paste(picture(1000 + n, width - width // 2, height), (width // 2, 0))
    return wide


def near(found, image):
    return np.abs(found.astype(int) - np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC))).mean() < 2


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_1_side_by_side(mine, tmp_path, direction):
    for split, start, count in (("train", 0, 20), ("val", 30, 5), ("test", 40, 6)):
        for n in range(start, start + count):
            save(both(n), mine / split / f"{n}.png")
    data = opened(mine, tmp_path, direction=direction)
    assert counts(data) == counts(data, "B") == [20, 5, 6]
    left, right = ("A", "B") if direction == "AtoB" else ("B", "A")
    for place, identity in enumerate(data.ids("test", "A")):
        assert near(data.images("test", left)[place], picture(int(identity)))
        assert near(data.images("test", right)[place], picture(1000 + int(identity)))


def test_2_side_by_side_without_splits_and_of_odd_widths(mine, tmp_path, capsys):
    for n in range(COUNT):
        save(both(n, (64, 63, 66)[n % 3]), mine / f"{n}.png")
    assert counts(opened(mine, tmp_path)) == [18, 2, 4]
    assert "mine: the middle column of 8 files of odd width belongs to neither picture" in capsys.readouterr().err


def test_single_pictures_are_not_torn_in_two(mine, tmp_path):
    for n in range(COUNT):
        save(picture(n, 48, 32), mine / f"{n}.png")
    message = error_of(mine, tmp_path)
    assert "look like single pictures rather than two side by side" in message
    assert counts(opened(mine, tmp_path, layout="side-by-side")) == [18, 2, 4]


def test_3_cyclegan_s_folders(mine, tmp_path):
    for name, start, count in (("trainA", 0, 20), ("trainB", 100, 14), ("testA", 200, 5), ("testB", 300, 6)):
        for n in range(count):
            save(picture(start + n), mine / name / f"{n}.jpg", quality=95)
    data = opened(mine, tmp_path, paired=False)
    assert (counts(data), counts(data, "B")) == ([18, 2, 5], [13, 1, 6])
    assert data.hidden_pairs is False
    message = error_of(mine, tmp_path / "paired")
    assert "7 of 26 pairs can't be used" in message
    assert "; if A and B aren't pairs, the dataset's place is unpaired.datasets, and not datasets (cgm add: --unpaired)" in message
    assert "or set mine.unusable: skip (cgm add: --set unusable=skip)" in message


def test_4_two_folders_with_names_of_their_own(mine, tmp_path):
    for n in range(COUNT):
        save(picture(n), mine / "sketches" / f"{n}.png")
        save(picture(1000 + n), mine / "photos" / f"{n}.jpg", quality=95)
    data = opened(mine, tmp_path, a=str(mine / "sketches"), b=str(mine / "photos"))
    assert counts(data) == [18, 2, 4]
    assert near(data.images("test", "A")[0], picture(int(data.ids("test", "A")[0])))
    assert "for pairs of these two folders write a:" in error_of(mine, tmp_path / "x")


def test_5_a_folder_a_subject(mine, tmp_path):
    for n in range(COUNT):
        for side, seed in (("A", n), ("B", 1000 + n)):
            save(picture(seed), mine / side / f"subject{n // 6}" / f"{n % 6}.png")
    data = opened(mine, tmp_path, group="^[^/]+")
    found = [{identity.split("/")[0] for identity in data.ids(split, "A")} for split in ("train", "val", "test")]
    assert sorted(map(len, found)) == [1, 1, 2]
    assert not found[0] & found[1] | found[0] & found[2] | found[1] & found[2]


def deep(path, values):
    """A 16-bit PNG of H×W×C: grey and alpha or RGB, neither of which Pillow writes."""
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, {2: 4, 3: 2}[values.shape[2]], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize("kind", ["grey", "grey and alpha", "rgb"])
def test_6_and_m11_sixteen_bits_of_which_twelve_are_used(mine, tmp_path, capsys, kind):
    pairs(mine)
    for n in range(COUNT):
        values = np.asarray(picture(n)).astype(np.uint16) * 16
        path = mine / "train" / "A" / f"{n:03}.png"
        if kind == "grey":
            Image.fromarray(np.ascontiguousarray(values[..., 1])).save(path)
        elif kind == "rgb":
            deep(path, values)
        else:
            deep(path, np.dstack([values[..., 1], np.full(values.shape[:2], 65535, np.uint16)]))
    dark = opened(mine, tmp_path)
    assert dark.images("train", "A").max() <= 16
    assert "side A holds uint16 values up to 4080, 6.2 % of their range, and is nearly black; set value_range" in capsys.readouterr().err
    data = opened(mine, tmp_path, value_range=[0, 4080])
    expected = np.asarray(picture(int(data.ids("train", "A")[0])))
    assert np.abs(data.images("train", "A")[0].astype(int) - (expected if kind == "rgb" else expected[..., 1:2])).max() <= 1
    assert data.images("train", "B").max() > 200, "8 bits need no range"
    sides = opened(mine, tmp_path, value_range={"A": [0, 8160]})
    assert abs(int(sides.images("train", "A").max()) * 2 - int(data.images("train", "A").max())) <= 1


def test_an_expression_that_groups_nothing_is_an_error_and_one_that_misses_some_is_told(mine, tmp_path, capsys):
    for n in range(COUNT):
        for side, seed in (("A", n), ("B", 1000 + n)):
            save(picture(seed), mine / side / f"clip{n // 4}_{n % 4}.png")
    message = error_of(mine, tmp_path, group="^subject([0-9]+)")
    assert f"mine: group: ^subject([0-9]+) matched 0 of {COUNT} ids, such as 'clip0_0'; expected a regular expression that finds" in message
    assert f"matched 0 of {COUNT} ids" in error_of(mine, tmp_path, group="^(subject)?"), "a group that finds nothing"
    opened(mine, tmp_path, group="^(clip[1-5])_")
    assert (
        f"mine: group: ^(clip[1-5])_ matched {COUNT - 4} of {COUNT} ids; of the others, such as 'clip0_0', each" in capsys.readouterr().err
    )
    opened(mine, tmp_path, group="^(clip[0-5])_")
    assert "matched" not in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".svg", ".SVG"])
@pytest.mark.parametrize("content", ["svg", "png"])
def test_a_folder_of_svg_drawings_is_refused_whatever_they_hold(mine, tmp_path, suffix, content):
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><circle cx="9" cy="9" r="5"/></svg>'
    pairs(mine)
    for path in [*(mine / "train/A").iterdir()]:
        data = drawing if content == "svg" else path.read_bytes()
        path.with_suffix(suffix).write_bytes(data)
        path.unlink()
    message = error_of(mine, tmp_path)
    assert (
        f"{COUNT} of {COUNT} pairs can't be used: train/A/000{suffix}: an SVG drawing, which is not read from folders; render it" in message
    )


def test_pictures_smaller_than_any_size_are_told(mine, tmp_path, capsys):
    for n in range(COUNT):
        save(picture(n, *((1, 3) if n == 4 else (32, 32))), mine / f"{n}.png")
    opened(mine, tmp_path, condition="grey")
    told = "mine: side B: 1 picture with a side below 32 px, the least image_size, must be enlarged; the smallest has 1×3 px"
    assert told in capsys.readouterr().err


def test_a_table_is_not_passed_over(mine, tmp_path, capsys):
    lines = ["a,b"]
    for n in range(COUNT):
        save(picture(n), mine / "in" / f"{n}.png")
        save(picture(1000 + n), mine / "out" / f"{n}.png")
        lines.append(f"in/{n}.png,out/{n}.png")
    (mine / "other.csv").write_text("\n".join(lines))
    opened(mine / "other.csv", tmp_path)
    assert "passed over" not in capsys.readouterr().err
    (mine / "pairs.csv").write_text("\n".join(lines))
    data = opened(mine, tmp_path)
    assert data.card["reading"]["passed_over"] == {"count": 1, "files": ["other.csv"]}
    assert "mine: passed over 1 file: no pictures" in capsys.readouterr().err


def test_8_what_lies_beside_pictures(mine, tmp_path):
    pairs(mine)
    for name in ("desktop.ini", "notes.txt", "._000.png", "labels.csv", ".DS_Store", "Thumbs.db"):
        (mine / "train" / "A" / name).write_bytes(b"not a picture")
    data = opened(mine, tmp_path)
    assert counts(data) == [18, 2, 4]
    assert data.card["reading"]["passed_over"] == {
        "count": 6,
        "files": [f"train/A/{name}" for name in (".DS_Store", "._000.png", "Thumbs.db", "desktop.ini", "labels.csv", "notes.txt")],
    }


def test_10_photographs_get_no_bars_and_drawings_no_cut(mine, tmp_path):
    data = opened(pairs(mine, suffix=".jpg", width=160, height=90), tmp_path)
    assert data.card["fit"] == "crop"
    assert data.images("train", "B")[:, (0, -1)].mean() < 250
    assert opened(mine, tmp_path, fit="pad").images("train", "B")[:, 0].min() == 255
    for n in range(COUNT):
        for side, fill in (("A", None), ("B", (n, 99, 200))):
            image = Image.new("RGB", (60, 30), "white")
            ImageDraw.Draw(image).ellipse((6, 6 + n % 5, 50, 24), outline="black", fill=fill)
            save(image, tmp_path / "drawings" / side / f"{n}.png")
    data = opened(tmp_path / "drawings", tmp_path, near_duplicates=False)
    assert data.card["fit"] == "pad"
    assert (data.images("train", "A")[:, :4] == 255).all()


def test_12_every_mode_in_one_folder(mine, tmp_path):
    turned = Image.Exif()
    turned[274] = 6
    pairs(mine)
    folder = mine / "train" / "A"
    for n in (0, 3, 4, 5):
        (folder / f"{n:03}.png").unlink()
    save(picture(0).convert("CMYK"), folder / "000.jpg", quality=95)
    save(picture(1).convert("P"), folder / "001.png", transparency=3)
    save(picture(2).convert("1"), folder / "002.png")
    save(picture(3), folder / "003.gif")
    save(picture(4), folder / "004.webp", lossless=True)
    save(picture(5).transpose(Image.Transpose.ROTATE_90), folder / "005.jpg", exif=turned, quality=95)
    data = opened(mine, tmp_path)
    for split in ("train", "val", "test"):
        for identity, found in zip(data.ids(split, "A"), data.images(split, "A"), strict=True):
            assert identity in ("001", "002", "003") or np.abs(found.astype(int) - np.asarray(picture(int(identity)))).mean() < 5, identity


def test_m3_strangers_of_one_name_are_no_pairs(mine, tmp_path):
    for split, count, start in (("train", 20, 0), ("val", 6, 100), ("test", 8, 200)):
        pairs(mine, count, split=split, start=start)
    save(picture(7, 48, 48), mine / "val" / "B" / "103.png")
    data = opened(mine, tmp_path, paired=False)
    assert (data.hidden_pairs, data.aligned) == (False, False)
    data = opened(mine, tmp_path, paired=False, hidden_pairs=True)
    assert (data.hidden_pairs, data.aligned) == (True, True)
    (mine / "val" / "B" / "103.png").unlink()
    assert "hidden_pairs: true, but '103' stands on one side of val only" in error_of(mine, tmp_path / "x", paired=False, hidden_pairs=True)


def test_hidden_pairs_are_carved_as_pairs(mine, tmp_path):
    data = opened(pairs(mine), tmp_path, paired=False, hidden_pairs=True)
    assert data.ids("test", "A") == data.ids("test", "B")
    assert counts(data) == [18, 2, 4]


@pytest.mark.parametrize("count", [3, 4, 5, 8])
def test_m6_too_few(mine, tmp_path, count):
    assert "training pictures of side A after carving test and val, expected 8 or more; add images" in error_of(
        pairs(mine, count), tmp_path
    )


@pytest.mark.parametrize("palette", [False, True])
def test_m7_masks_that_hold_class_numbers(mine, tmp_path, capsys, palette):
    pairs(mine)
    for n in range(COUNT):
        mask = Image.fromarray(np.asarray(picture(n, 16, 16).resize((32, 32), Image.Resampling.NEAREST))[..., 0] // 32)
        if palette:
            mask = mask.convert("P")
            mask.putpalette([level for number in range(8) for level in (number, 0, 255)])
        save(mask, mine / "train" / "A" / f"{n:03}.png")
    opened(mine, tmp_path)
    told = "side A holds values up to 7 of 255 and is nearly black; class numbers? then set labels: true"
    assert (told in capsys.readouterr().err) != palette
    data = opened(mine, tmp_path, labels=True, image_size=64)
    colours = {tuple(colour) for colour in label_colours()[:8].tolist()}
    assert {tuple(colour) for colour in data.images("train", "A").reshape(-1, 3).tolist()} <= colours


@pytest.mark.parametrize("value", [(1, b"\6\0\0\0"), (2, b"6\0\0\0"), (7, b"\6\0\0\0"), (3, b"\x09\0\0\0")])
def test_m8_an_orientation_of_a_wrong_type(mine, tmp_path, value):
    pairs(mine, suffix=".jpg")
    tag = b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, 0x112, value[0], 1) + value[1] + struct.pack("<I", 0)
    save(picture(3), mine / "train" / "A" / "003.jpg", exif=tag)
    assert counts(opened(mine, tmp_path)) == [18, 2, 4]


def test_m9_splits_by_other_names(mine, tmp_path):
    for split, count, start in (("train", 20, 0), ("valid", 6, 100), ("Test", 8, 200)):
        pairs(mine, count, split=split, start=start)
    assert counts(opened(mine, tmp_path)) == [20, 6, 8]


@pytest.mark.parametrize("names", ["{n:04}_{side}", "{side}-{n:04}", "{n:04}_x{side}y"])
def test_m10_an_affix_a_side(mine, tmp_path, names, capsys):
    for n in range(COUNT):
        for side, seed in (("A", n), ("B", 1000 + n)):
            save(picture(seed), mine / side / f"{names.format(n=n, side=side)}.png")
    data = opened(mine, tmp_path)
    assert counts(data) == [18, 2, 4]
    assert "pairs are found by names" in capsys.readouterr().err
    assert near(data.images("test", "B")[0], picture(1000 + int(data.ids("test", "B")[0])))


def test_m12_white_on_a_transparent_ground(mine, tmp_path):
    pairs(mine)
    for n in range(COUNT):
        alpha = Image.fromarray((np.asarray(picture(n))[..., 0] > 128).astype(np.uint8) * 255)
        white = Image.new("RGBA", alpha.size, (255, 255, 255, 0))
        white.putalpha(alpha)
        save(white, mine / "train" / "A" / f"{n:03}.png")
    message = error_of(mine, tmp_path)
    assert "side A: all 24 pictures are one and the same colour on the ground #ffffff" in message
    assert opened(mine, tmp_path, ground="#000000").images("train", "A").std() > 50


def test_m14_test_conditions_without_targets(mine, tmp_path, capsys):
    pairs(mine, 20)
    pairs(mine, 6, split="test", start=50)
    shutil.rmtree(mine / "test" / "B")
    data = opened(mine, tmp_path)
    assert (counts(data), counts(data, "B")) == ([18, 2, 6], [18, 2, 0])
    assert (data.paired, data.aligned, data.aligned_in("val")) == (True, False, True)
    assert "test holds conditions without targets" in capsys.readouterr().err


def test_m15_two_sizes_of_one_shape(mine, tmp_path):
    pairs(mine)
    for n in range(COUNT):
        save(picture(1000 + n, 64, 64), mine / "train" / "B" / f"{n:03}.png")
    assert counts(opened(mine, tmp_path)) == [18, 2, 4]


def test_m16_suffixes_that_nobody_expects(mine, tmp_path):
    pairs(mine)
    folder = mine / "train" / "A"
    for n, name in ((0, "000.jfif"), (1, "001"), (2, "002.AVIF"), (3, "003.PNG")):
        (folder / f"{n:03}.png").unlink()
        picture(n).save(folder / name, "AVIF" if n == 2 else "PNG" if n == 3 else "JPEG", quality=95)
    assert counts(opened(mine, tmp_path)) == [18, 2, 4]
    (folder / "004.png").rename(folder / "004.heic")
    (folder / "004.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    assert "train/A/004.heic: not a picture, or of a format that is not read here; convert it to PNG" in error_of(mine, tmp_path / "x")


def test_m18_a_line_scan(mine, tmp_path):
    pairs(mine)
    for side in "AB":
        save(
            Image.fromarray(np.tile(np.arange(3000, dtype=np.uint16).astype(np.uint8)[:, None], (1, 60))),
            mine / "train" / side / "scan.png",
        )
    data = opened(mine, tmp_path, fit="pad")
    assert "scan" in {identity for split in ("train", "val", "test") for identity in data.ids(split, "A")}


def test_over_the_pixel_limit(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    pairs(mine)
    save(picture(3, 100, 100), mine / "train" / "A" / "003.png")
    assert "train/A/003.png: over the pixel limit (Image size (10000 pixels) exceeds limit of 4000 pixels" in error_of(mine, tmp_path)


def test_m20_accents_of_two_forms(mine, tmp_path):
    pairs(mine)
    save(picture(50), mine / "train" / "A" / (unicodedata.normalize("NFC", "Café") + ".png"))
    save(picture(51), mine / "train" / "B" / (unicodedata.normalize("NFD", "Café") + ".png"))
    data = opened(mine, tmp_path)
    assert sum(counts(data)) == COUNT + 1


def test_m23_the_home_folder(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    pairs(mine)
    assert counts(opened("~/mine", tmp_path)) == [18, 2, 4]
    assert f"{tmp_path}/gone: not found; expected a folder of pictures" in error_of("~/gone", tmp_path / "x")


def test_m28_several_pictures_in_a_file_are_told(mine, tmp_path, capsys):
    pairs(mine)
    (mine / "train" / "A" / "000.png").unlink()
    picture(0).save(mine / "train" / "A" / "000.webp", save_all=True, append_images=[picture(90)], duration=100)
    assert counts(opened(mine, tmp_path)) == [18, 2, 4]
    assert "side A: the first picture is taken of 1 file with several (animation, pages)" in capsys.readouterr().err


def test_a_folder_of_everything(mine, tmp_path, capsys):
    """Sixty pairs of mixed formats, with a truncated file, a pair of two shapes, a twin, and names in three scripts."""
    names = [*(f"bild {n}" for n in range(20)), *(f"картина{n}" for n in range(20)), *(f"写真{n}" for n in range(20))]
    for n, name in enumerate(names):
        kind = ("png", "jpg", "webp", "tif", "bmp", "gif")[n % 6]
        save(picture(n, 48, 32), mine / "A" / f"{name}.{kind}")
        save(picture(1000 + n, 48, 32), mine / "B" / f"{name}.png")
    for side, seed in (("A", 1), ("B", 1001)):  # the twin of the second
        save(picture(seed, 48, 32), mine / side / "写真 twin.png")
    path = mine / "A" / "bild 1.jpg"
    path.write_bytes(path.read_bytes()[:400])
    save(picture(1002, 48, 31), mine / "B" / "bild 2.png")
    message = error_of(mine, tmp_path)
    assert "2 of 61 pairs can't be used" in message
    data = opened(mine, tmp_path, unusable="skip")
    assert sum(counts(data)) == 59
    assert [one["file"] for one in data.card["reading"]["left_out"]] == ["A/bild 1.jpg", "B/bild 2.png"]
    assert "mine: left out 2:" in capsys.readouterr().err
