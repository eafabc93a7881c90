"""Mixtures: the papers' methods are special cases of them, to the last bit; what they refuse; every term lowers its loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cgm.core.errors import UserError
from cgm.core.registry import places
from cgm.data.batches import Batch
from cgm.experiment.reading import parse_params
from cgm.methods import METHODS, models
from cgm.methods.method import Method
from cgm.methods.terms import TERMS, Terms
from cgm.networks.fixed import weights
from cgm.networks.init import initialise
from cgm.networks.settings import Networks, PatchGAN, ResNet, UNet
from cgm.report.objective import objective

SIZE = 32
NETWORKS = Networks(unet=UNet(width=8), resnet=ResNet(width=8, blocks=1), patchgan=PatchGAN(width=8, layers=2))
EFFICIENT = "efficientnet-lite1"
SPECIAL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "mae": ({}, {"l1": 1}),
    "mse": ({}, {"l2": 1}),
    "cgan": ({}, {"adversarial": 1}),
    "gan_l1": ({}, {"adversarial": {"weight": 1, "conditional": False}, "l1": 100}),
    "pix2pix": (
        {"l1_weight": 10.0, "adversarial": "lsgan", "r1": 0.5},
        {"adversarial": {"weight": 1, "form": "lsgan", "r1": 0.5}, "l1": 10},
    ),
    "perceptual": (
        {"loss_network": EFFICIENT, "content_weight": 2.0, "pixel_weight": 10.0},
        {"perceptual": {"weight": 2, "loss_network": EFFICIENT}, "l1": 10},
    ),
}
"""A method with settings of its own, and the terms that say the same."""


def build(name: str, paired: bool = True, **settings: Any) -> Method:
    method = models.build(METHODS[name].Settings.model_validate({"implementation": name, **settings}), NETWORKS, SIZE, paired)
    for player in method.players.values():
        for role, network in player.items():
            initialise(network, torch.Generator().manual_seed(len(role)))
    method.prepare(pictures(8, 5), torch.device("cpu"), 0)
    return method


def pictures(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def fit(method: Method, steps: int) -> list[dict[str, float]]:
    """Each step's terms of G."""
    optimisers = {name: torch.optim.Adam(player.parameters(), lr=1e-3, betas=(0.5, 0.999)) for name, player in method.players.items()}
    history: list[dict[str, float]] = []

    def update(player: str, terms: Any) -> None:
        optimisers[player].zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimisers[player].step()
        if player == "G":
            history.append({name: term.item() for name, term in terms.items()})

    noise = torch.Generator().manual_seed(3)
    x = F.interpolate(pictures(4, 7), scale_factor=1 / 8, mode="area").repeat_interleave(8, 2).repeat_interleave(8, 3)
    for _ in range(steps):
        method.draw(4)
        method.step(Batch(x, -0.5 * x, noise), update)
    return history


@pytest.mark.parametrize("name", SPECIAL)
def test_a_papers_method_is_a_special_case(name: str) -> None:
    """Ten steps, the same bytes."""
    own, terms = SPECIAL[name]
    theirs, mixture = build(name, **own), build("weighted", terms=terms)
    for method in (theirs, mixture):
        fit(method, 10)
    assert mixture.stochastic == theirs.stochastic
    assert list(mixture.players) == list(theirs.players)
    for player, networks in theirs.players.items():
        found = mixture.players[player].state_dict()
        for key, value in networks.state_dict().items():
            assert torch.equal(value, found[key]), (player, key)


def test_the_terms_order_in_the_file_does_not_count() -> None:
    one, other = (build("weighted", terms=dict(order)) for order in ([("l1", 1), ("ssim", 1)], [("ssim", 1), ("l1", 1)]))
    fit(one, 2), fit(other, 2)
    assert all(torch.equal(a, b) for a, b in zip(one.generator.parameters(), other.generator.parameters(), strict=True))


@pytest.mark.parametrize("name", [name for name in TERMS if name not in ("adversarial", "feature_matching", "cycle", "identity")])
def test_each_term_alone_is_learned(name: str) -> None:
    settings = {"weight": 1, "loss_network": EFFICIENT} if name in ("perceptual", "style") else 1
    settings = {"weight": 1, "net": "alex"} if name == "lpips" else settings
    method = build("weighted", terms={name: settings})
    history = [each[name] for each in fit(method, 12)]
    assert all(value >= 0 for value in history)
    assert sum(history[-3:]) < sum(history[:3])


def test_a_mixture_of_the_paired_terms() -> None:
    terms = {
        "adversarial": {"weight": 1, "form": "hinge", "r1": 1, "diffaugment": ["color", "translation", "cutout"]},
        "feature_matching": 10,
        "l1": 1,
    }
    history = fit(build("weighted", terms=terms), 3)
    assert set(history[0]) == {"adversarial", "feature_matching", "l1"}


