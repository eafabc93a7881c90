"""Every registered method: its losses by hand, one step of descent for each player, eight images overfitted, weights saved and loaded."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from least_settings import LEAST
from torch import nn

from cgm.core.errors import UserError
from cgm.core.seeds import numpy_stream
from cgm.data.batches import Batch
from cgm.methods import METHODS
from cgm.methods.method import Method
from cgm.methods.pool import ImagePool
from cgm.training.conformance import descends, keeps_global_streams, keeps_inputs, owns_gradients, steps, stores_weights, translates
from cgm.training.subject import CPU, SIZE, Subject, batch, colour_distance, error, fit, pictures, terms_of

TRAINED = {name: method for name, method in METHODS.items() if issubclass(method, Method)}
CASES = [(name, True) for name in TRAINED] + [(name, False) for name, method in TRAINED.items() if not method.needs_pairs]


def build(name: str, paired: bool, **settings: Any) -> Method:
    return Subject(name, paired, {**LEAST.get(name, {}), **settings}).build()


def test_reading_a_method_imports_no_torch() -> None:
    """``params.yaml`` is checked against the records of all methods, before anything starts."""
    code = "import sys; from cgm.methods import METHODS; [METHODS[name].Settings for name in METHODS]; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_hinge_pix2pix_learns() -> None:
    method = build("pix2pix", True, adversarial="hinge")
    before = error(method)
    method.generator.train()
    history = fit(method, 40, rate=2e-3)
    assert error(method) < 0.6 * before
    assert all(terms["D"]["real"] >= 0 for terms in history)


@pytest.mark.parametrize(
    "check",
    [translates, steps, owns_gradients, descends, keeps_inputs, keeps_global_streams, stores_weights],
    ids=lambda check: check.__name__,
)
@pytest.mark.parametrize(("name", "paired"), CASES)
def test_what_every_method_must_do(name: str, paired: bool, check: Callable[[Subject], None]) -> None:
    """Repetition, resume and what a longer training comes to have tests of their own."""
    check(Subject(name, paired, LEAST.get(name, {})))


PAIRED = ("mae", "mse", "gan_l1", "pix2pix", "pix2pixhd", "perceptual", "perceptual_gan", "perceptual_style")


@pytest.mark.parametrize("name", [*PAIRED, pytest.param("ms_ssim_l1", marks=pytest.mark.slow)])
def test_supervised_methods_overfit_eight_pairs(name: str) -> None:
    method = build(name, True, **({"loss_network": "efficientnet-lite1"} if name.startswith("perceptual") else {}))
    before = error(method)
    method.generator.train()
    fit(method, 300 if name == "ms_ssim_l1" else 120, rate=2e-3)  # what it sees of a flat square is little
    assert error(method) < 0.25 * before


@pytest.mark.parametrize(
    "name", ["gan", "cgan", "unpaired_gan", "fastcut", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cyclegan", "cut"))]
)
def test_adversarial_methods_approach_eight_targets(name: str) -> None:
    """Without a term that names the answer, the mean colour of what G paints must still come to that of the targets."""
    method = build(name, True)
    before = colour_distance(method)
    fit(method, 50 if name.endswith("cut") else 150)
    assert colour_distance(method) < 0.35 * before


def test_cyclegan_learns_its_cycle() -> None:
    history = fit(build("cyclegan", True), 120)
    assert history[-1]["G"]["cycle_A"] < 0.35 * history[0]["G"]["cycle_A"]


def test_cut_learns_where_a_patch_came_from() -> None:
    history = fit(build("cut", True), 25)
    for player in "GH":
        assert history[-1][player]["nce"] < 0.6 * history[0][player]["nce"]


def test_mode_seeking_keeps_outputs_apart() -> None:
    """Two z, before and after; without the term z is soon ignored."""

    def apart(method: Method) -> float:
        method.generator.eval()
        with torch.no_grad():
            x = batch(8).x
            one, other = (method.translate(x, torch.Generator().manual_seed(seed)) for seed in (1, 2))
        method.generator.train()
        return (one - other).abs().mean().item()

    with_it, without = (build("msgan", True, mode_seeking_weight=weight) for weight in (1.0, 0.0))
    for method in (with_it, without):
        fit(method, 60)
    assert apart(with_it) > 3 * apart(without)


def test_unpaired_style_approaches_the_domain() -> None:
    history = fit(build("perceptual_style", False, style_weight=5.0), 60)
    assert history[-1]["G"]["style"] < 0.5 * history[0]["G"]["style"]


class Half(nn.Module):
    """A generator that can be computed by hand: G(x) = x / 2, whatever comes with x; its one map is x."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: torch.Tensor, noise: torch.Generator | None = None) -> torch.Tensor:
        return x[:, :3] * self.factor

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x]

    def translate_and_encode(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        return self(x), self.encode(x)


class Pixels(nn.Module):
    """Heads that can be computed by hand: the colours at these places."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0))

    def forward(self, maps: list[torch.Tensor], places: list[torch.Tensor]) -> list[torch.Tensor]:
        return [h.flatten(2)[:, :, at].transpose(1, 2) * self.factor for h, at in zip(maps, places, strict=True)]


class Mean(nn.Module):
    """A discriminator that can be computed by hand: the mean of what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(1, 2, 3)) * self.factor

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [images, self(images)]


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def by_hand(name: str) -> dict[str, dict[str, float]]:
    """The losses of one pair of constant images, x = 0.8 and y = −0.2, under ``Half`` and ``Mean``: so G(x) = 0.4, F(y) = −0.1."""
    x, y, y_hat, x_hat = 0.8, -0.2, 0.4, -0.1
    l1, chance = abs(y - y_hat), math.log(256)  # all patches look alike
    conditional = {
        "D": {"real": 0.5 * softplus(-(x + y) / 2), "fake": 0.5 * softplus((x + y_hat) / 2)},
        "G": {"adversarial": softplus(-(x + y_hat) / 2)},
    }
    squares = {"real": 0.5 * ((x + y) / 2 - 1) ** 2, "fake": 0.5 * ((x + y_hat) / 2) ** 2}
    unconditional = {"real": 0.5 * (y - 1) ** 2, "fake": 0.5 * y_hat**2}
    bright, dark = (y_hat + 1) / 2, (y + 1) / 2
    return {
        "ms_ssim_l1": {
            "G": {
                "ms_ssim": 0.84 * (1 - (2 * bright * dark + 1e-4) / (bright**2 + dark**2 + 1e-4)),
                "l1": 0.16 * (bright - dark),
            }
        },
        "pix2pixhd": {
            "D": {name: 2 * value for name, value in squares.items()},
            "G": {"adversarial": 2 * ((x + y_hat) / 2 - 1) ** 2, "matching": 10 * 2 * l1 / 2},  # x is half of what D sees, and the same
        },
        "msgan": {"D": squares, "G": {"adversarial": ((x + y_hat) / 2 - 1) ** 2, "l1": 10 * l1, "mode_seeking": 1e5}},
        "cut": {
            "D": unconditional,
            "H": {"nce": chance, "identity": chance},
            "G": {"adversarial": (y_hat - 1) ** 2, "nce": chance, "identity": chance},
        },
        "fastcut": {"D": unconditional, "H": {"nce": 10 * chance}, "G": {"adversarial": (y_hat - 1) ** 2, "nce": 10 * chance}},
        "mae": {"G": {"regression": l1}},
        "mse": {"G": {"regression": l1**2}},
        "cgan": conditional,
        "pix2pix": {"D": conditional["D"], "G": {**conditional["G"], "l1": 100 * l1}},
        "gan_l1": {
            "D": {"real": 0.5 * softplus(-y), "fake": 0.5 * softplus(y_hat)},
            "G": {"adversarial": softplus(-y_hat), "l1": 100 * l1},
        },
        "unpaired_gan": {"G": {"adversarial": (y_hat - 1) ** 2}, "D": unconditional},
        "cyclegan": {
            "G": {
                "adversarial_AB": (y_hat - 1) ** 2,
                "adversarial_BA": (x_hat - 1) ** 2,
                "cycle_A": 10 * abs(x - y_hat / 2),
                "cycle_B": 10 * abs(y - x_hat / 2),
                "identity": 5 * (abs(y / 2) + abs(x / 2)),
            },
            "D": {
                "real_A": 0.5 * (x - 1) ** 2,
                "fake_A": 0.5 * x_hat**2,
                "real_B": 0.5 * (y - 1) ** 2,
                "fake_B": 0.5 * y_hat**2,
            },
        },
    }[name]


