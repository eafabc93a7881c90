"""The training loop: budget, schedule, order of the data, exact resume, divergence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from guards import Waited, no_waiting
from least_settings import LEAST
from PIL import Image

from cgm.core.errors import UserError
from cgm.data import batches as data
from cgm.data.batches import Batch, Batches
from cgm.data.prepared import Prepared
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import parse_params
from cgm.experiment.settings import Compute
from cgm.methods import METHODS, models
from cgm.methods.method import Method
from cgm.training.checkpoint import Checkpoint
from cgm.training.device import pick_device
from cgm.training.divergence import Divergence
from cgm.training.history import History
from cgm.training.live import Live
from cgm.training.parallel import World
from cgm.training.trainer import Trainer

CPU = torch.device("cpu")
REFINED = {"implementation": "pix2pix", "r1": 1.0, "diffaugment": ["color", "translation", "cutout"], "ema_kimg": 0.01}
TRAINED = [*(name for name, method in METHODS.items() if issubclass(method, Method)), "refined"]


def params(precision: str = "float32", compiled: bool = False, captured: bool = False, **training_settings: Any) -> Params:
    methods = {name: REFINED if name == "refined" else LEAST.get(name, {}) for name in TRAINED}
    return parse_params(
        {
            "experiment": "test",
            "seeds": [0, 1],
            "compute": {"device": "cpu", "precision": precision, "compile": compiled, "capture": captured},
            "training": {"batch_size": 4, "validations": 2, "log_points": 4, **training_settings},
            "networks": {
                "unet": {"width": 4, "norm": "instance"},
                "resnet": {"width": 4, "blocks": 1},
                "patchgan": {"width": 4, "layers": 1},
                "dcgan": {"width": 4, "latent": 8},
            },
            "datasets": {"small": {"source": "openmoji", "image_size": 32, "kimg": 0.048, "limit": 12}},
            "methods": methods,
        }
    )


def trainer(folder: Path, prepared: Prepared, method: str, seed: int = 0, fingerprint: str = "same", **settings: Any) -> Trainer:
    run = Run(dataset="small", method=method, seed=seed)
    live = Live(CPU, folder / method / "live", fingerprint)
    return Trainer(params(**settings), run, prepared, Checkpoint(folder / method / "state.pt", fingerprint), CPU, live=live)


def state(made: Trainer) -> dict[str, torch.Tensor]:
    return {f"{who}.{name}": value for who, player in made.method.players.items() for name, value in player.state_dict().items()}


def assert_same(left: Trainer, right: Trainer) -> None:
    assert left.history.rows == right.history.rows
    for name, value in state(left).items():
        assert torch.equal(value, state(right)[name]), name


def grids(made: Trainer, target: Path) -> dict[str, bytes]:
    """What a training's progress holds of its validations; all of them are there."""
    assert made.live.result(target, made.validated) == []
    return {path.name: path.read_bytes() for path in sorted(target.glob("*.png"))}


@pytest.mark.parametrize(
    "method", ["mae", "gan", "pix2pix", "pix2pixhd", "msgan", "cyclegan", "unpaired_gan", "cut", "perceptual_style", "perceptual_gan"]
)
def test_a_run_that_is_killed_and_goes_on_ends_the_same(method: str, tmp_path: Path, small: Prepared, monkeypatch) -> None:
    whole = trainer(tmp_path / "whole", small, method)
    assert whole.train().status == "ok"

    first = trainer(tmp_path / "cut", small, method, checkpoint_seconds=1e-9)
    step = type(first.method).step

    def killed(self: Method, batch: Any, update: Any) -> dict[str, torch.Tensor]:
        if first.step == 7:
            raise KeyboardInterrupt
        return step(self, batch, update)

    monkeypatch.setattr(type(first.method), "step", killed)
    with pytest.raises(KeyboardInterrupt):
        first.train()
    monkeypatch.undo()
    second = trainer(tmp_path / "cut", small, method)
    outcome = second.train()
    assert outcome.resumed == 1
    assert_same(whole, second)
    left, right = grids(whole, tmp_path / "left"), grids(second, tmp_path / "right")
    assert list(left) == ["000000000.png", "000000024.png", "000000048.png"]
    assert left == right


def test_same_seed_same_bytes_other_seed_others(tmp_path: Path, small: Prepared) -> None:
    made = [trainer(tmp_path / str(index), small, "pix2pix", seed) for index, seed in enumerate([0, 0, 1])]
    for one in made:
        one.train()
    assert_same(made[0], made[1])
    assert any(not torch.equal(value, state(made[2])[name]) for name, value in state(made[0]).items())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pix2pix", "cyclegan"])
