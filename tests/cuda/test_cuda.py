"""What the CPU's tests can't show of a GPU: that it computes the same, repeats and resumes to the byte, waits for nothing, and shares.

``python -m pytest tests/cuda`` runs them on the GPU of this machine; a machine with ``dependencies`` of ``pyproject.toml`` and pytest is
enough. With ``-n 4 --maxschedchunk 1`` four at a time, in the order of this file: the most telling first, for time on a GPU may run out.
``CGM_DEVICE=cuda`` is the default; ``CGM_DEVICE=cpu``, which ``make test`` sets, rehearses them on the CPU with the smallest networks and
fewer methods.

Tolerances. float32 rounds by u = 2⁻²⁴ = 6e-8. Another order of a sum of n products moves it by about √n·u, with n up to 16·512 by 5e-6 of
its scale, and Winograd's transforms, which cuDNN may choose, cost some ten times as much. The errors of successive layers add up like
independent ones, and in means over many outputs they cancel out. TF32 rounds each factor by 2⁻¹¹ = 5e-4: a hundred times more.
"""

from __future__ import annotations

import math
import signal
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from guards import no_waiting
from rig import (
    CHOSEN,
    CPU,
    DATASETS,
    GPU,
    PRECISIONS,
    REHEARSAL,
    Case,
    Project,
    Rig,
    SameDraws,
    assert_same,
    by_processes,
    each_case,
    each_precision,
    ended,
    state,
)
from torch import nn
from torch.nn import functional as F

from cgm.data import batches as data
from cgm.evaluation.evaluate import evaluate_outputs
from cgm.evaluation.judges import Judge, load_judge
from cgm.evaluation.metrics.pd import pd
from cgm.evaluation.reference import build_reference
from cgm.experiment import paths
from cgm.experiment.settings import Compute, Evaluation
from cgm.methods import models
from cgm.networks.fixed import FIXED
from cgm.networks.init import initialise
from cgm.training.device import pick_device, pick_precision
from cgm.training.optimiser import Adam
from cgm.training.trainer import Trainer

pytestmark = pytest.mark.cuda

PRODUCTS = 5e-5
"""Of a single convolution or product and of its gradient, by the norm."""
VANISHING = 1e-12
"""A learning rate under which no weight moves: Adam's first step is the rate times each gradient's sign, and where the first player's
weights had moved by the sign of a rounding error, the second one's loss would show that and no longer its own rounding."""
WHOLE = 3e-3
"""Of a player's whole gradient, by its norm. Rounding moves it by 1e-5; but where the argument of a ReLU or of an L1 term is as near to
zero as that, it may fall to either side, and one of N places in a layer moves the gradient by up to 1/√N. With the sums in another order
that was seen to be 3e-4; a handful of such places, and somewhat less lucky ones, are allowed for."""
TENSORS = 2e-2
"""Of one tensor's gradient, in which such places were seen to be 2e-3."""
CANCELLED = 5e-4
"""Of the whole gradient, beside the tensor's own, which may nearly cancel: the errors are those of its summands."""
TERMS = {"content": 1e-4, "style": 1e-4}
"""Loss terms, relative. A term is a mean of smooth functions of many outputs, whose errors average out: 1e-5. Those of a loss network are
squared differences of maps ten layers deep, in which a relative error counts twice and a part cancels: ten times as much."""
OTHER_TERMS = 1e-5
FEATURES = 1e-4
"""Of a judge's features and embeddings, by their norm. Through fifty layers another order of the sums moves them by 2e-6, TF32 by 5e-3."""
DISTANCES = 2e-4
"""Of perceptual distances, which are differences of embeddings; TF32 moves them by 1e-3."""


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    chosen: Any = CHOSEN
    if chosen == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device; CGM_DEVICE=cpu rehearses these checks on the CPU")
    return Rig(pick_device(Compute(device=chosen)), GPU if chosen == "cuda" else REHEARSAL, tmp_path_factory.mktemp("rig"))


# What a step computes