BY_HAND = [
    "mae", "mse", "ms_ssim_l1", "cgan", "gan_l1", "pix2pix", "pix2pixhd", "msgan", "unpaired_gan", "cyclegan", "cut", "fastcut",
]  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_losses_by_hand(name: str) -> None:
    method = build(name, True)
    for player, networks in method.players.items():
        for role in networks:
            networks[role] = {"G": Half, "D": Mean, "H": Pixels}[player]()
    shape = (1, 3, SIZE, SIZE)
    given = Batch(torch.full(shape, 0.8), torch.full(shape, -0.2), torch.Generator())
    found, expected = terms_of(method, given), by_hand(name)
    assert {player: set(terms) for player, terms in found.items()} == {player: set(terms) for player, terms in expected.items()}
    for player, terms in expected.items():
        assert found[player] == pytest.approx(terms, rel=2e-3 if name == "ms_ssim_l1" else 1e-5), player  # variances of flat images


def test_gan_losses_by_hand() -> None:
    method = build("gan", True)
    method.players["D"]["D"] = Mean()
    given = batch(2)
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        fake = method.generator(z).mean(dim=(1, 2, 3)).tolist()
        real = given.y.mean(dim=(1, 2, 3)).tolist()
    found = terms_of(method, Batch(given.x, given.y, torch.Generator().manual_seed(7)))
    assert found["D"]["real"] == pytest.approx(sum(softplus(-value) for value in real) / 2, rel=1e-5)
    assert found["D"]["fake"] == pytest.approx(sum(softplus(value) for value in fake) / 2, rel=1e-5)
    assert found["G"]["adversarial"] == pytest.approx(sum(softplus(-value) for value in fake) / 2, rel=1e-5)


