"""What came after the first GANs: R1, differentiable augmentation, the average of G's weights; by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cgm.methods import METHODS, losses, models
from cgm.methods.augmentation import CUT, POLICIES, SHIFT, drawn
from cgm.methods.game import Game, Refined, Refinements
from cgm.methods.method import Method
from cgm.networks.settings import Networks, PatchGAN, UNet
from cgm.training.average import Average

ALL = tuple(POLICIES)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmented(y: torch.Tensor, policies: tuple[str, ...], channels: int, source: torch.Generator) -> torch.Tensor:
    return drawn(policies, len(y), (y.shape[2], y.shape[3]), y.device, source)(y, channels)


def images(count: int = 4, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, 16, 24, generator=noise(9)) * 2 - 1


class Linear(nn.Module):
    """D(y) = w · y for each image, or for each of its two halves."""

    def __init__(self, halves: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 16, 24, generator=noise(1)))
        self.halves = halves

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        product = self.weight * y[:, -3:]
        return (
            torch.stack([product[..., :12].sum((1, 2, 3)), product[..., 12:].sum((1, 2, 3))], 1) if self.halves else product.sum((1, 2, 3))
        )


def test_r1_is_the_squared_gradient_at_real_images() -> None:
    D, y = Linear(), images().requires_grad_()
    penalty = losses.gradient_penalty(D(y), y)
    assert penalty.item() == pytest.approx(D.weight.square().sum().item(), rel=1e-6)
    penalty.backward()
    assert torch.allclose(D.weight.grad, 2 * D.weight)


def test_of_patches_that_do_not_overlap_r1_is_the_mean() -> None:
    D, y = Linear(halves=True), images().requires_grad_()
    halves = [half.square().sum().item() for half in (D.weight[..., :12], D.weight[..., 12:])]
    assert losses.gradient_penalty(D(y), y).item() == pytest.approx(sum(halves) / 2, rel=1e-6)


def test_the_game_adds_r1_to_d_alone_and_only_for_the_image() -> None:
    D, x, y, y_hat = Linear(), images(), images() * 0.5, images() * -0.5
    plain, refined = Game("vanilla", Refinements()), Game("vanilla", Refinements(r1=4.0))
    before, after = plain.judge(D, y, y_hat, noise(), x), refined.judge(D, y, y_hat, noise(), x)
    assert before.penalty == {}
    assert after.penalty["r1"].item() == pytest.approx(2 * D.weight.square().sum().item(), rel=1e-6)
    for name in ("real", "fake", "accuracy"):
        assert torch.equal(getattr(before, name), getattr(after, name))
    assert torch.equal(plain.generator(D, y_hat, noise(), x), refined.generator(D, y_hat, noise(), x))
    assert not y.requires_grad


def test_no_policy_draws_no_noise_and_gives_the_images_themselves() -> None:
    seen = []
    game, source = Game("lsgan", Refinements()), noise()
    state = source.get_state()
    game.generator(lambda given: seen.append(given) or given.mean((1, 2, 3)), y := images(), source)  # type: ignore[arg-type, func-returns-value]
    assert seen[0] is y
    assert torch.equal(source.get_state(), state)


@pytest.mark.parametrize("policies", [(), *((name,) for name in ALL), ALL])
def test_augmentation_is_the_noises_and_lets_gradients_pass(policies: tuple[str, ...]) -> None:
    y = images().requires_grad_()
    one, same, other = (augmented(y, policies, 3, noise(seed)) for seed in (1, 1, 2))
    assert one.shape == y.shape
    assert torch.equal(one, same)
    assert torch.equal(one, other) == (not policies)
    (gradient,) = torch.autograd.grad(one.square().sum(), y)
    assert (gradient != 0).float().mean() > 0.5


@pytest.mark.parametrize("policy", ALL)
def test_pictures_on_top_of_each_other_are_changed_alike(policy: str) -> None:
    y = images()
    stacked = augmented(torch.cat([y, y], 1), (policy,), 3, noise(3))
    assert torch.allclose(stacked[:, :3], stacked[:, 3:])
    assert torch.allclose(stacked[:, :3], augmented(y, (policy,), 3, noise(3)))


@pytest.mark.parametrize("given", [None, images()])
def test_one_transform_changes_different_pictures_alike(given: torch.Tensor | None) -> None:
    refined, y = Refined(Refinements(diffaugment=ALL)), images()  # type: ignore[arg-type]
    transform = refined.transform(y, noise(4))
    one, same, other = transform(y, given), transform(y, given), refined.transform(y, noise(5))(y, given)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(one, refined.seen(y, given, noise(4)))
    assert one.shape[1] == (3 if given is None else 6)


def test_translation_moves_by_up_to_an_eighth_and_fills_with_grey() -> None:
    y = torch.full((200, 1, 16, 24), 1.0)
    moved = augmented(y, ("translation",), 1, noise(5))
    for axis, side in ((2, 16), (3, 24)):
        empty = (moved.amax(5 - axis) == 0).sum(2).squeeze(1)  # rows, or columns, that came from outside
        assert empty.max() == round(side * SHIFT)
        assert empty.min() == 0


def test_cutout_takes_a_square_of_half_the_side() -> None:
    y = torch.full((400, 1, 16, 16), 1.0)
    gone = (augmented(y, ("cutout",), 1, noise(6)) == 0).sum((1, 2, 3))
    assert gone.max() in (round((16 * CUT - 1) ** 2), round((16 * CUT) ** 2))
    assert gone.min() >= (16 * CUT / 2 - 1) ** 2  # the centre lies inside


def test_colours_move_within_the_papers_ranges() -> None:
    grey = torch.zeros(500, 3, 4, 4)
    shifted = augmented(grey, ("color",), 3, noise(7))[:, 0, 0, 0]
    assert shifted.min() < -0.45
    assert shifted.max() > 0.45
    assert shifted.abs().max() <= 0.5


def pix2pix(**settings: object) -> Method:
    networks = Networks(unet=UNet(width=4, norm="batch"), patchgan=PatchGAN(width=4, layers=2))
    return models.build(METHODS["pix2pix"].Settings.model_validate({"implementation": "pix2pix", **settings}), networks, 32, True)


def test_the_average_by_hand() -> None:
    """A half-life of 16 images at 8 a step: β² = ½."""
    method = pix2pix()
    average = Average(method, 16.0, 8)
    start = [parameter.detach().clone() for parameter in method.generator.parameters()]
    with torch.no_grad():
        for parameter in method.generator.parameters():
            parameter += 1.0
    average.update(), average.update()
    for mine, old in zip(average.networks.parameters(), start, strict=True):
        assert torch.allclose(mine, old + 0.5, atol=1e-6)
        assert not mine.requires_grad
    trained = method.generator
    with average.in_place():
        assert method.generator is average.networks["G"]
    assert method.generator is trained


def test_the_average_copies_buffers_and_keeps_its_state() -> None:
    method = models.build(METHODS["gan"].Settings(implementation="gan"), Networks(), 32, True)
    average = Average(method, 100.0, 8)
    statistics = next(method.generator.buffers())
    statistics += 3
    average.update()
    assert torch.equal(next(average.networks.buffers()), statistics)
    other = Average(models.build(METHODS["gan"].Settings(implementation="gan"), Networks(), 32, True), 100.0, 8)
    other.load_state_dict(average.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(other.networks.parameters(), average.networks.parameters(), strict=True))
