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
    assert "pictures    pairs, 32 px, fit: crop" in told.out
    assert "sheet       build/add/prepared/mine/sheet.png" in told.out
    assert "to train 3 methods × 2 seeds here (cpu" in told.out
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
    assert "two domains without pairs" in capsys.readouterr().out
    assert "    mine: {source: folder, path: domains, image_size: 32, kimg: 8.0}" in (folder / "params.yaml").read_text()
    assert not load_params().is_paired("mine")


def test_further_settings(folder):
    cli.main(["add", "mine", "two/photos", "--size", "32", "--set", "condition=grey", "--set", "near_duplicates=false"])
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
        (["mine", "two/photos", "two/sketches", "--size", "33"], "image_size"),
        (["mine", "domains", "--paired"], "can't be used"),
        (["mine", "two/photos", "--set", "condition"], "--set condition: expected KEY=VALUE"),
        (["mine", "two/photos", "--set", "condition=[1"], "the value is not valid YAML"),
        (["mine", "two/photos", "--set", "conditions=grey"], "did you mean 'condition'?"),
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


def test_check_looks_at_the_folders(folder, capsys):
    cli.main(["add", "mine", "two/sketches", "two/photos", "--size", "32"])
    (folder / "two" / "photos").rename(folder / "elsewhere")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "data").mkdir()
    (folder / "data/embedded").symlink_to(ROOT / "data/embedded")
    capsys.readouterr()
    assert "two/photos: not found; expected a folder of pictures" in error_of(capsys, "check")