@pytest.mark.parametrize("paired", [True, False])
def test_perceptual_losses_by_hand(paired: bool) -> None:
    """Feature, style and TV terms, computed once more from the loss network's maps with einsum."""
    method: Any = build("perceptual_style", paired, content_weight=2.0, style_weight=3.0, tv_weight=0.5, pixel_weight=4.0)
    method.players["G"]["G"] = Half()
    given = batch(2)
    phi, targets = method.phi, pictures(8, 1)

    def grams(images: torch.Tensor) -> dict[str, torch.Tensor]:
        maps = phi.taps(images, phi.style_layers)
        return {k: torch.einsum("nahw,nbhw->nab", m, m) / m[0].numel() for k, m in maps.items()}

    y_hat, content = given.x / 2, given.y if paired else given.x
    hat, maps, scale = (phi.taps(images, phi.content_layers) for images in (y_hat, content, targets))
    expected = {
        "content": 2 * sum(float((hat[k] - maps[k]).pow(2).mean() / scale[k].pow(2).mean()) for k in phi.content_layers),
        "pixel": 4 * float((y_hat - content).abs().mean()),
        "tv": 0.5 * float((y_hat[..., 1:, :] - y_hat[..., :-1, :]).pow(2).sum() + (y_hat[..., 1:] - y_hat[..., :-1]).pow(2).sum()) / 2,
        "style": 0.0,
    }
    all_grams, own = grams(targets), grams(given.y)
    for k, gram in grams(y_hat).items():
        target = own[k] if paired else all_grams[k].mean(0)
        expected["style"] += 3 * float((gram - target).pow(2).sum((1, 2)).mean() / all_grams[k].pow(2).sum((1, 2)).mean())
    assert terms_of(method, given)["G"] == pytest.approx(expected, rel=1e-4)


def test_perceptual_gan_losses_by_hand() -> None:
    method: Any = build("perceptual_gan", True, loss_network="efficientnet-lite1", content_weight=2.0)
    method.players["G"]["G"], method.players["D"]["D"] = Half(), Mean()
    given = batch(1)
    y_hat, phi = given.x / 2, method.phi
    hat, maps, scale = (phi.taps(images, phi.content_layers) for images in (y_hat, given.y, pictures(8, 1)))
    difference = float(given.y.mean() - y_hat.mean())  # what D says of real and fake
    found = terms_of(method, given)
    assert found["D"] == pytest.approx({"relativistic": 2 * softplus(-difference)}, rel=1e-5)
    assert found["G"] == pytest.approx(
        {
            "content": 2 * sum(float((hat[k] - maps[k]).pow(2).mean() / scale[k].pow(2).mean()) for k in phi.content_layers),
            "adversarial": 0.005 * 2 * softplus(difference),
            "pixel": 0.01 * float((given.y - y_hat).abs().mean()),
        },
        rel=1e-4,
    )


def test_pix2pixhd_with_a_loss_network() -> None:
    method: Any = build("pix2pixhd", True, perceptual_weight=3.0, loss_network="efficientnet-lite1", matching_weight=0.0)
    method.players["G"]["G"] = Half()
    given = batch(2)
    hat, maps = (method.phi.taps(images, method.phi.style_layers) for images in (given.x / 2, given.y))
    expected = 3 * sum(float((hat[layer] - maps[layer]).abs().mean()) for layer in maps)
    found = terms_of(method, given)["G"]
    assert set(found) == {"adversarial", "perceptual"}
    assert found["perceptual"] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(UserError, match="found a weight and no loss_network"):
        build("pix2pixhd", True, perceptual_weight=3.0)


def test_more_discriminators_than_the_image_has_scales() -> None:
    assert set(build("pix2pixhd", True, scales=2).players["D"]) == {"D_1", "D_2"}  # 32 px, halved twice by each: 8 and 4
    with pytest.raises(UserError, match="found 3 discriminators for images of 32×32 px, of which the last sees 1/4 and halves it 2 times"):
        build("pix2pixhd", True, scales=3)


