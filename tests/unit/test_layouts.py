"""How people lay out their pictures: each layout is found by itself, and what fits none or several is told."""

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from cgm.core.errors import UserError
from cgm.data import layouts
from cgm.data.layouts import read
from cgm.data.sources.folder import FOLDER


def files(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def found(root, layout="auto", singles=False):
    """Layout, and ids by split and side."""
    name, sides = read(root, layout, singles=singles)
    return name, {split: {side: [item.id for item in items] for side, items in by_side.items()} for split, by_side in sides.items()}


def error_of(root, layout="auto", singles=False):
    with pytest.raises(UserError) as error:
        read(root, layout, singles=singles)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_a_split_and_side(tmp_path):
    files(tmp_path, "train/A/1.png", "train/B/1.jpg", "Test/a/2.png", "Test/b/2.png", "valid/A/3.png", "valid/B/3.png", "readme.md")
    assert found(tmp_path) == ("split-folders", {
        "test": {"A": ["2"], "B": ["2"]}, "train": {"A": ["1"], "B": ["1"]}, "val": {"A": ["3"], "B": ["3"]},
    })  # fmt: skip


def test_cyclegan_s_folders(tmp_path):
    files(tmp_path, "trainA/1.jpg", "trainB/7.jpg", "testA/2.jpg", "testB/3.jpg", "test_b/4.jpg")
    assert found(files(tmp_path / "own", "trainA/1.jpg", "trainB/7.jpg", "testA/2.jpg", "testB/3.jpg"))[0] == "joined-folders"


def test_two_folders_and_folders_of_folders(tmp_path):
    files(tmp_path, "A/s0/1.png", "A/s1/1.png", "B/s0/1.png", "B/s1/1.png")
    assert found(tmp_path) == ("flat-folders", {"train": {"A": ["s0/1", "s1/1"], "B": ["s0/1", "s1/1"]}})


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_two_pictures_in_a_file(tmp_path, prefix):
    files(tmp_path, f"{prefix}1.jpg", f"{prefix}2.jpg", "LICENSE.txt")
    assert found(tmp_path) == ("side-by-side", {"train": {"A": ["1", "2"], "B": ["1", "2"]}})
    sides = read(tmp_path, "auto", singles=False)[1]["train"]
    assert {(side, item.part) for side in "AB" for item in sides[side]} == {("A", "left"), ("B", "right")}


@pytest.mark.parametrize("prefix", ["", "train/", "holiday/"])
def test_single_pictures(tmp_path, prefix):
    files(tmp_path, f"{prefix}1.jpg", f"{prefix}2.jpg")
    name, sides = found(tmp_path, singles=True)
    assert (name, list(sides["train"])) == ("single", ["B"])
    assert len(sides["train"]["B"]) == 2


def test_a_table(tmp_path):
    files(tmp_path, "in/1.png", "in/2.png", "out/x.png", "out/y.png", "in/3.png")
    (tmp_path / "pairs.csv").write_text("a,b,split,group\nin/1.png,out/x.png,,s\nin/2.png,out/y.png,validation,\nin/3.png,,test,\n")
    assert found(tmp_path) == (
        "table",
        {"train": {"A": ["in/1"], "B": ["in/1"]}, "val": {"A": ["in/2"], "B": ["in/2"]}, "test": {"A": ["in/3"]}},
    )
    assert found(tmp_path / "pairs.csv")[0] == "table"
    assert read(tmp_path, "auto", singles=False)[1]["train"]["A"][0].group == "s"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("x,y\n1,2\n", "found the columns x, y, expected a,b[,split][,group]"),
        ("a,b\n", "found no rows"),
        ("a,b\ngone.png,1.png\n", "line 2: "),
        ("a,b\n1.png,\n", "found no file for b"),
        ("a,b,split\n1.png,1.png,holdout\n", "found split 'holdout', expected one of train, val, test"),
        ("a,b\n1.png,1.png\n1.png,1.png\n", "line 3: 1.png stands in the table twice"),
        ("a,b\n\xff", "not a CSV file in UTF-8"),
    ],
)
def test_a_table_that_says_nonsense(tmp_path, rows, message):
    files(tmp_path, "1.png")
    (tmp_path / "pairs.csv").write_bytes(rows.encode("latin-1"))
    assert message in error_of(tmp_path)


def test_any_two_folders_are_named_and_what_to_write(tmp_path):
    message = error_of(files(tmp_path, "sketches/1.png", "photos/1.jpg", "photos/2.jpg"))
    assert "found folders photos (2 files), sketches (1 file); 0 files that may be pictures, which fits no layout" in message
    assert f"write a: {tmp_path / 'photos'}, b: {tmp_path / 'sketches'} in place of path:" in message
    sides = layouts.two_folders(tmp_path / "sketches", tmp_path / "photos")["train"]
    assert [len(sides[side]) for side in "AB"] == [1, 2]
    with pytest.raises(UserError, match="gone: not found"):
        layouts.two_folders(tmp_path / "sketches", tmp_path / "gone")
    assert f"in place of path: (cgm add NAME {tmp_path / 'photos'} {tmp_path / 'sketches'})" in message


