"""``cgm translate``: the pipeline's own pixels, pictures of any size, and what a user may get wrong."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from report_inputs import make_params as made_up_params
from report_inputs import metrics, write_inputs, write_json
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_runs import COUNT, DATASET, make_data, make_params, make_run, write_test_inputs

from cgm.core.files import read_json
from cgm.core.seeds import torch_generator
from cgm.data.images import to_uint8
from cgm.data.prepared import open_prepared
from cgm.experiment import paths
from cgm.experiment.params import Run
from cgm.methods import left_weights
from cgm.methods.inference import Given, Translator, load, pad, starts
from pipeline import cli

ROOT = Path(__file__).parents[2]
METHODS = {
    "mae": {},
    "gan": {},
    "pix2pix": {"l1_weight": 100.0},
    "cyclegan": {},
    "msgan": {},
    "cut": {},
    "noisy_resnet": {"implementation": "cgan", "generator": "resnet"},
}
TRANSLATING = ("mae", "pix2pix", "cyclegan", "msgan", "cut", "noisy_resnet")
"""Both generators, with noise and without, and with noise beside x."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    params = make_params(folder, METHODS, [0])
    make_data(folder, params)
    for method in METHODS:
        make_run(folder, params, Run(dataset=DATASET, method=method, seed=0))
    write_test_inputs(folder, folder / "inputs")
    return folder


