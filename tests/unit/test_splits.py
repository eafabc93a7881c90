"""Groups that no carved split tears apart, and look-alikes that nobody told of."""

import numpy as np
import pytest
from PIL import Image

from cgm.core.errors import UserError
from cgm.data import splits
from cgm.data.listing import hash_order
from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.sources.folder import FOLDER
from cgm.data.survey import Look


def picture(seed, size=64):
    blocks = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((size, size), Image.Resampling.BICUBIC))


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def opened(tmp_path, *, paired=True, **settings):
    settings = FOLDER.Settings(**{"source": "folder", "path": str(tmp_path / "mine"), "kimg": 1.0, "image_size": 32, **settings})
    FOLDER.fetch(settings, tmp_path / "raw" / "mine", paired=paired)
    prepare(settings, tmp_path / "raw" / "mine", tmp_path / "prepared" / "mine", name="mine", paired=paired)
    return open_prepared(tmp_path / "prepared" / "mine")


def of_splits(data, part=0):
    """Of each split, which clips its ids name."""
    return {split: {identity.split("_")[part] for identity in data.ids(split, "A")} for split in ("train", "val", "test")}


def assert_apart(found):
    assert found["train"].isdisjoint(found["test"] | found["val"]), found
    assert found["val"].isdisjoint(found["test"]), found


@pytest.fixture
def frames(tmp_path):
    """Four clips of ten frames; a frame differs from the next by one grey level."""
    for clip in range(4):
        for side, seed in (("A", clip), ("B", 1000 + clip)):
            base = picture(seed).astype(int)
            for frame in range(10):
                save(np.clip(base + frame, 0, 255).astype(np.uint8), tmp_path / "mine" / side / f"clip{clip}_{frame:03}.png")
    return tmp_path


def test_frames_of_a_video_stay_together(frames):
    data = opened(frames)
    assert_apart(of_splits(data))
    reading = data.card["reading"]
    assert reading["groups"] == {"rules": ["look-alikes"], "of_several": 4, "pictures_in_them": 40, "largest": 10}
    assert set(reading["near twins across splits"].values()) == {0}
    assert reading["near twins in train"] > 36


def test_the_user_may_say_otherwise_and_is_told(frames, capsys):
    data = opened(frames, near_duplicates=False)
    found = of_splits(data)
    assert found["train"] & found["test"]
    assert data.card["reading"]["near twins across splits"]["train/test"] > 0
    assert "near twins stand in two splits" in capsys.readouterr().err


def test_a_regular_expression_names_the_group(tmp_path):
    for n in range(40):
        for side, seed in (("A", n), ("B", 1000 + n)):
            save(picture(seed), tmp_path / "mine" / side / f"s{n // 8}_{n % 8}.png")
    data = opened(tmp_path, group="^(s[0-9])_")
    assert_apart(of_splits(data))
    assert data.card["reading"]["groups"]["rules"] == ["group: ^(s[0-9])_", "look-alikes"]
    assert data.card["leakage"]["train/test"]["shared_groups"] == 0


def test_a_table_s_groups(tmp_path):
    rows = []
    for n in range(40):
        for side, seed in (("in", n), ("out", 1000 + n)):
            save(picture(seed), tmp_path / "mine" / side / f"{n % 5}_{n}.png")
        rows.append(f"in/{n % 5}_{n}.png,out/{n % 5}_{n}.png,scan{n % 5}")
    (tmp_path / "mine" / "pairs.csv").write_text("a,b,group\n" + "\n".join(rows) + "\n")
    assert_apart(of_splits(opened(tmp_path)))


def test_unpaired_sides_are_carved_each_by_its_own_groups(frames):
    data = opened(frames, paired=False)
    for side in "AB":
        assert_apart({split: {identity.split("_")[0] for identity in data.ids(split, side)} for split in ("train", "val", "test")})


def test_without_groups_the_carving_is_by_the_hash_of_the_id_alone():
    ids = [f"p{n}" for n in range(40)]
    found = splits.carve(ids, ["test", "val"], {}, "here")
    order = hash_order(ids)
    assert (found["test"], found["val"], found["train"]) == (sorted(order[:6]), sorted(order[6:10]), sorted(order[10:]))


def test_a_large_group_is_passed_over_while_there_are_smaller_ones():
    ids = [f"p{n:02}" for n in range(40)]
    groups = dict.fromkeys(ids[:30], "large")
    found = splits.carve(ids, ["test", "val"], groups, "here")
    assert set(ids[:30]) <= set(found["train"])


def test_one_group_alone_can_t_be_carved():
    ids = [f"p{n}" for n in range(20)]
    with pytest.raises(
        UserError, match=r"here: found 20 images in 1 groups, too few to carve .*; add images, or say which belong together"
    ):
        splits.carve(ids, ["test", "val"], dict.fromkeys(ids, "all"), "here")


def look(bits, level):
    return Look(hash=bits, thumb=bytes([level]) * 768)


def test_look_alikes_share_hash_and_colours():
    looks = [look(0, 100), look(0b1111, 110), look(0b11111, 100), look(0, 200), Look(one_colour=True, thumb=bytes(768))]
    assert splits.near_twins(looks).tolist() == [[0, 1], [1, 2]]
    assert splits.near_twins([]).shape == splits.near_twins([Look(one_colour=True)]).shape == (0, 2)


def test_many_pictures_are_compared_in_blocks(monkeypatch):
    generator = np.random.default_rng(0)
    looks = [look(int(bits), 50) for bits in generator.integers(0, 2**63, 300)]
    looks += looks[:7]
    expected = [[n, 300 + n] for n in range(7)]
    assert splits.near_twins(looks).tolist() == expected
    monkeypatch.setattr(splits, "BLOCK", 11)
    assert sorted(splits.near_twins(looks).tolist()) == expected


def test_groups_do_not_depend_on_the_order_of_joining():
    edges = [(("", "c"), ("", "b")), (("", "a"), ("", "b")), (("", "e"), ("", "d"))]
    for order in (edges, edges[::-1]):
        union = splits.Groups()
        for first, second in order:
            union.join(first, second)
        assert [union.of(("", name))[1] for name in "abcde"] == ["a", "a", "a", "d", "d"]


def test_twins_of_twins_are_one_family():
    twins = np.array([[0, 2], [2, 5], [3, 4]])
    assert splits.families(twins, 6).tolist() == [0, 1, 0, 3, 3, 0]
    assert splits.families(np.empty((0, 2), np.int64), 3).tolist() == [0, 1, 2]
    assert splits.in_both(twins, np.array([[2, 5], [0, 4]])).tolist() == [[2, 5]]
    assert splits.in_both(np.empty((0, 2), np.int64), twins).tolist() == []
    assert splits.across(twins, ["train", "val", "test", "train", "train", "val"]) == {"train/val": 0, "val/test": 1, "train/test": 1}