def test_an_unpaired_mixture_has_two_generators_and_pools() -> None:
    terms = {"adversarial": {"weight": 1, "form": "lsgan", "conditional": False, "pool": 6}, "cycle": 10, "identity": 5}
    method = build("weighted", paired=False, terms=terms, generator="resnet")
    history = fit(method, 6)
    assert method.supervision == "unpaired"
    assert list(method.players["G"]) == ["G", "F"]
    assert set(method.buffers) == {"pool_D_B", "pool_D_A"}
    assert history[-1]["cycle"] < history[0]["cycle"]


def test_a_weight_of_0_builds_nothing() -> None:
    method = build("weighted", terms={"l1": 1, "adversarial": 0})
    assert list(method.players) == ["G"]
    assert not method.stochastic


def test_every_network_that_a_term_looks_through_is_named_with_its_weights() -> None:
    """Also LPIPS's trunk, which no layer is asked of."""
    terms = {"perceptual": {"weight": 1, "loss_network": EFFICIENT}, "style": {"weight": 1, "loss_network": EFFICIENT}, "l1": 1}
    method = build("weighted", terms={**terms, "lpips": {"weight": 1, "net": "alex"}})
    alone = build("perceptual", loss_network=EFFICIENT)
    assert method.loss_network == [*alone.loss_network, {"name": "alexnet", "sha256": weights.fetch("alexnet")[1]}]
    assert build("weighted", terms={"l1": 1, "lpips": 0}).loss_network == []


def params(terms: Any, paired: bool = True, **more: Any) -> Any:
    group = {
        "datasets": {"d": {"source": "openmoji", "image_size": 64, "kimg": 1.0}},
        "methods": {"mine": {"implementation": "weighted", "terms": terms, **more}},
    }
    if not paired:
        group["datasets"]["d"]["source"] = "fluent-unpaired"
    return parse_params({"experiment": "x", "seeds": [0], **(group if paired else {"unpaired": group})})


@pytest.mark.parametrize(
    ("terms", "paired", "expected"),
    [
        ({"l11": 1}, True, "methods.mine.terms.l11: unknown key; did you mean 'l1'?"),
        ({"l1": -1}, True, "methods.mine.terms.l1.weight: found -1"),
        ({"l1": "much"}, True, "methods.mine.terms.l1: found 'much', expected a weight, or a mapping with a weight"),
        ({"adversarial": {"weight": 1, "frm": "lsgan"}}, True, "terms.adversarial.frm: unknown key; did you mean 'form'?"),
        ({"adversarial": {"weight": 1, "form": "lsgn"}}, True, "unknown adversarial loss 'lsgn'; did you mean 'lsgan'?"),
        ({"adversarial": {"form": "lsgan"}}, True, "terms.adversarial.weight: missing"),
        ({}, True, "no term with a weight above 0"),
        ({"tv": 0}, True, "no term with a weight above 0"),
        ({"feature_matching": 1}, True, "add one"),
        ({"adversarial": {"weight": 1, "pool": 50}}, True, "past outputs belong to other conditions"),
        ({"cycle": 1, "l1": 1}, True, "remove one of them"),
        ({"adversarial": 1}, False, "unpaired.methods.mine.terms.adversarial: needs aligned pairs; set conditional: false"),
        ({"l1": 1}, False, "unpaired.methods.mine.terms.l1: needs aligned pairs; remove it"),
    ],
)
def test_what_can_not_be_said(terms: Any, paired: bool, expected: str) -> None:
    with pytest.raises(UserError, match=r"^params\.yaml: ") as found:
        params(terms, paired)
    assert expected in str(found.value)
    assert "\n" not in str(found.value)


def test_the_equation_and_what_the_fingerprint_follows() -> None:
    settings = params({"l1": 100, "adversarial": {"weight": 1, "form": "lsgan"}, "tv": 0}).methods["mine"]
    assert objective(settings) == "λ_adversarial E(D(x, G(x)) − 1)² + λ_l1 E‖y − G(x)‖₁,  λ_adversarial = 1, λ_l1 = 100"
    assert {"cgm.methods.terms:L1", "cgm.methods.terms:Adversarial", "cgm.methods.losses:LeastSquares"} <= set(places(settings))
    assert "cgm.methods.terms:SSIM" not in places(settings)


def test_the_page_names_every_term() -> None:
    page = (Path(__file__).parents[2] / "docs/methods.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in TERMS)


def test_every_term_has_a_name_and_a_paper() -> None:
    assert list(Terms.model_fields) == list(TERMS)
    for term in TERMS.values():
        assert term.about.title
        assert term.about.citation