def test_compiled_networks_take_the_same_steps(method: str, tmp_path: Path, small: Prepared) -> None:
    usual, compiled = (trainer(tmp_path / str(way), small, method, compiled=way) for way in (False, True))
    assert all(network._compiled_call_impl is not None for player in compiled.method.players.values() for network in player.values())
    assert [one.train().status for one in (usual, compiled)] == ["ok", "ok"]
    for left, right in zip(usual.history.rows, compiled.history.rows, strict=True):
        assert left == pytest.approx(right, rel=2e-2, abs=1e-3)
    for name, value in state(usual).items():
        torch.testing.assert_close(state(compiled)[name], value, rtol=0.1, atol=2e-3)


@pytest.mark.parametrize("method", TRAINED)
def test_no_step_waits_for_the_device(method: str, tmp_path: Path, small: Prepared) -> None:
    """Nor the one before a row of the history, which notes the gradients' norms; the row itself may."""
    made = trainer(tmp_path, small, method)
    with no_waiting(CPU):
        for _ in range(3):
            made.advance()
    assert made.step in made.log_at
    assert made.divergence.found() is None


@pytest.mark.parametrize(
    "wait",
    [
        lambda values: values[0].item(),
        torch.Tensor.tolist,
        torch.Tensor.numpy,
        torch.Tensor.cpu,
        torch.Tensor.nonzero,
        torch.unique,
        lambda values: values[values > 1],
        lambda values: max(values),
        lambda values: torch.equal(values, values),
        lambda values: float(values.sum()),
        lambda values: bool(values.any()),
    ],
)
def test_a_step_that_waits_is_noticed(wait: Callable[[torch.Tensor], Any], tmp_path: Path, small: Prepared, monkeypatch) -> None:
    made = trainer(tmp_path, small, "mae")
    update = made.update

    def waiting(player: str, terms: dict[str, torch.Tensor]) -> None:
        update(player, terms)
        wait(torch.stack(list(terms.values()) * 2).detach())

    monkeypatch.setattr(made, "update", waiting)
    with no_waiting(CPU), pytest.raises(Waited):
        made.advance()


def test_a_checkpoint_of_another_experiment_is_named_and_not_used(tmp_path: Path, small: Prepared, capsys) -> None:
    first = trainer(tmp_path, small, "mae", checkpoint_seconds=1e-9)
    first.train()
    second = trainer(tmp_path, small, "mae", fingerprint="other")
    assert second.train().resumed == 0
    assert "made with other parameters, data or code" in capsys.readouterr().err


