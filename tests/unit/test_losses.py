"""Each loss against a hand computation."""

from __future__ import annotations

import math

import pytest
import torch

from cgm.methods import losses
from cgm.methods.losses import Hinge, LeastSquares, Vanilla


def test_mae_and_mse_by_hand() -> None:
    y_hat, y = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, -1.0]])
    assert losses.mae(y_hat, y).item() == pytest.approx((0.5 + 2.0) / 2)
    assert losses.mse(y_hat, y).item() == pytest.approx((0.25 + 4.0) / 2)


@pytest.mark.parametrize("real", [True, False])
def test_vanilla_is_binary_cross_entropy(real: bool) -> None:
    logits = torch.tensor([0.3, -2.0, 1.5])
    probability = [1 / (1 + math.exp(-value)) for value in logits.tolist()]
    expected = -sum(math.log(p if real else 1 - p) for p in probability) / 3
    loss = Vanilla().real(logits) if real else Vanilla().fake(logits)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_vanilla_stays_finite_for_a_certain_discriminator() -> None:
    assert Vanilla().generator(torch.tensor([-1e4])).item() == pytest.approx(1e4)


def test_lsgan_by_hand() -> None:
    logits = torch.tensor([0.0, 3.0])
    assert LeastSquares().real(logits).item() == pytest.approx((1 + 4) / 2)
    assert LeastSquares().fake(logits).item() == pytest.approx((0 + 9) / 2)


def test_hinge_by_hand() -> None:
    logits = torch.tensor([-0.5, 0.5, 2.0])
    assert Hinge().real(logits).item() == pytest.approx((1.5 + 0.5 + 0) / 3)
    assert Hinge().fake(logits).item() == pytest.approx((0.5 + 1.5 + 3.0) / 3)
    assert Hinge().generator(logits).item() == pytest.approx(-2 / 3)


def test_feature_reconstruction_sums_layer_means() -> None:
    a = {"p": torch.zeros(1, 1, 1, 2), "q": torch.zeros(1, 1, 1, 1)}
    b = {"p": torch.tensor([[[[1.0, 3.0]]]]), "q": torch.tensor([[[[2.0]]]])}
    assert losses.feature_reconstruction(a, b, {"p": 1.0, "q": 2.0}).item() == pytest.approx(5 + 2)
    assert losses.feature_reconstruction(a, b, {"q": 1.0}).item() == pytest.approx(4)


def test_gram_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # C=2, H=1, W=2
    expected = torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4
    torch.testing.assert_close(losses.gram(features), expected)


def test_style_reconstruction_broadcasts_one_target() -> None:
    hat = {"k": torch.tensor([[[1.0]], [[3.0]]])}
    assert losses.style_reconstruction(hat, {"k": torch.tensor([[[1.0]]])}, {"k": 1.0}).item() == pytest.approx((0 + 4) / 2)


def test_total_variation_by_hand() -> None:
    image = torch.tensor([[[[0.0, 1.0], [2.0, 4.0]]]])
    assert losses.total_variation(image).item() == pytest.approx(4 + 9 + 1 + 4)
    assert losses.total_variation(torch.ones(1, 3, 4, 4)).item() == 0


def test_accuracy_weights_real_and_fake_equally() -> None:
    real, fake = torch.tensor([2.0, -1.0, 3.0, 4.0]), torch.tensor([-1.0, 0.0])
    assert Vanilla().accuracy(real, fake).item() == pytest.approx((3 / 4 + 1) / 2)
    assert LeastSquares().accuracy(torch.tensor([0.4]), torch.tensor([0.6])).item() == 0
    constant = torch.full((5,), 0.7)
    assert LeastSquares().accuracy(constant, constant).item() == 0.5