def test_float32_is_float32(rig: Rig) -> None:
    """cuDNN would multiply in TF32 unless told otherwise. Convolutions, a product and their gradients against float64."""
    if rig.device.type == "cuda":
        found = {"cudnn.conv": torch.backends.cudnn.conv.fp32_precision, "cuda.matmul": torch.backends.cuda.matmul.fp32_precision}
        assert "tf32" not in found.values(), f"torch.backends: found {found}, expected no TF32 after pick_device"
    rng = torch.Generator().manual_seed(0)
    factors = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in ((8, 64, 32, 32), (64, 64, 4, 4), (512, 512))]
    exact = products(factors)
    error = largest_error(products([factor.to(rig.device, torch.float32) for factor in factors]), exact)
    assert error < PRODUCTS, f"found a relative error of {error:.2g}, expected less than {PRODUCTS}"
    assert largest_error(products([tf32(factor) for factor in factors]), exact) > PRODUCTS


def products(factors: list[torch.Tensor]) -> list[torch.Tensor]:
    """What networks consist of, and its gradients."""
    x, weight, square = (factor.clone().requires_grad_() for factor in factors)
    made = [F.conv2d(x, weight, stride=2), F.conv_transpose2d(x, weight, stride=2), square @ square]
    gradients = torch.autograd.grad(torch.stack([value.square().mean() for value in made]).sum(), (x, weight, square))
    return [value.detach().double().cpu() for value in (*made, *gradients)]