def test_one_folder_is_no_two(tmp_path):
    files(tmp_path, "x/1.png", "x/below/1.png")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    for other in ("x", "x/../x", "link"):
        with pytest.raises(UserError, match=r"x: the same folder as .*; expected two folders apart"):
            layouts.two_folders(tmp_path / "x", tmp_path / other)
    for a, b in (("x", "x/below"), ("x/below", "x")):
        with pytest.raises(UserError, match=r"x: holds .*/x/below; expected two folders apart"):
            layouts.two_folders(tmp_path / a, tmp_path / b)


def test_a_picture_is_neither_a_folder_nor_a_table(tmp_path):
    message = error_of(files(tmp_path, "000.jpg") / "000.jpg")
    assert "000.jpg: found a file, expected a folder of pictures, or a table of pairs (pairs.csv)" in message


@pytest.mark.parametrize("key", ["path", "a", "b"])
def test_an_address_is_no_folder(key):
    places = {"path": "https://e.org/x.zip"} if key == "path" else {"a": "x", "b": "x", key: "https://e.org/x.zip"}
    with pytest.raises(UserError) as error:
        FOLDER.check(FOLDER.Settings(source="folder", kimg=1.0, **places), Path())
    assert str(error.value).endswith('an entry of its own in params.yaml: {source: url, url: "https://e.org/x.zip", …}')


def test_a_folder_that_fits_nothing_is_told_all_layouts(tmp_path):
    message = error_of(files(tmp_path, "x/1.png", "y/1.png", "z/1.png"))
    assert all(title in message for title in layouts.TITLES.values())
    assert "single pictures with condition: (cgm add: --set condition=grey)" in message


@pytest.mark.parametrize("names", [("A", "B"), ("trainA", "trainB"), ("train/A", "train/B")])
@pytest.mark.parametrize("nest", ["data", "set/data"])
def test_a_folder_that_is_laid_out_further_down_is_named(tmp_path, names, nest):
    files(tmp_path, "notes/x.png", *(f"{nest}/{name}/1.png" for name in names))
    message = error_of(tmp_path)
    assert f"; {tmp_path / nest} is laid out as {', '.join(names)}: name that folder" in message


def test_a_mistake_further_down_is_no_answer(tmp_path):
    files(tmp_path, "x/1.png", "y/1.png")
    (tmp_path / "x/pairs.csv").write_text("nonsense\n")
    assert "for pairs of these two folders write a:" in error_of(tmp_path)


def test_what_fits_several_layouts_stops_and_the_named_one_wins(tmp_path):
    files(tmp_path, "A/1.png", "B/1.png", "train/A/1.png", "train/B/1.png")
    message = error_of(tmp_path)
    assert "which fits several layouts (split-folders, flat-folders); say which with layout:" in message
    assert found(tmp_path, "flat-folders")[0] == "flat-folders"
    assert "isn't laid out as joined-folders (trainA, trainB): found folders A (1 file)" in error_of(tmp_path, "joined-folders")


def test_one_split_under_two_names(tmp_path):
    assert "test and testing are both the test split; keep one of them" in error_of(
        files(tmp_path, "train/A/1.png", "train/B/1.png", "test/A/1.png", "testing/A/1.png")
    )


def test_names_are_composed(tmp_path):
    """A Mac writes é as two code points, others as one."""
    files(tmp_path, "A/" + unicodedata.normalize("NFC", "é") + ".png", "B/" + unicodedata.normalize("NFD", "é") + ".png")
    sides = found(tmp_path)[1]["train"]
    assert sides["A"] == sides["B"]


def test_every_layout_is_explained_and_may_be_named():
    assert {*layouts.LAYOUTS, "two-folders"} == set(layouts.TITLES)
    named = FOLDER.Settings.model_json_schema()["properties"]["layout"]["enum"]
    assert set(named) == {"auto", *layouts.LAYOUTS}


def test_files_beside_the_layout_are_told(tmp_path, capsys):
    for n in range(20):
        for side in "AB":
            path = tmp_path / "mine" / "train" / side / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (10 * n, 0, ord(side))).save(path)
    (tmp_path / "mine" / "holdout").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "mine" / "holdout" / "x.png")
    FOLDER.fetch(FOLDER.Settings(source="folder", path=str(tmp_path / "mine"), kimg=1.0), tmp_path / "raw" / "mine", paired=True)
    assert "mine: passed over 1 file in holdout, no part of the layout" in capsys.readouterr().err