def test_cut_looks_at_other_places_each_time_and_at_each_once() -> None:
    method: Any = build("cut", True, positions=100)
    noise = torch.Generator().manual_seed(0)
    first, second, few = (method._places(size, noise, CPU).tolist() for size in (1024, 1024, 64))
    assert len(set(first)) == len(set(second)) == 100
    assert set(first) != set(second)
    assert sorted(few) == list(range(64))


def test_a_tap_is_one_layer_for_every_term() -> None:
    """Of efficientnet-lite1 the middle one is block3, a quarter of the image's resolution."""
    method: Any = build("perceptual_style", True, loss_network="efficientnet-lite1", tap="middle")
    method.players["G"]["G"] = Half()
    given = batch(2)
    hat, y, targets = (method.phi.taps(images, ("block3",))["block3"] for images in (given.x / 2, given.y, pictures(8, 1)))
    assert hat.shape[2:] == (SIZE // 4, SIZE // 4)

    def gram(maps: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nahw,nbhw->nab", maps, maps) / maps[0].numel()

    style = (gram(hat) - gram(y)).pow(2).sum((1, 2)).mean() / gram(targets).pow(2).sum((1, 2)).mean()
    expected = {"content": float((hat - y).pow(2).mean() / targets.pow(2).mean()), "style": 5 * float(style)}
    assert terms_of(method, given)["G"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("kept", "left_out"), [("style", "content"), ("content", "style")])
def test_a_weight_of_0_leaves_the_term_out(kept: str, left_out: str, paired: bool) -> None:
    alone, both = build("perceptual_style", paired, **{f"{left_out}_weight": 0.0}), build("perceptual_style", paired)
    found, whole = (terms_of(method, batch(2))["G"] for method in (alone, both))
    assert found == {kept: whole[kept]}


def test_a_perceptual_loss_needs_a_weight() -> None:
    with pytest.raises(UserError, match="found no weight above 0, expected one or more of content_weight, pixel_weight, tv_weight"):
        build("perceptual", True, content_weight=0.0)


@pytest.mark.parametrize(("direction", "counted"), [("both", {"cycle_A", "cycle_B"}), ("forward", {"cycle_A"}), ("backward", {"cycle_B"})])
def test_a_cycle_may_count_one_way(direction: str, counted: set[str]) -> None:
    """Forward is A → B → A. What is left is as it was."""
    whole, found = (terms_of(build("cyclegan", False, cycle=cycle), batch(2))["G"] for cycle in ("both", direction))
    assert found == {name: value for name, value in whole.items() if not name.startswith("cycle") or name in counted}


def test_the_loss_network_never_changes() -> None:
    method: Any = build("perceptual", True)
    before = {name: value.clone() for name, value in method.phi.state_dict().items()}
    fit(method, 3)
    assert all(torch.equal(before[name], value) for name, value in method.phi.state_dict().items())
    assert not any(parameter.requires_grad for parameter in method.phi.parameters())


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize("count", [1, 4, 7])
def test_an_image_pool_decides_one_image_after_another(size: int, count: int) -> None:
    """As the paper's algorithm written out, a batch's own images among the past ones; with chance from the same stream."""
    pool, rng = ImagePool(size, numpy_stream(3, "pool"), CPU), numpy_stream(3, "pool")
    kept: list[float] = []
    for number in range(20):
        fakes = torch.arange(count, dtype=torch.float32).add_(number * count).view(-1, 1, 1, 1)
        expected = []
        for image in fakes.flatten().tolist():
            if len(kept) < size:
                kept.append(image)
            elif rng.random() < 0.5:
                place = int(rng.integers(size))
                image, kept[place] = kept[place], image
            expected.append(image)
        pool.draw(count)
        assert pool.query(fakes).flatten().tolist() == expected


def test_image_pool() -> None:
    """Empty: what comes in goes out. Full: about half of what comes out is from the past, and a swap stores the new image."""

    def query(pool: ImagePool, fakes: torch.Tensor) -> torch.Tensor:
        pool.draw(len(fakes))
        return pool.query(fakes)

    pool = ImagePool(50, numpy_stream(0, "pool"), CPU)
    first = torch.arange(50.0).view(50, 1, 1, 1)
    assert torch.equal(query(pool, first), first)
    later = torch.arange(1000.0, 1400.0).view(400, 1, 1, 1)
    out = query(pool, later)
    swapped = (out != later).float().mean().item()
    assert 0.4 < swapped < 0.6
    state = copy.deepcopy(pool.state_dict())
    again = ImagePool(50, numpy_stream(1, "pool"), CPU)
    again.load_state_dict(state)
    more = torch.arange(50.0).view(50, 1, 1, 1)
    assert torch.equal(query(pool, more), query(again, more))
    assert torch.equal(query(ImagePool(0, numpy_stream(0, "pool"), CPU), later), later)
