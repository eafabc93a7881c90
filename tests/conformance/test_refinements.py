"""R1 and differentiable augmentation for the adversarial methods that came after them: off they change nothing, on they do as said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_weighted import EFFICIENT, fit, pictures
from test_weighted import build as built

from cgm.data.batches import Batch
from cgm.methods import losses
from cgm.methods.cut import CUT, _detached
from cgm.methods.method import Method, Update, frozen
from cgm.methods.msgan import MSGAN
from cgm.methods.perceptual_gan import PerceptualGAN
from cgm.methods.pix2pixhd import Pix2PixHD

LATER: dict[str, dict[str, Any]] = {
    "pix2pixhd": {},
    "cut": {"positions": 16},
    "fastcut": {"positions": 16},
    "perceptual_gan": {"loss_network": EFFICIENT},
    "msgan": {},
}
"""The methods, with the least settings."""
ALL = ["color", "translation", "cutout"]


def build(name: str, **settings: Any) -> Any:
    return built(name, paired=name not in ("cut", "fastcut"), **LATER[name], **settings)


def plain_pix2pixhd(method: Pix2PixHD, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
    x, y, lsgan = batch.x, batch.y, losses.LeastSquares()

    def judged(images: torch.Tensor) -> list[list[torch.Tensor]]:
        seen, whole = torch.cat([x, images], dim=1), [*method.players["D"].values()]
        half = F.avg_pool2d(seen, 3, stride=2, padding=1, count_include_pad=False)
        return [D.features(each) for D, each in zip(whole, (seen, half), strict=True)]  # type: ignore[operator]

    y_hat = method.generator(x, batch.noise)
    real = judged(y)
    with frozen(method.players["D"]):
        fake = judged(y_hat)
        matched = torch.stack([losses.feature_matching(hat[:-1], maps[:-1]) for hat, maps in zip(fake, real, strict=True)]).sum()
        update("G", {"adversarial": torch.stack([lsgan.generator(maps[-1]) for maps in fake]).sum(), "matching": 10.0 * matched})
    fake = judged(y_hat.detach())
    on_real, on_fake = (torch.stack([term(maps[-1]) for maps in each]).sum() for term, each in ((lsgan.real, real), (lsgan.fake, fake)))
    update("D", {"real": 0.5 * on_real, "fake": 0.5 * on_fake})
    return {}


def plain_cut(method: CUT, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
    x, y, count, lsgan = batch.x, batch.y, len(batch.x), losses.LeastSquares()
    G: Any = method.generator
    D, H = method.players["D"]["D"], method.players["H"]["H"]
    outputs, maps = G.translate_and_encode(torch.cat([x, y]) if method.settings.identity_weight else x)
    y_hat, maps_hat = outputs[:count], G.encode(outputs)
    places = [torch.rand(h[0, 0].numel(), generator=batch.noise).argsort()[: method.settings.positions] for h in maps]
    update("D", {"real": 0.5 * lsgan.real(D(y)), "fake": 0.5 * lsgan.fake(D(y_hat.detach()))})
    update("H", method._nce(_detached(maps_hat), maps, places, count))
    with frozen(D, H):
        update("G", {"adversarial": lsgan.generator(D(y_hat)), **method._nce(maps_hat, maps, places, count)})
    return {}


def plain_perceptual_gan(method: PerceptualGAN, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
    y, D = batch.y, method.players["D"]["D"]
    y_hat = method.generator(batch.x, batch.noise)
    real = D(y)
    terms = method._content(y_hat, y, method.phi.taps(y_hat, method.phi.content_layers))
    with frozen(D):
        terms["adversarial"] = 5e-3 * losses.relativistic_generator(real.detach(), D(y_hat))
        update("G", terms)
    update("D", {"relativistic": losses.relativistic_discriminator(real, D(y_hat.detach()))})
    return {}


def plain_msgan(method: MSGAN, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
    x, y, D, lsgan = batch.x, batch.y, method.players["D"]["D"], losses.LeastSquares()
    twice = torch.cat([x, x])
    z = torch.randn(len(twice), 8, generator=batch.noise)
    y_hat = method._paint(twice, z)
    real, fake = D(torch.cat([x, y], dim=1)), D(torch.cat([twice, y_hat.detach()], dim=1))
    update("D", {"real": 0.5 * lsgan.real(real), "fake": 0.5 * lsgan.fake(fake)})
    first, second = y_hat.chunk(2)
    with frozen(D):
        terms = {"adversarial": lsgan.generator(D(torch.cat([twice, y_hat], dim=1)))}
        terms["l1"] = 10.0 * losses.mae(first, y)
        update("G", {**terms, "mode_seeking": losses.mode_seeking(first, second, *z.chunk(2))})
    return {}


PLAIN: dict[str, Any] = {
    "pix2pixhd": plain_pix2pixhd,
    "cut": plain_cut,
    "fastcut": plain_cut,
    "perceptual_gan": plain_perceptual_gan,
    "msgan": plain_msgan,
}
"""A step of each as its paper has it, without R1 and augmentation."""


@pytest.mark.parametrize("name", LATER)
def test_off_they_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps, the same bytes."""
    method, plain = build(name), build(name)
    monkeypatch.setattr(plain, "step", lambda batch, update: PLAIN[name](plain, batch, update))
    fit(method, 10), fit(plain, 10)
    for player, networks in plain.players.items():
        found = method.players[player].state_dict()
        for key, value in networks.state_dict().items():
            assert torch.equal(value, found[key]), (player, key)