def largest_error(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    return max(float((value - other).norm() / other.norm()) for value, other in zip(found, expected, strict=True))


def tf32(values: torch.Tensor) -> torch.Tensor:
    """float64, rounded to the 10 bits that TF32 keeps after the leading one."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 2**11).round() / 2**11, exponent)


@each_case
def test_a_step_computes_what_the_cpu_computes(rig: Rig, case: Case, tmp_path: Path) -> None:
    expected = one_step(rig, case, tmp_path, CPU)
    with rig.other_kernels():
        found = one_step(rig, case, tmp_path, rig.device)
    assert not deviations(found, expected)


def one_step(rig: Rig, case: Case, folder: Path, device: torch.device) -> Trainer:
    """A run of one step, which leaves the weights that it starts from."""
    made = rig.trainer(folder, case, device, steps=1, training={"learning_rate": VANISHING})
    with SameDraws():
        assert made.train().status == "ok"
    return made


def deviations(found: Trainer, expected: Trainer) -> list[str]:
    """The terms and gradients of one step that are farther apart than rounding in float32 explains."""
    wrong = []
    terms, others = losses(found), losses(expected)
    assert terms.keys() == others.keys()
    for name, value in others.items():
        limit = TERMS.get(name[2:], OTHER_TERMS)
        if not abs(terms[name] - value) <= limit * abs(value):
            wrong.append(f"{name}: found {terms[name]:.8g}, expected {value:.8g} within a share of {limit}")
    for player, networks in expected.method.players.items():
        gradients = {name: gradient(parameter) for name, parameter in networks.named_parameters()}
        whole = math.hypot(*(float(value.norm()) for value in gradients.values()))
        assert whole > 0
        parameters = found.method.players[player].named_parameters()
        distances = {name: float((gradient(parameter) - gradients[name]).norm()) for name, parameter in parameters}
        limits = {name: TENSORS * float(value.norm()) + CANCELLED * whole for name, value in gradients.items()}
        distances["gradient"], limits["gradient"] = math.hypot(*distances.values()), WHOLE * whole
        wrong += [
            f"{player}: {name}: found {distances[name]:.3g} away, expected {limit:.3g} at most; the whole gradient is {whole:.3g}"
            for name, limit in limits.items()
            if not distances[name] <= limit
        ]
    return wrong


def losses(made: Trainer) -> dict[str, float]:
    """Every player's terms, as the first row after the start of the curves has them."""
    row = next(row for row in made.history.rows if row["step"])
    return {name: value for name, value in row.items() if name[:2] in ("G/", "D/")}


def gradient(parameter: nn.Parameter) -> torch.Tensor:
    assert parameter.grad is not None
    return parameter.grad.double().cpu()


def test_the_optimiser_steps_as_on_the_cpu(rig: Rig) -> None:
    """Three steps from the same gradients, and one that is told to change nothing. A step's sums are a few: 1e-6 of the rate."""
    rng, rate = torch.Generator().manual_seed(0), 1e-3
    start = 0.01 * torch.randn(1000, generator=rng)
    gradients = [torch.randn(1000, generator=rng) for _ in range(4)]
    ends = []
    for device in (CPU, rig.device):
        parameter = nn.Parameter(start.clone().to(device))
        optimiser = Adam([parameter], lr=rate, betas=(0.5, 0.999), fused=True)
        for step, values in enumerate(gradients):
            parameter.grad = values.to(device)
            optimiser.found_inf = torch.tensor(float(step == 2), device=device)
            before = parameter.detach().clone()
            optimiser.step()
            assert torch.equal(parameter, before) == (step == 2)
        ends.append(parameter.detach().cpu())
    torch.testing.assert_close(ends[1], ends[0], rtol=3e-7, atol=1e-5 * rate)


# The same bytes


@each_precision
@each_case
def test_captured_steps_are_the_plain_ones(rig: Rig, case: Case, precision: str, tmp_path: Path) -> None:
    captures(rig)
    captured = rig.trainer(tmp_path, case, compute={"capture": True, "precision": precision})
    assert captured.train().status == "ok"
    assert_same(captured, rig.trained(case, precision))


@each_case
def test_captured_steps_go_on_after_a_kill(rig: Rig, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captures(rig)
    assert_same(killed_and_resumed(rig, case, tmp_path, monkeypatch, capture=True), rig.trained(case, "bfloat16"))


def captures(rig: Rig) -> None:
    if rig.device.type == "cpu":
        pytest.skip("the CPU captures no graphs")


@each_precision
@each_case
def test_a_run_repeats_to_the_byte(rig: Rig, case: Case, precision: str, tmp_path: Path) -> None:
    again = rig.trainer(tmp_path, case, compute={"precision": precision})
    assert again.train().status == "ok"
    assert_same(again, rig.trained(case, precision))
    start = rig.trainer(tmp_path / "start", case)
    assert any(not torch.equal(value, state(start)[name]) for name, value in state(again).items())


@each_case
def test_bfloat16_trains_to_nearly_the_same(rig: Rig, case: Case) -> None:
    """bfloat16 rounds by 2⁻⁸ = 4e-3; over a few steps that moves a loss by less than a tenth, or by little more than nothing."""
    if rig.device.type == "cuda":
        assert pick_precision(Compute(), rig.device) == "bfloat16"
    full, half = (losses(rig.trained(case, precision)) for precision in PRECISIONS)
    assert half != full
    for name, value in full.items():
        assert half[name] == pytest.approx(value, rel=0.1, abs=0.02), name


# What a step may not do


@each_case
@each_precision
def test_no_step_waits_for_the_device(rig: Rig, case: Case, precision: str, tmp_path: Path) -> None:
    """After the first one, in which kernels are loaded and states are made."""
    made = rig.trainer(tmp_path, case, compute={"precision": precision})
    made.advance()
    with no_waiting(rig.device):
        for _ in range(3):
            made.advance()
    assert made.divergence.found() is None


# Kills


@each_case
def test_a_run_goes_on_after_a_kill(rig: Rig, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same(killed_and_resumed(rig, case, tmp_path, monkeypatch), rig.trained(case, "bfloat16"))


def killed_and_resumed(rig: Rig, case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch, **compute: Any) -> Trainer:
    """A run in bfloat16, ended in the middle of a row of the history and begun anew from its checkpoint."""
    compute = {"precision": "bfloat16", **compute}
    first = rig.trainer(folder, case, compute=compute, training={"checkpoint_seconds": 1e-9})
    advance = first.advance

    def killed() -> None:
        if first.step == rig.sizes.steps // 2 + 1:
            raise KeyboardInterrupt
        advance()

    monkeypatch.setattr(first, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        first.train()
    second = rig.trainer(folder, case, compute=compute)
    assert second.train().resumed == 1
    return second


METHOD = "pix2pix"
"""Of the trainings by command: with dropout, a discriminator and a validation."""


@pytest.fixture(scope="session")
def alone(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A training by command that nothing disturbed."""
    project = command_project(rig, tmp_path_factory.mktemp("alone"))
    project.train(METHOD)
    return project


def command_project(rig: Rig, folder: Path) -> Project:
    return Project(rig, folder, rig.sizes.long, training={"checkpoint_seconds": 0.02})


@by_processes
def test_a_killed_process_goes_on(rig: Rig, alone: Project, tmp_path: Path) -> None:
    project = command_project(rig, tmp_path)
    process = project.start(METHOD)
    checkpoint = tmp_path / paths.checkpoint(project.run(METHOD))
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.kill()
    ended(process, -signal.SIGKILL)
    project.train(METHOD)
    assert project.record(METHOD)["resumed"] == 1
    assert project.made(METHOD) == alone.made(METHOD)


# What is made of the weights


@each_case
def test_translations_are_the_cpus(rig: Rig, case: Case) -> None:
    """uint8: an output between two levels may fall to either side, and nothing else may differ. Outputs differ by 2e-5 of their range, so
    127.5 · 2 · 2e-5, half a percent, are that near to a boundary."""
    method, paired = case
    params = rig.params()

    def build() -> Any:
        return models.build(params.method(DATASETS[paired], method), params.networks, rig.sizes.image, paired)

    source = build()
    initialise(source.players["G"], torch.Generator().manual_seed(0))
    for module in source.players["G"].modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            # He et al. 2015: a layer keeps the scale of its input, so that the outputs fill their range
            places = module.weight[0, 0].numel() / (module.stride[0] ** 2 if isinstance(module, nn.ConvTranspose2d) else 1)
            nn.init.normal_(module.weight, 0, (2 / (module.in_channels * places)) ** 0.5, torch.Generator().manual_seed(module.in_channels))
    outputs = []
    x = rig.prepared[paired].images("test", "A")
    for device, kernels in ((CPU, nullcontext()), (rig.device, rig.other_kernels())):
        made = build()
        models.load_weights(made, models.weights(source), device)
        with SameDraws(), kernels:
            outputs.append(models.translate(made, x, torch.Generator(device), 4, device).astype(int))
    assert outputs[0].std() > 20
    difference = np.abs(outputs[0] - outputs[1])
    assert difference.max() <= 1, f"found a difference of {difference.max()} levels, expected 1 at most"
    assert (share := float((difference > 0).mean())) <= 0.01, f"found {share:.2%} of the values in another level, expected 1 % at most"


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1"])
def test_judges_see_what_they_see_on_the_cpu(rig: Rig, name: str) -> None:
    """As a training's curves have them, on its device, against the evaluation's, on the CPU."""
    one, other = (rig.prepared[True].images("test", side) for side in "AB")
    guide, judge = Judge(FIXED[name].guide(rig.device)), Judge(FIXED[name].network())
    with rig.other_kernels():
        features, embeddings = guide.features(other), [guide.embeddings(images) for images in (one, other)]
        distances = pd(*embeddings)
    assert embeddings[0].device == rig.device
    exact = [judge.embeddings(images) for images in (one, other)]
    for found, expected in [
        (torch.from_numpy(features), torch.from_numpy(judge.features(other))),
        *((embedding.cpu(), value) for embedding, value in zip(embeddings, exact, strict=True)),
    ]:
        error = float((found - expected).norm(dim=1).div(expected.norm(dim=1)).max())
        assert error <= FEATURES, f"found a relative error of {error:.2g}, expected {FEATURES} at most"
    assert distances == pytest.approx(pd(*exact), rel=DISTANCES)
    assert distances.min() > 0


def test_an_evaluation_gives_the_cpus_numbers(rig: Rig) -> None:
    """`evaluation.device: auto`: metrics that average or fit Gaussians; those that count neighbours may differ by one of them."""
    prepared = rig.prepared[True]
    outputs = np.array(prepared.images("test", "A"))[None]
    found = []
    for device in (CPU, rig.device):
        config = Evaluation(neighbours=1, bins=2, device="cpu" if device.type == "cpu" else "auto")
        with rig.other_kernels() if found else nullcontext():
            judge = load_judge(config.judge, device)
            reference = build_reference(prepared, config, judge)
            found.append(evaluate_outputs(outputs, prepared, reference, config, judge, check_channel_order=False)[0]["metrics"])
    for name in ("mae", "pd", "lpips", "kid", "fid", "fjd", "pairgain", "vendi_ratio"):
        assert found[0][name] is not None, name
        assert found[1][name] == pytest.approx(found[0][name], rel=DISTANCES, abs=1e-6), name


# Where the data lies


@pytest.mark.parametrize("case", [("pix2pix", True), ("unpaired_gan", False)], ids=["pairs", "apart"])
def test_every_way_of_the_data_is_the_same(rig: Rig, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resident on the device, streamed from an array, read row by row from a file."""
    made = {}
    for way in (data.OnDevice, data.InMemory, data.InFile):
        monkeypatch.setattr(data, "store", way)
        made[way] = rig.trainer(tmp_path, case)
        assert isinstance(made[way].batches._streams[0]._sides[0], way)
    batches = [each.batches.take(5, rig.sizes.batch, each.noise) for each in made.values()]
    first = made[data.OnDevice]
    assert first.train().status == "ok"
    for batch, each in zip(batches[1:], list(made.values())[1:], strict=True):
        assert batch.x.device == rig.device
        assert torch.equal(batch.x, batches[0].x)
        assert torch.equal(batch.y, batches[0].y)
        assert each.train().status == "ok"
        assert_same(each, first)


def test_the_way_of_the_data_is_chosen_by_its_size(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    images = rig.prepared[True].images("train", "A")
    assert isinstance(data.store(images, rig.device), data.OnDevice if rig.device.type == "cuda" else data.InMemory)
    monkeypatch.setattr(data, "RESIDENT_SHARE", 0)
    assert isinstance(data.store(images, rig.device), data.InMemory)
    monkeypatch.setattr(data, "MAPPED", 0)
    assert isinstance(data.store(images, rig.device), data.InFile)


# Memory, and several on one device


def test_a_run_that_asks_for_too_much_ends_with_one_line(rig: Rig, tmp_path: Path) -> None:
    lines = ask_for_too_much(rig, command_project(rig, tmp_path))
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], lines
    assert not any("Traceback" in line for line in lines), lines
    command = f"train dataset={DATASETS[True]} method={rig.sizes.greedy} seed=0"
    assert lines[-1].startswith(f"error: {command}: out of memory: found a request for "), lines
    assert "; lower training.batch_size, " in lines[-1]
    assert ("GPU's memory" in lines[-1]) == (rig.device.type == "cuda")


@by_processes
def test_another_run_goes_on_after_it(rig: Rig, alone: Project, tmp_path: Path) -> None:
    project = command_project(rig, tmp_path)
    ask_for_too_much(rig, project)
    project.train(METHOD)
    assert project.made(METHOD) == alone.made(METHOD)


def ask_for_too_much(rig: Rig, project: Project) -> list[str]:
    """What a training printed that had to end with exit code 2; ``params.yaml`` is as before then."""
    path = project.folder / "params.yaml"
    fitting = path.read_bytes()
    project.write_params(rig.settings(1, **rig.sizes.too_much))
    lines = ended(project.start(rig.sizes.greedy, rig.sizes.share), 2)
    path.write_bytes(fitting)
    return lines


@by_processes
def test_the_peak_of_memory_is_recorded(rig: Rig, alone: Project) -> None:
    """At least weights, gradients and Adam's two moments, in float32."""
    record = alone.record(METHOD)
    assert record["peak_memory_bytes"] > 4 * 4 * sum(record["parameters"].values())
    if rig.device.type == "cuda":
        assert record["device"] == torch.cuda.get_device_name(rig.device)
        assert record["peak_memory_bytes"] <= torch.cuda.get_device_properties(rig.device).total_memory


def test_the_peak_grows_with_the_batch(rig: Rig, alone: Project, tmp_path: Path) -> None:
    """At the least by the images, x and y in float32."""
    if rig.device.type == "cpu":
        pytest.skip("on the CPU a process's peak is never below that of the one that started it, here of pytest")
    larger = 32 * rig.sizes.batch
    project = Project(rig, tmp_path, 2, training={"batch_size": larger})
    project.train(METHOD)
    images = 4 * 2 * (larger - rig.sizes.batch) * 3 * rig.sizes.image**2
    assert project.record(METHOD)["peak_memory_bytes"] > alone.record(METHOD)["peak_memory_bytes"] + images


@by_processes
def test_two_runs_at_once_end_as_one_alone(rig: Rig, alone: Project, tmp_path: Path) -> None:
    projects = [command_project(rig, tmp_path / name) for name in ("one", "other")]
    for process in [project.start(METHOD) for project in projects]:
        ended(process)
    for project in projects:
        assert project.made(METHOD) == alone.made(METHOD)