@pytest.fixture
def project(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a failing call ends with."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["translate", *map(str, arguments)])
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def run(method: str) -> str:
    return f"{DATASET}/{method}/0"


def metadata(path: Path) -> dict[str, str]:
    """Of a file of weights."""
    with safe_open(path, framework="numpy") as file:
        return file.metadata() or {}


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth, and the same nowhere."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


# The same pixels


@pytest.mark.parametrize("method", TRANSLATING)
def test_the_pipelines_own_inputs_give_its_own_outputs(method: str, project: Path, tmp_path: Path) -> None:
    outputs = np.load(project / f"results/{run(method)}/outputs.npy")
    ids = open_prepared(paths.prepared(DATASET)).ids("test", "A")
    assert len(ids) == COUNT
    stochastic = len(outputs) > 1
    assert stochastic == read_json(project / f"results/{run(method)}/run.json")["stochastic"]
    cli.main(["translate", run(method), "inputs", "-o", str(tmp_path / "out")])
    assert np.array_equal(np.stack([read(tmp_path / f"out/{name}.png") for name in ids]), outputs[0])
    if stochastic:
        cli.main(["translate", run(method), "inputs", "-o", str(tmp_path / "all"), "--samples", str(len(outputs))])
        for sample, expected in enumerate(outputs, start=1):
            assert np.array_equal(np.stack([read(tmp_path / f"all/{name}-{sample}.png") for name in ids]), expected)


def test_a_copied_folder_is_enough(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(project / f"results/{run('pix2pix')}", tmp_path / "winner")
    (tmp_path / "winner/outputs.npy").unlink()
    shutil.copytree(project / "inputs", tmp_path / "inputs")
    monkeypatch.chdir(tmp_path)
    cli.main(["translate", "winner", "inputs", "-o", "out"])
    outputs = np.load(project / f"results/{run('pix2pix')}/outputs.npy")
    assert {path.name for path in Path("out").iterdir()} == {path.name for path in Path("inputs").iterdir()}
    first = sorted(Path("inputs").iterdir(), key=lambda path: path.stem)[0]
    assert np.array_equal(read(Path("out") / first.name), outputs[0, 0])


@pytest.mark.parametrize("method", ["mae", "noisy_resnet"])
def test_files_that_are_there_are_kept_and_the_others_come_out_the_same(
    method: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    cli.main(["translate", run(method), "inputs", "-o", str(out)])
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    mine, lost = sorted(whole)[3], sorted(whole)[-2]
    (out / lost).unlink()
    capsys.readouterr()
    cli.main(["translate", run(method), "inputs", "-o", str(out)])
    assert f"1 file written, {COUNT - 1} kept as they were (--overwrite" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    (out / mine).write_bytes(b"mine")
    (out / lost).unlink()
    message = fails(capsys, run(method), "inputs", "-o", out)
    assert f"{out / mine}: found a file that no call of cgm translate made, expected what this call makes, or nothing; choose" in message
    assert not (out / lost).exists()
    cli.main(["translate", run(method), "inputs", "-o", str(out), "--overwrite"])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


OTHERS = {
    "another run": (run("pix2pix"), "inputs", [], f"found an output of {run('mae')}, expected"),
    "another fit": (run("mae"), "inputs", ["--fit"], "found an output of another --fit, expected"),
    "another tile": (run("mae"), "inputs", ["--tile", "64"], "found an output of another --tile, expected"),
    "another picture": (run("mae"), "others", [], "found an output of another picture, expected"),
    "other weights": ("retrained", "inputs", [], "found an output of other weights, expected"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_outputs_of_another_call_are_never_kept_as_this_ones(
    case: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, inputs, options, message = OTHERS[case]
    out = tmp_path / "out"
    if case == "other weights":
        name = str(shutil.copytree(project / f"results/{run('mae')}", tmp_path / name))
        path = Path(name, "model.safetensors")
        save_file({key: tensor + 1e-3 for key, tensor in load_file(path).items()}, path, metadata=metadata(path))
    if case == "another picture":
        inputs = str(shutil.copytree(project / "inputs", tmp_path / inputs))
        for path in Path(inputs).iterdir():
            Image.fromarray(photograph(32, 32)).save(path)
    cli.main(["translate", run("mae"), "inputs", "-o", str(out)])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    said = fails(capsys, name, inputs, "-o", out, *options)
    assert message in said
    assert f" and {COUNT - 3} more: found" in said
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    cli.main(["translate", name, inputs, "-o", str(out), *options, "--overwrite"])
    assert not any(path.read_bytes() == before[path.name] for path in out.iterdir())
    cli.main(["translate", name, inputs, "-o", str(out), *options])
    assert f"0 files written, {COUNT} kept" in capsys.readouterr().out


def test_a_folder_in_the_place_of_an_output_is_never_removed(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(photograph(8, 8)).save(tmp_path / "a.jpg")
    (tmp_path / "out/a.png").mkdir(parents=True)
    message = fails(capsys, run("mae"), tmp_path / "a.jpg", "-o", tmp_path / "out", "--overwrite")
    assert "out/a.png: found a folder, expected a place for a picture" in message
    assert (tmp_path / "out/a.png").is_dir()


def denied(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, where: Path) -> None:
    """The system refuses this call at ``where``, as it does to whoever isn't root."""
    original = getattr(owner, name)

    def refuse(*arguments: Any, **more: Any) -> Any:
        if any(str(each).startswith(str(where)) for each in arguments):
            raise PermissionError(errno.EACCES, "Permission denied", str(next(each for each in arguments if str(where) in str(each))))
        return original(*arguments, **more)

    monkeypatch.setattr(owner, name, refuse)


@pytest.mark.parametrize("what", ["a folder of inputs", "the outputs' folder", "an output"])
def test_what_the_system_refuses_is_one_line(
    what: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("inputs", tmp_path / "given/below")
    place = tmp_path / ("given/below" if what == "a folder of inputs" else "out")
    owner, name = {"a folder of inputs": (os, "scandir"), "the outputs' folder": (Path, "mkdir"), "an output": (Image.Image, "save")}[what]
    denied(monkeypatch, owner, name, place)
    message = fails(capsys, run("mae"), tmp_path / "given", "-o", tmp_path / "out")
    shown = place / "below" if what != "a folder of inputs" else place
    assert message.startswith(f"error: {shown}: permission denied; expected to be allowed to read and write there")


def test_the_outputs_folder_within_a_file_is_one_line(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert "/file/out: not a directory; expected a folder; name another place" in fails(
        capsys, run("mae"), "inputs", "-o", tmp_path / "file/out"
    )


def test_fit_crops_and_resizes(project: Path, tmp_path: Path) -> None:
    from cgm.data.raster import read_picture, shaped

    Image.fromarray(photograph(40, 70)).save(tmp_path / "wide.png")
    cli.main(["translate", run("mae"), str(tmp_path / "wide.png"), "-o", str(tmp_path / "fitted"), "--fit"])
    Image.fromarray(shaped(read_picture(tmp_path / "wide.png"), 32, 32, "crop")).save(tmp_path / "square.png")
    cli.main(["translate", run("mae"), str(tmp_path / "square.png"), "-o", str(tmp_path / "whole")])
    assert read(tmp_path / "fitted/wide.png").shape == (32, 32, 3)
    assert np.array_equal(read(tmp_path / "fitted/wide.png"), read(tmp_path / "whole/square.png"))


# Any size


@pytest.mark.parametrize("method", TRANSLATING)
def test_a_picture_of_any_size_keeps_it(method: str, project: Path, tmp_path: Path) -> None:
    sizes = {"large": (517, 1023), "tall": (33, 5), "dot": (1, 1), "trained": (32, 32)}
    for name, (height, width) in sizes.items():
        Image.fromarray(photograph(height, width)).save(tmp_path / f"{name}.jpg", quality=95)
    cli.main(["translate", run(method), str(tmp_path), "-o", str(tmp_path / "out")])
    for name, (height, width) in sizes.items():
        assert read(tmp_path / f"out/{name}.png").shape == (height, width, 3), name


def test_an_unconditional_generator_says_so(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, run("gan"), "inputs", "-o", tmp_path / "out")
    assert message == f"error: {run('gan')}: GAN (unconditional) sees no input picture, so it can't translate one; name another run"
    assert not (tmp_path / "out").exists()


def test_a_large_picture_is_what_the_network_makes_of_it(project: Path) -> None:
    """A size that the network takes as it is goes through as one; another is padded by its mirror image and cropped back."""
    trained = load(project / f"results/{run('mae')}")
    assert trained.multiple == 32
    translate = Translator(trained)
    noise = trained.noise()
    picture = photograph(64, 96)
    (made,) = translate([Given("", picture)], noise)
    x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        assert np.array_equal(made.picture, to_uint8(trained.network.generator(x))[0])
    (cropped,) = translate([Given("", picture[3:60, 5:90])], noise)
    (padded,) = translate([Given("", pad(picture[3:60, 5:90], 64, 96))], noise)
    assert np.array_equal(cropped.picture, padded.picture[3:60, 5:90])


def test_pictures_come_in_their_order_whatever_their_sizes(project: Path) -> None:
    trained = load(project / f"results/{run('cyclegan')}")
    assert trained.multiple == 4
    sizes = [(32, 32), (30, 31), (40, 40), (32, 32), (100, 20), (100, 20)]
    pictures = [Given(number, photograph(*size, seed=number)) for number, size in enumerate(sizes)]
    made = list(Translator(trained)(pictures, trained.noise()))
    assert [given.key for given in made] == list(range(len(sizes)))
    for given, (number, alone) in zip(made, enumerate(pictures), strict=True):
        (single,) = Translator(trained)([alone], trained.noise())
        assert np.abs(given.picture.astype(int) - single.picture).max() <= 1, number


# Tiles


@pytest.mark.parametrize(("length", "tile"), [(64, 64), (65, 64), (120, 64), (121, 64), (1000, 64), (517, 96)])
def test_tiles_cover_a_side_and_share_enough(length: int, tile: int) -> None:
    places = starts(length, tile)
    assert places[0] == 0
    assert places[-1] + tile == length
    assert all(earlier + tile - later >= tile // 8 for earlier, later in itertools.pairwise(places))


def test_blended_tiles_of_an_honest_network_are_the_picture(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that changes nothing, so that seams and misplaced tiles would show."""
    translate = Translator(load(project / f"results/{run('cyclegan')}"), tile=64)
    monkeypatch.setattr(translate, "_translate", lambda x, noise: x)
    for height, width in ((517, 203), (64, 65), (20, 300)):
        picture = photograph(height, width)
        assert translate.tiled(*translate.padded(height, width))
        (made,) = translate([Given("", picture)], torch_generator("", "", 0, ""))
        assert np.array_equal(made.picture, picture)


def test_only_pictures_larger_than_a_tile_are_tiled(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(photograph(60, 90)).save(tmp_path / "picture.png")
    made = {}
    for tile in ("0", "64", "512"):
        cli.main(["translate", run("cyclegan"), str(tmp_path / "picture.png"), "-o", str(tmp_path / tile), "--tile", tile])
        made[tile] = read(tmp_path / tile / "picture.png")
    assert np.array_equal(made["0"], made["512"])
    assert made["64"].shape == made["0"].shape
    assert not np.array_equal(made["64"], made["0"])  # each tile is normalised by itself
    assert "expected 32 or more" in fails(capsys, run("mae"), "inputs", "-o", tmp_path / "out", "--tile", "31")


def test_the_estimate_of_memory_counts_what_is_alive_at_once(project: Path) -> None:
    """Of the residual generator: at least a map of full size beside its normalised one; far less than all maps together."""
    trained = load(project / f"results/{run('cyclegan')}")
    width = trained.network.generator.body[1].out_channels
    assert 2 * 2 * 4 * width <= trained.bytes_a_pixel() <= 2 * 6 * 4 * width
    assert trained.bytes_a_pixel() == trained.bytes_a_pixel()
    assert Translator(trained).tile ** 2 * trained.bytes_a_pixel() <= 4 << 30


# What a user may get wrong


def test_unreadable_inputs_are_named_and_the_others_done(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = tmp_path / "given"
    (given / "below/deep").mkdir(parents=True)
    for name in ("a.png", "below/deep/b.png", "below/B.PNG"):
        Image.fromarray(photograph(32, 32)).save(given / name)
    (given / "broken.png").write_bytes((given / "a.png").read_bytes()[:200])
    (given / "text.jpg").write_text("no picture")
    (given / "notes.txt").write_text("a sidecar")
    (given / ".DS_Store").write_text("left behind")
    with pytest.raises(SystemExit) as caught:
        cli.main(["translate", run("mae"), str(given), "-o", str(tmp_path / "out")])
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert "1 file passed over" in said.out
    left = [line for line in said.err.splitlines() if line.startswith("left out ")]
    assert left[1].endswith("text.jpg: not a readable image (not a picture, or of a format that is not read here)")
    assert [str(given / name) in line for name, line in zip(("broken.png", "text.jpg"), left, strict=True)] == [True, True]
    assert said.err.splitlines()[-1].startswith("error: 2 of 5 pictures can't be read and all others are translated")
    made = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert made == ["a.png", "below/B.png", "below/deep/b.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing/at/all", "inputs"], "not a trained run"),
        (["openmoji/mea/0", "inputs"], "did you mean 'openmoji/mae/0'?"),
        (["openmoji/mae/0", "missing"], "missing: not found; expected a picture or a folder"),
        (["openmoji/mae/0", "empty"], "empty: found no pictures in it and below"),
        (["openmoji/mae/0", "inputs", "--samples", "2"], "--samples: found 2, but openmoji/mae/0 is deterministic"),
        (["openmoji/mae/0", "inputs", "--samples", "0"], "--samples: found 0, expected 1 or more"),
        (["openmoji/mae/0", "inputs", "one/a.png", "two/a.jpg"], "a.png: would come of one/a.png and of two/a.jpg"),
        (["best:nonsense", "inputs"], "metric 'nonsense': unknown"),
        (["best:kid", "inputs"], "no result of a method that was trained to competence"),
        (["best:kid@mars", "inputs"], "expected one of openmoji"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_written(
    arguments: list[str], message: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("empty", "one", "two"):
        Path(name).mkdir(exist_ok=True)
    Image.fromarray(photograph(8, 8)).save("one/a.png")
    Image.fromarray(photograph(8, 8)).save("two/a.jpg")
    assert message in fails(capsys, *arguments, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_inputs_are_never_written_over(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("inputs", tmp_path / "inputs")
    before = {path.name: path.read_bytes() for path in (tmp_path / "inputs").iterdir()}
    message = fails(capsys, run("mae"), tmp_path / "inputs", "-o", tmp_path / "inputs", "--overwrite")
    assert "is an input, and would be the output of" in message
    cli.main(["translate", run("mae"), str(tmp_path / "inputs"), "-o", str(tmp_path / "inputs/out")])
    capsys.readouterr()
    cli.main(["translate", run("mae"), str(tmp_path / "inputs"), "-o", str(tmp_path / "inputs/out")])  # what came out is no input
    assert f"0 files written, {COUNT} kept" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (tmp_path / "inputs").iterdir() if path.is_file()} == before


@pytest.fixture
def copied(project: Path, tmp_path: Path) -> Path:
    return shutil.copytree(project / f"results/{run('mae')}", tmp_path / "copied")


def test_weights_that_stayed_elsewhere(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left_weights.write(copied / "model.safetensors", "a" * 64)
    assert "were left on the machine where it was trained (SHA-256 aaaaaaaaaaaa" in fails(capsys, copied, "inputs", "-o", tmp_path / "out")


def test_files_that_are_not_the_runs(project: Path, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = (copied, "inputs", "-o", tmp_path / "out")
    weights, record = copied / "model.safetensors", read_json(copied / "run.json")
    shutil.copy(project / f"results/{run('cyclegan')}/model.safetensors", weights)
    assert "model.safetensors: not the weights of openmoji/mae/0" in fails(capsys, *call)
    weights.write_bytes(b"half")
    assert "model.safetensors: not the weights of openmoji/mae/0" in fails(capsys, *call)
    weights.unlink()
    assert "model.safetensors: not found" in fails(capsys, *call)
    write_json(copied / "run.json", {**record, "status": "diverged", "reason": "at step 3"})
    assert "its training ended as 'diverged' (at step 3)" in fails(capsys, *call)
    write_json(copied / "run.json", {**record, "config": {**record["config"], "networks": {"unet": {"depth": 3}}}})
    assert "config.networks.unet.depth" in fails(capsys, *call)
    write_json(copied / "run.json", {"dataset": "openmoji"})
    assert "run.json: method: missing" in fails(capsys, *call)
    (copied / "run.json").write_text("{")
    assert "run.json: not a run's record" in fails(capsys, *call)


def test_no_gpu_is_one_line(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert "--device: found 'cuda', but torch sees no CUDA device" in fails(
        capsys, run("mae"), "inputs", "-o", tmp_path / "out", "--device", "cuda"
    )


def test_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys; from pipeline import cli; print(sorted({'torch', 'numpy', 'PIL', 'tqdm'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout == "[]\n"


# best:


def validated(root: Path, kids: dict[str, float], dataset: str = "icons_a") -> None:
    """What decides on competence: the kernel distance of each method on validation images, where 0.2 is that of the mean image."""
    path = root / f"data/reference/{dataset}/scores.json"
    write_json(path, {**read_json(path), "validation": {name: {"n": 64, "kid": 0.2, "pd": 1.0} for name in ("mean_image", "copy_input")}})
    for method, kid in kids.items():
        for path in (root / f"results/{dataset}/{method}").glob("*/metrics.json"):
            write_json(path, {**read_json(path), "validation": {"n": 64, "kid": kid, "pd": 0.5}})


def write_experiment(root: Path, seeds: list[int], *, unpaired: bool = False) -> None:
    params = made_up_params(seeds, unpaired=unpaired)
    write_inputs(root, params)
    raw = {
        "experiment": "default", "seeds": seeds,
        "datasets": {name: settings.model_dump() for name, settings in params.datasets.items()},
        "methods": {name: settings.model_dump() for name, settings in params.methods.items()},
        "unpaired": {
            "datasets": {name: settings.model_dump() for name, settings in params.unpaired.datasets.items()},
            "methods": {name: settings.model_dump() for name, settings in params.unpaired.methods.items()},
        },
    }  # fmt: skip
    write_json(root / "params.yaml", raw)


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made-up numbers of competent methods: MAE is best on every metric, its seed 0 before its seed 1; then pix2pix."""
    write_experiment(tmp_path, [0, 1])
    validated(tmp_path, dict.fromkeys(("mae", "pix2pix", "perceptual", "pix2pix_l10"), 0.1))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chosen(capsys: pytest.CaptureFixture[str], name: str) -> tuple[str, str]:
    from pipeline.translate_command import run_folder

    folder = run_folder(name).as_posix()
    return folder, capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "folder", "value"),
    [
        ("best:mae", "results/icons_a/mae/0", "MAE ↓ 0.06 (mean of 2 seeds 0.0603"),
        ("best:mae@icons_a", "results/icons_a/mae/0", "MAE ↓ 0.06 (mean of 2 seeds 0.0603"),
        ("best:ssim", "results/icons_a/pix2pix_l10/1", "SSIM ↑"),  # which grows as MAE does, here: the last is best
    ],
)
def test_the_best_run_and_its_value_are_said(name: str, folder: str, value: str, scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, said = chosen(capsys, name)
    assert found == folder
    assert said.startswith(f"{name.partition('@')[0]}: {folder.removeprefix('results/')}, {value}")


def test_only_the_competent_take_part(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validated(scored, {"mae": 0.3})
    assert chosen(capsys, "best:mae")[0] == "results/icons_a/pix2pix/0"


def test_a_tie_is_an_error_that_names_both(scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        path = scored / f"results/icons_a/pix2pix/{seed}/metrics.json"
        write_json(path, {**read_json(path), **metrics(made_up_params([0]), 0, seed)})
    assert "a tie: icons_a/mae, icons_a/pix2pix have the same mean" in fails(capsys, "best:mae", tmp_path, "-o", tmp_path / "out")


def test_where_nobody_tested_for_competence_nothing_is_called_best(
    scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in scored.glob("results/icons_a/*/*/metrics.json"):
        write_json(path, {**read_json(path), "validation": {}})
    message = fails(capsys, "best:mae", tmp_path, "-o", tmp_path / "out")
    assert "whether a method was trained to competence was not tested on icons_a, for which val must hold 2 conditions or more" in message
    validated(scored, {"perceptual": 0.1})
    assert chosen(capsys, "best:mae")[0] == "results/icons_a/perceptual/0", "the only one of which it is known"


def test_of_several_datasets_one_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_experiment(tmp_path, [0, 1], unpaired=True)
    monkeypatch.chdir(tmp_path)
    validated(tmp_path, {"mae": 0.1, "pix2pix": 0.1})
    assert chosen(capsys, "best:kid")[0] == "results/icons_a/mae/0", "the other has nothing to choose from"
    validated(tmp_path, {"cyclegan": 0.1}, "style")
    message = fails(capsys, "best:kid", tmp_path, "-o", tmp_path / "out")
    assert "found results on 2 datasets, whose values can't be compared; say best:kid@icons_a or best:kid@style" in message
    assert chosen(capsys, "best:kid@style")[0] == "results/style/cyclegan/0"


def test_a_metric_that_was_not_measured_says_why(scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in scored.glob("results/icons_a/*/*/metrics.json"):
        scores = read_json(path)
        write_json(
            path, {**scores, "metrics": {**scores["metrics"], "coverage": None}, "notes": {"coverage": "needs more than 5 images, found 3"}}
        )
    message = fails(capsys, "best:coverage", tmp_path, "-o", tmp_path / "out")
    assert "best:coverage: coverage was not measured (needs more than 5 images, found 3); choose another metric" in message


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([0], "; by the mean alone: one training and no groups of images say nothing of chance)"),
        ([0, 1, 2], "; surely ahead of all others)"),
    ],
)
def test_what_is_known_of_the_others_is_said(
    seeds: list[int], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_experiment(tmp_path, seeds)
    validated(tmp_path, dict.fromkeys(("mae", "pix2pix", "perceptual", "pix2pix_l10"), 0.1))
    monkeypatch.chdir(tmp_path)
    assert chosen(capsys, "best:mae")[1].endswith(f"{said}\n")