def one_step(method: Method) -> dict[str, dict[str, torch.Tensor]]:
    """Each player's terms in a step that changes nothing."""
    found: dict[str, dict[str, torch.Tensor]] = {}

    def update(player: str, terms: Mapping[str, torch.Tensor]) -> None:
        torch.stack(list(terms.values())).sum().backward()  # each player's graph is its own: neither frees the other's
        found[player] = {name: term.detach() for name, term in terms.items()}

    method.draw(4)
    method.step(Batch(pictures(4, 1), pictures(4, 2), torch.Generator().manual_seed(3)), update)
    return found


@pytest.mark.parametrize("name", LATER)
def test_r1_is_half_gamma_times_the_squared_gradient_at_real_images(name: str) -> None:
    method, y = build(name, r1=3.0), pictures(4, 2).requires_grad_()
    discriminators = [*method.players["D"].values()]
    given = [pictures(4, 1)] if name in ("pix2pixhd", "msgan") else []
    seen = torch.cat([*given, y], dim=1)
    expected = 0.0
    for number, D in enumerate(discriminators):
        logits = D(F.avg_pool2d(seen, 3, stride=2, padding=1, count_include_pad=False) if number else seen)
        (gradient,) = torch.autograd.grad(logits.sum(), y, retain_graph=True)
        expected += 1.5 * gradient.square().sum().item() / logits.numel()
    plain, refined = one_step(build(name)), one_step(method)
    assert refined["D"].pop("r1").item() == pytest.approx(expected, rel=1e-4)
    assert refined == plain  # the first step's other terms, to the last bit


@pytest.mark.parametrize("name", LATER)
def test_r1_and_augmentation_together_move_d_and_every_player(name: str) -> None:
    method = build(name, r1=1.0, diffaugment=ALL)
    before = {player: [each.detach().clone() for each in networks.parameters()] for player, networks in method.players.items()}
    history = fit(method, 3)
    assert all(torch.isfinite(torch.tensor(list(step.values()))).all() for step in history)
    for player, networks in method.players.items():
        assert any(not torch.equal(old, new) for old, new in zip(before[player], networks.parameters(), strict=True)), player


@pytest.mark.parametrize("name", LATER)
def test_augmentation_changes_what_d_sees_and_nothing_else(name: str) -> None:
    plain, changed = one_step(build(name)), one_step(build(name, diffaugment=ALL))
    seen_by_d = {"adversarial", "matching"}
    for term, value in plain["G"].items():
        assert torch.equal(value, changed["G"][term]) == (term not in seen_by_d), term
    assert all(not torch.equal(value, changed["D"][term]) for term, value in plain["D"].items())


def test_pix2pixhd_matches_maps_of_pictures_that_were_moved_alike() -> None:
    """Of two equal pictures nothing is left to be matched, however D sees them."""
    method = build("pix2pixhd", diffaugment=ALL)
    y = pictures(4, 2)
    method.players["G"]["G"] = Fixed(y)
    assert one_step(method)["G"]["matching"] == 0


class Fixed(torch.nn.Module):
    """Whatever it is given, it paints one picture."""

    def __init__(self, picture: torch.Tensor) -> None:
        super().__init__()
        self.picture = torch.nn.Parameter(picture.clone())

    def forward(self, x: torch.Tensor, noise: torch.Generator | None = None) -> torch.Tensor:
        return self.picture
