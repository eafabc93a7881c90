"""``cgm add`` and ``cgm remove``: looked at first, entered without a scratch on the rest of the file, taken out again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cgm.experiment.reading import load_params
from pipeline import cli

ROOT = Path(__file__).parents[2]

PARAMS = """\
# A comment at the top.
experiment: mine
seeds: [0, 1]   # two

compute: {device: cpu, precision: float32, threads: 1}
training: {batch_size: 2, log_points: 2}
networks:
  unet: {width: 4, norm: instance}     # small
  resnet: {width: 4, blocks: 1}
  patchgan: {width: 4, layers: 1}
datasets:
  first: {source: openmoji, kimg: 1.0}  # ours
methods:
  mae: {}
  pix2pix: {l1_weight: 100.0}
  strong: {implementation: pix2pix, l1_weight: 200.0}
# between
unpaired:
  datasets: {}
  methods:
    cyclegan: {pool_size: 5}
"""


def picture(seed):
    blocks = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((32, 32), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for n in range(24):
        for name, seed in (("sketches", n), ("photos", 1000 + n), ("trainA", 2000 + n), ("trainB", 3000 + n)):
            for place in ["two"] if name in ("sketches", "photos") else ["domains"]:
                (tmp_path / place / name).mkdir(parents=True, exist_ok=True)
                picture(seed).save(tmp_path / place / name / f"{n if name != 'trainB' else 100 + n // 2 * 3}.png")
    (tmp_path / "domains" / "trainB" / "extra.png").write_bytes((tmp_path / "domains" / "trainA" / "0.png").read_bytes())
    return tmp_path


def error_of(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    return lines[-1]


def test_pairs_of_two_folders(folder, capsys):
    cli.main(["add", "mine", "two/sketches", "two/photos", "--size", "32", "--kimg", "0.5"])
    told = capsys.readouterr()
    assert "mine: found two folders: train 18 A, 18 B; val 2 A, 2 B; test 4 A, 4 B; 32×32 px" in told.err
    assert "pictures    pairs (so the names say; if they aren't: --unpaired)\n" in told.out
    assert "prepared    32 px, fit: crop, augment: resize-crop\n" in told.out
    assert "sheet       build/add/prepared/mine/sheet.png" in told.out
    assert "to train 3 methods × 2 seeds here (cpu" in told.out
    assert "at once); translation and evaluation come on top\n" in told.out
    assert "params.yaml: datasets.mine added; look at the sheet, then run `make all`" in told.out
    assert Image.open("build/add/prepared/mine/sheet.png").width > 300
    entry = "  mine: {source: folder, a: two/sketches, b: two/photos, image_size: 32, kimg: 0.5}\n"
    lines = PARAMS.splitlines(keepends=True)
    place = lines.index("  first: {source: openmoji, kimg: 1.0}  # ours\n") + 1
    assert (folder / "params.yaml").read_text() == "".join([*lines[:place], entry, *lines[place:]])
    cli.main(["remove", "mine"])
    assert (folder / "params.yaml").read_text() == PARAMS


def test_domains_are_seen_to_be_unpaired(folder, capsys):
    cli.main(["add", "mine", "domains", "--size", "32"])
    assert "pictures    two domains without pairs (so the names say; if they aren't: --paired)\n" in capsys.readouterr().out
    assert "    mine: {source: folder, path: domains, image_size: 32, kimg: 8.0}" in (folder / "params.yaml").read_text()
    assert not load_params().is_paired("mine")


def test_further_settings(folder, capsys):
    cli.main(["add", "mine", "two/photos", "--size", "32", "--set", "condition=grey", "--set", "near_duplicates=false"])
    assert "pictures    pairs\n" in capsys.readouterr().out, "here no name decides"
    settings = load_params().datasets["mine"]
    assert (settings.condition, settings.near_duplicates) == ("grey", False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["first", "two"], "a dataset first is there already"),
        (["Mine", "two"], "use lower-case letters"),
        (["mine", "two"], "for pairs of these two folders write a:"),
        (["mine", "gone"], "gone: not found; expected a folder of pictures"),
        (["mine", "two/photos", "two/sketches", "domains"], "found 3 paths"),
        (["mine", "two/photos", "two/photos"], "two/photos: the same folder as two/photos"),
        (["mine", "two/photos/0.png"], "two/photos/0.png: found a file, expected a folder of pictures, or a table of pairs"),
        (["mine", "http://e.org/x.zip"], "found an address, expected a folder; what lies at an address is an entry of its own"),
        (["mine", "."], "domains is laid out as trainA, trainB: name that folder"),
        (["mine", "two/photos", "--unpaired", "--set", "condition=grey"], "(cgm add: leave out --unpaired)"),
        (["mine", "two/photos", "two/sketches", "--size", "33"], "image_size"),
        (["mine", "domains", "--paired"], "can't be used"),
        (["mine", "two/photos", "--set", "condition"], "--set condition: expected KEY=VALUE"),
        (["mine", "two/photos", "--set", "condition=[1"], "the value is not valid YAML"),
        (["mine", "two/photos", "--set", "conditions=grey"], "did you mean 'condition'?"),
        (["mine", "two/photos", "--set", "a=2026-13-01"], "the value is not valid YAML"),
        (["mine", "two/photos", "--size", "32y"], "--size 32y: expected pixels a side, such as 64, or HEIGHTxWIDTH, such as 64x96"),
        (["mine", "two/photos", "--size", "32x32x32"], "expected pixels a side"),
        (["mine", "domains", "--size", "32", "--set", "image_size=64"], "--set image_size: found 64, but the rest of the command says 32"),
        (
            ["mine", "domains", "--size", "32x64", "--set", "image_size=[64, 32]"],
            "found [64, 32], but the rest of the command says [32, 64]",
        ),
        (["mine", "domains", "--kimg", "1", "--set", "kimg=2"], "--set kimg: found 2, but the rest of the command says 1.0"),
        (["mine", "domains", "--set", "path=two"], "--set path: found 'two', but the rest of the command says 'domains'"),
        (["mine", "domains", "--set", "a=two"], "--set a: the paths are given as PATH; leave it out"),
        (["mine", "domains", "--set", "source=url"], "--set source: found 'url', but the rest of the command says 'folder'"),
        (["mine", "domains", "--set", "kimg=2", "--set", "kimg=3"], "--set kimg stands there twice, with 2 too"),
        (["mine", "domains", "--set", "image_size=0"], "datasets.mine.image_size: found 0, expected 32"),
    ],
)
def test_what_can_t_be_used_writes_nothing(folder, capsys, arguments, message):
    assert message in error_of(capsys, "add", *arguments)
    assert (folder / "params.yaml").read_text() == PARAMS


def test_no_method_would_train_on_it(folder, capsys):
    (folder / "params.yaml").write_text(PARAMS.replace("    cyclegan: {pool_size: 5}\n", "").replace("  methods:\n", "  methods: {}\n", 1))
    assert "unpaired.methods: lists no method that would train on mine" in error_of(capsys, "add", "mine", "domains")


def test_removing_what_is_not_there(folder, capsys):
    assert "no dataset mine; expected one of first" in error_of(capsys, "remove", "mine")


@pytest.mark.parametrize(
    ("options", "size", "kimg"),
    [
        ([], 64, 8.0),
        (["--size", "32x64"], (32, 64), 8.0),
        (["--size", "32×64", "--set", "image_size=[32, 64]"], (32, 64), 8.0),
        (["--set", "image_size=[64, 96]", "--set", "kimg=0.5"], (64, 96), 0.5),
        (["--kimg", "2", "--set", "kimg=2"], 64, 2.0),
    ],
)
def test_a_setting_is_honoured_however_it_is_given(folder, options, size, kimg):
    cli.main(["add", "mine", "domains", *options])
    settings = load_params().all_datasets["mine"]
    assert (settings.image_size, settings.kimg) == (size, kimg)


def renamed(folder, **names):
    """``two`` with other names: by side a function of the number."""
    for side, name in names.items():
        for path in sorted((folder / "two" / side).iterdir()):
            path.rename(path.with_name(f"_{name(int(path.stem))}.png"))
        for path in sorted((folder / "two" / side).iterdir()):
            path.rename(path.with_name(path.name[1:]))


NAMES = {
    "the same": (True, str, str),
    "an affix a side": (True, "{:02}_x".format, "photo-{:02}".format),
    "none in common, as many": (False, "horse{}".format, lambda n: f"n{n * n * 7919 % 10007}"),
    "a few in common": (False, "img{}".format, lambda n: f"img{n if n % 3 else n + 100}"),
    "affixes that pair a few": (False, "horse_{:03}".format, lambda n: f"zebra_{n * 3:03}"),
    "nine of ten in common": (True, "cat{}".format, lambda n: f"cat{n if n > 1 else n + 100}"),
    "nine of ten numbers in common": (False, str, lambda n: f"{n if n > 1 else n + 100}"),
}


@pytest.mark.parametrize("case", NAMES)
def test_which_names_make_pairs(folder, capsys, case):
    """Domains of one size without common names are none, nor are running numbers that meet here and there."""
    paired, sketches, photos = NAMES[case]
    renamed(folder, sketches=sketches, photos=photos)
    cli.main(["add", "mine", "two/sketches", "two/photos", "--size", "32", "--set", "unusable=skip"])
    assert load_params().is_paired("mine") == paired
    assert ("--unpaired" if paired else "--paired") in capsys.readouterr().out


def test_pictures_of_other_shapes_are_no_pairs_whatever_their_names(folder):
    for path in (folder / "two" / "photos").iterdir():
        picture(int(path.stem)).resize((48, 32)).save(path)
    cli.main(["add", "mine", "two/sketches", "two/photos", "--size", "32"])
    assert not load_params().is_paired("mine")


def test_so_few_pictures_are_warned_of(folder, capsys):
    cli.main(["add", "mine", "two/sketches", "two/photos", "--size", "32"])
    said = capsys.readouterr().out
    assert "warning     val has 2 conditions, expected 16 or more (best 64): whether a method was trained to competence is judged" in said
    assert "warning     test has 4 conditions, expected 32 or more: every metric is measured on them" in said
    assert "on so few it is mostly chance, and several metrics need more than 5 (evaluation.neighbours)" in said
    for n in range(12, 24):
        for side in ("sketches", "photos"):
            (folder / "two" / side / f"{n}.png").unlink()
    cli.main(["add", "less", "two/sketches", "two/photos", "--size", "32"])
    assert "val has 1 condition, expected 16 or more (best 64)" in (said := capsys.readouterr().out)
    assert "and on fewer than 2 not at all, so that nothing may be called best" in said


def test_enough_pictures_are_not_warned_of(folder, capsys):
    for split, start, count in (("train", 0, 8), ("val", 100, 16), ("test", 200, 32)):
        (folder / "enough" / split).mkdir(parents=True)
        for n in range(start, start + count):
            picture(n).save(folder / "enough" / split / f"{n}.png")
    cli.main(["add", "mine", "enough", "--size", "32", "--set", "condition=grey"])
    assert "warning     " not in capsys.readouterr().out


EMPTY = PARAMS.replace("datasets:\n  first: {source: openmoji, kimg: 1.0}  # ours\n", "datasets: {}   # none yet\n")


def test_the_first_dataset_is_added_and_the_last_is_not_removed(folder, capsys):
    (folder / "params.yaml").write_text(EMPTY)
    assert "no dataset mine; expected one of none: it lists no dataset" in error_of(capsys, "remove", "mine")
    cli.main(["add", "mine", "two/sketches", "two/photos", "--size", "32"])
    assert load_params().is_paired("mine")
    before = (folder / "params.yaml").read_text()
    assert "mine is the only dataset that anything trains on; add another first, then remove it" in error_of(capsys, "remove", "mine")
    assert (folder / "params.yaml").read_text() == before


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_comments_blank_lines_line_ends_and_mode_survive(folder, newline):
    text = PARAMS.replace("datasets:\n  first", "datasets:\n  # above the only one\n  first").replace("# between\n", "\n# between\n\n")
    text = text.replace("\n", newline)
    (folder / "params.yaml").write_bytes(text.encode())
    (folder / "params.yaml").chmod(0o640)
    cli.main(["add", "mine", "domains", "--size", "32"])
    cli.main(["remove", "first"])
    found = (folder / "params.yaml").read_bytes().decode()
    expected = text.replace("  first: {source: openmoji, kimg: 1.0}  # ours" + newline, "").replace("datasets:", "datasets: {}", 1)
    entry = f"  datasets:{newline}    mine: {{source: folder, path: domains, image_size: 32, kimg: 8.0}}"
    assert found == expected.replace("  datasets: {}", entry)
    assert (folder / "params.yaml").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["a:b", "with, comma", "{x}", "#1", "a b"])
def test_a_folder_of_any_name(folder, name):
    (folder / "domains").rename(folder / name)
    cli.main(["add", "mine", name, "--size", "32"])
    assert load_params().all_datasets["mine"].path == name


def test_a_folder_that_may_not_be_read_is_one_line(folder, capsys, monkeypatch):
    original = Path.iterdir

    def iterdir(path):
        if path.name == "photos":
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    message = error_of(capsys, "add", "mine", "two/sketches", "two/photos")
    assert message.startswith("error: two/photos: permission denied; expected to be allowed to read and write there; ")


def test_a_params_yaml_that_may_not_be_written_is_one_line(folder, capsys, monkeypatch):
    original = Path.open

    def refuse(path, mode="r", *arguments, **more):
        if mode == "w" and "params" in path.name:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, mode, *arguments, **more)

    monkeypatch.setattr(Path, "open", refuse)
    assert f"error: {folder}: permission denied; expected" in error_of(capsys, "add", "mine", "domains", "--size", "32")
    assert (folder / "params.yaml").read_text() == PARAMS


def test_check_looks_at_the_folders(folder, capsys):
    cli.main(["add", "mine", "two/sketches", "two/photos", "--size", "32"])
    (folder / "two" / "photos").rename(folder / "elsewhere")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "data").mkdir()
    (folder / "data/embedded").symlink_to(ROOT / "data/embedded")
    capsys.readouterr()
    assert "two/photos: not found; expected a folder of pictures" in error_of(capsys, "check")