def test_a_truncated_checkpoint_is_named_and_not_used(tmp_path: Path, small: Prepared, capsys) -> None:
    first = trainer(tmp_path, small, "mae", checkpoint_seconds=1e-9)
    first.train()
    content = first.checkpoint.path.read_bytes()
    first.checkpoint.path.write_bytes(content[: len(content) // 2])
    second = trainer(tmp_path, small, "mae")
    assert second.train().resumed == 0
    assert "not readable" in capsys.readouterr().err
    assert_same(first, second)


def test_budget_history_and_validation(tmp_path: Path, small: Prepared) -> None:
    made = trainer(tmp_path, small, "pix2pix")
    outcome = made.train()
    assert (outcome.steps, outcome.images) == (12, 48)
    assert [row["step"] for row in outcome.history] == [0, 3, 6, 9, 12]
    assert outcome.history[-1]["kimg"] == pytest.approx(0.048)
    assert {"G/adversarial", "G/l1", "D/real", "D/fake"} <= set(outcome.history[1])
    assert ["val/mae" in row for row in outcome.history] == [True, False, True, False, True]
    assert ["val/vendi_ratio" in row for row in outcome.history] == [True, False, True, False, True]
    assert all(np.isfinite(value) for row in outcome.history for value in row.values())


@pytest.mark.parametrize(("method", "aligned", "rows"), [("pix2pix", True, 3), ("unpaired_gan", False, 2), ("gan", True, 1)])
def test_where_no_target_answers_diversity_is_measured_alone(
    method: str, aligned: bool, rows: int, tmp_path: Path, small: Prepared
) -> None:
    """And the grid shows what there is: inputs, outputs, targets. A GAN's samples are of the same noise each time."""
    found = small if aligned else Prepared(small.folder, {**small.card, "aligned": []}, small._index)
    made = trainer(tmp_path, found, method)
    validated = [row for row in made.train().history if "val/vendi_ratio" in row]
    assert [row["step"] for row in validated] == [0, 6, 12]
    for row in validated:
        measured = {name for name in row if name.startswith("val/")}
        assert (measured == {"val/vendi_ratio"}) == (rows < 3)
        assert 0 < row["val/vendi_ratio"] < 12
    for name in grids(made, tmp_path / "progress"):
        with Image.open(tmp_path / "progress" / name) as sheet:
            assert sheet.size == (8 * 34 + 2, rows * 34 + 2)
    assert made.validate() == made.validate()


def test_learning_rate_is_constant_then_falls_to_nought(tmp_path: Path, small: Prepared) -> None:
    made = trainer(tmp_path, small, "mae", constant_fraction=0.5)
    assert [made.schedule(step) for step in (0, 5, 6, 9, 12)] == pytest.approx([1, 1, 1, 0.5, 0])


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(tmp_path: Path, small: Prepared) -> None:
    made = trainer(tmp_path, small, "mae", learning_rate=1e30)
    outcome = made.train()
    assert outcome.status == "diverged"
    assert "the loss of G is not finite at step" in outcome.reason
    assert outcome.steps < made.total_steps
    assert all(torch.isfinite(value).all() for value in state(made).values())


def test_a_diverged_run_keeps_the_weights_of_before(tmp_path: Path, small: Prepared, monkeypatch) -> None:
    """Nobody looks until a row of the history is due; meanwhile no player learns on."""
    made = trainer(tmp_path, small, "pix2pix", log_points=2, validations=1)
    step, weights = type(made.method).step, {}

    def poisoned(self: Method, batch: Any, update: Any) -> dict[str, torch.Tensor]:
        if made.step == 7:
            weights.update({name: value.clone() for name, value in state(made).items()})
            batch = Batch(batch.x, batch.y * torch.inf, batch.noise)
        return step(self, batch, update)

    monkeypatch.setattr(type(made.method), "step", poisoned)
    outcome = made.train()
    assert (outcome.status, outcome.steps) == ("diverged", 7)
    assert outcome.reason.startswith("the loss of D is not finite at step 7: real = ")
    assert [row["step"] for row in outcome.history] == [0, 6]
    for name, value in weights.items():
        assert torch.equal(value, state(made)[name]), name


def test_the_history_holds_gradients_and_what_the_discriminator_tells(tmp_path: Path, small: Prepared) -> None:
    last = trainer(tmp_path, small, "pix2pix", log_points=12).train().history[-1]
    assert 0 <= last["accuracy/D"] <= 1
    made = trainer(tmp_path / "other", small, "pix2pix", log_points=12)
    made.train()
    norms = {
        player: torch.stack([parameter.grad.norm() for parameter in networks.parameters() if parameter.grad is not None]).norm()
        for player, networks in made.method.players.items()
    }
    for player, norm in norms.items():
        assert last[f"gradient/{player}"] == pytest.approx(float(norm), rel=1e-5)
    assert "accuracy/D" not in trainer(tmp_path / "mae", small, "mae").train().history[-1]


@pytest.mark.parametrize(
    "method", ["gan", "pix2pix", "pix2pixhd", "msgan", "ms_ssim_l1", "cyclegan", "cut", "perceptual_style", "perceptual_gan"]
)
def test_bfloat16_trains_to_nearly_the_same(method: str, tmp_path: Path, small: Prepared) -> None:
    full, half = (trainer(tmp_path / precision, small, method, precision=precision) for precision in ("float32", "bfloat16"))
    for made in (full, half):
        assert made.train().status == "ok"
        assert {value.dtype for value in models.weights(made.method).values()} <= {torch.float32, torch.int64}
    assert full.history.rows != half.history.rows
    first, other = (made.history.rows[1] for made in (full, half))
    for name, value in first.items():
        if name != "accuracy/D":  # which counts signs: at chance they turn with the last digit
            assert other[name] == pytest.approx(value, rel=0.1, abs=0.02), name


def test_only_what_translates_is_stored(tmp_path: Path, small: Prepared) -> None:
    assert {name.split(".")[0] for name in models.weights(trainer(tmp_path, small, "cyclegan").method)} == {"G", "F"}
    assert {name.split(".")[0] for name in models.weights(trainer(tmp_path, small, "pix2pix").method)} == {"G"}
    assert {name.split(".")[0] for name in models.weights(trainer(tmp_path, small, "cut").method)} == {"G"}  # without the heads


def test_a_history_goes_on_from_the_middle_of_a_row() -> None:
    def steps(history: History, values: list[float]) -> None:
        for value in values:
            history.add({"G/l1": torch.tensor(value)})
            history.end_step()

    whole, first, second = History(CPU), History(CPU), History(CPU)
    steps(whole, [1.0, 2.0, 6.0])
    steps(first, [1.0, 2.0])
    second.load_state_dict(first.state_dict())
    steps(second, [6.0])
    for history in (whole, second):
        history.note_gradient("G", torch.tensor(4.0))
        history.close_row({"step": 3}, World(), {"val/mae": 0.5})
    assert whole.rows == second.rows == [{"step": 3, "G/l1": 3.0, "gradient/G": 4.0, "val/mae": 0.5}]
    steps(whole, [8.0])
    whole.note_gradient("G", torch.tensor(5.0))
    whole.close_row({"step": 4}, World(), {})
    assert whole.rows[1] == {"step": 4, "G/l1": 8.0, "gradient/G": 5.0}  # nothing is left over


def test_divergence_keeps_the_first_step_and_its_terms() -> None:
    watch = Divergence(("G", "D"), CPU)
    fine, broken = torch.tensor(False), torch.tensor(True)
    watch.start(4)
    assert watch.note("D", {"real": torch.tensor(1.0)}, fine) == 0
    assert watch.note("G", {"l1": torch.tensor(2.0)}, fine) == 0
    watch.end_step()
    assert watch.found() is None
    assert watch.note("D", {"real": torch.tensor(torch.inf)}, broken) == 1
    assert watch.note("G", {"l1": torch.tensor(3.0)}, fine) == 1  # another player's update counts too
    watch.end_step()
    watch.note("D", {"real": torch.tensor(torch.nan)}, broken)
    assert watch.found() == (5, "the loss of D is not finite at step 5: real = inf")


def test_a_checkpoint_is_used_by_its_own_fingerprint_alone(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "state.pt", "mine")
    assert kept.load(CPU) == (None, "")
    kept.save({"step": 3})
    assert kept.load(CPU) == ({"step": 3}, "")
    state, reason = Checkpoint(tmp_path / "state.pt", "other").load(CPU)
    assert state is None
    assert "made with other parameters, data or code" in reason


def test_cuda_by_name_without_cuda_is_an_error() -> None:
    if torch.cuda.is_available():
        assert pick_device(Compute(device="cuda")).type == "cuda"
    else:
        with pytest.raises(UserError, match=r"compute\.device"):
            pick_device(Compute(device="cuda"))
    assert pick_device(Compute(device="cpu")) == CPU


def stream(paired: bool, seed: int = 0, a: int = 10, b: int = 10) -> Batches:
    """Images whose value is their index, side B 100 more."""
    left, right = (np.empty((n, 8, 8, 3), np.uint8) for n in (a, b))
    left[:] = np.arange(a, dtype=np.uint8)[:, None, None, None]
    right[:] = (100 + np.arange(b, dtype=np.uint8))[:, None, None, None]
    return Batches(left, right, paired=paired, dataset="d", augment="shift", seed=seed, jitter=0.0, flip=True, device=CPU)


def order(batches: Batches, start: int, count: int) -> tuple[list[int], list[int]]:
    batch = batches.take(start, count, torch.Generator())
    x, y = (((side[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for side in (batch.x, batch.y))
    return x, [value - 100 for value in y]


def test_every_epoch_shows_every_image_once_in_another_order() -> None:
    first, second = order(stream(True), 0, 10)[0], order(stream(True), 10, 10)[0]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_paired_sides_stay_together_and_unpaired_ones_do_not() -> None:
    x, y = order(stream(True), 0, 10)
    assert x == y
    x, y = order(stream(False, b=7), 0, 10)
    assert x != y
    assert sorted(x) == list(range(10))
    assert sorted(y[:7]) == list(range(7))


def test_the_order_depends_on_the_seed_and_the_position_alone() -> None:
    assert order(stream(True), 13, 9) == order(stream(True), 13, 9)
    assert order(stream(True), 0, 10) != order(stream(True, seed=1), 0, 10)
    batches = stream(True)
    order(batches, 0, 30)
    assert order(batches, 5, 4) == order(stream(True), 5, 4)


def test_augmentation_moves_both_sides_alike_onto_white() -> None:
    image = np.full((1, 16, 16, 3), 255, np.uint8)
    image[0, 6:9, 5:7] = 0
    batches = Batches(image, image.copy(), paired=True, dataset="d", augment="shift", seed=0, jitter=0.5, flip=True, device=CPU)
    batch = batches.take(0, 32, torch.Generator())
    assert torch.equal(batch.x, batch.y)
    assert (batch.x == -1).sum(dim=(1, 2, 3)).tolist() == [18] * 32
    assert len({tuple(row) for row in batch.x.flatten(1).tolist()}) > 10


def test_every_pixel_is_moved_and_flipped_as_planned() -> None:
    """Against one image at a time, by hand."""
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    made = Batches(images, images, paired=True, dataset="d", augment="shift", seed=3, jitter=0.5, flip=True, device=CPU)
    stream = made._streams[0]
    batch = made.take(2, 20, torch.Generator())
    for place, found in enumerate(images_of(batch.x)):
        index, down, right, flip = stream._row(2 + place)
        image = images[index][:, ::-1] if flip else images[index]
        moved = np.full((16 + 16, 16 + 16, 3), 255, np.uint8)
        moved[8 + down : 24 + down, 8 + right : 24 + right] = image
        assert np.array_equal(found, moved[8:24, 8:24]), (index, down, right, flip)


def enlarged(images: np.ndarray, **changed: object) -> Batches:
    settings = {"augment": "resize-crop", "jitter": 0.25, "seed": 0} | changed
    return Batches(images, images.copy(), paired=True, dataset="d", flip=False, device=CPU, **settings)


def test_enlarged_and_cropped_images_have_no_border() -> None:
    """What moves onto white shows where the image ends; what is cut out of a larger one doesn't."""
    dark = np.zeros((4, 32, 32, 3), np.uint8)
    assert enlarged(dark).take(0, 16, torch.Generator()).x.max() == -1
    shifted = enlarged(dark, augment="shift").take(0, 16, torch.Generator()).x
    assert shifted.max() == 1
    assert torch.equal(enlarged(dark, augment="none").take(0, 16, torch.Generator()).x, torch.full((16, 3, 32, 32), -1.0))


def test_enlarged_and_cropped_sides_stay_aligned_and_repeat() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 64, 3), dtype=np.uint8)
    batch = enlarged(images).take(3, 20, torch.Generator())
    assert batch.x.shape == (20, 3, 32, 64)
    assert torch.equal(batch.x, batch.y)
    later = enlarged(images)
    later.take(0, 40, torch.Generator())
    assert torch.equal(later.take(3, 20, torch.Generator()).x, batch.x)
    assert not torch.equal(enlarged(images, seed=1).take(3, 20, torch.Generator()).x, batch.x)


def test_a_crop_is_a_part_of_the_enlarged_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    made = enlarged(image)
    large = torch.nn.functional.interpolate(torch.from_numpy(image).permute(0, 3, 1, 2).float(), (40, 40), mode="bicubic")
    large = large.round().clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).numpy()
    seen = set()
    for place, found in enumerate(images_of(made.take(0, 60, torch.Generator()).x)):
        _, down, right, _ = made._streams[0]._row(place)
        assert np.array_equal(found, large[4 - down : 36 - down, 4 - right : 36 - right])
        seen.add((down, right))
    assert {down for down, _ in seen} == set(range(-4, 5)) == {right for _, right in seen}


def images_of(x: torch.Tensor) -> np.ndarray:
    return ((x + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def test_a_large_set_is_read_row_by_row(tmp_path: Path, monkeypatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
    np.save(tmp_path / "A.npy", images)
    mapped = np.load(tmp_path / "A.npy", mmap_mode="r")
    rows = np.array([49, 0, 7, 7])
    monkeypatch.setattr(data, "MAPPED", 1000)
    assert isinstance(data.store(mapped, CPU), data.InFile)
    assert isinstance(data.store(mapped[3:], CPU), data.InMemory)  # a part of the file: its place in it isn't known
    for images_in in (mapped, mapped[:50]):
        assert np.array_equal(data.store(images_in, CPU)(rows).numpy(), images[rows])
    with (tmp_path / "A.npy").open("r+b") as file:
        file.truncate(20_000)
    with pytest.raises(OSError, match=r"A\.npy: ends before image 49"):
        data.store(mapped, CPU)(rows)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_set_nor_with_the_budget(tmp_path: Path) -> None:
    """50,000 pairs of 256 px, 20 GB in all (a file of zeros that takes no place): what is resident stays under 200 MB of growth."""
    script = """
import resource, sys
import numpy as np, torch
from cgm.data.batches import Batches
sides = [np.load(f"{sys.argv[1]}/{side}.npy", mmap_mode="r") for side in "AB"]
made = Batches(*sides, paired=True, dataset="d", augment="shift", seed=0, jitter=0.1, flip=True, device=torch.device("cpu"))
noise = torch.Generator()
for step in range(400):
    made.take(step * 16, 16, noise)
    if step in (9, 399):
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    for side in "AB":
        np.lib.format.open_memmap(tmp_path / f"{side}.npy", "w+", np.uint8, (50_000, 256, 256, 3)).flush()
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    early, late = map(int, run.stdout.split())
    assert late - early < 200
    assert late < 2000
