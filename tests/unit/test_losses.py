"""Each loss against a hand computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cgm.core.errors import UserError
from cgm.evaluation.metrics import ms_ssim as metrics_ms_ssim
from cgm.evaluation.metrics import ssim as metrics_ssim
from cgm.methods import losses, losses_ssim
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


def test_charbonnier_by_hand() -> None:
    y_hat, y = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, -1.0]])
    assert losses.charbonnier(y_hat, y).item() == pytest.approx((1e-3 + math.sqrt(4 + 1e-6)) / 2)
    assert losses.charbonnier(y_hat, y, epsilon=0.5).item() == pytest.approx((0.5 + math.sqrt(4.25)) / 2)


def test_gradient_difference_by_hand() -> None:
    y = torch.tensor([[[[0.0, 1.0], [2.0, 4.0]]]])  # down 2 and 3, right 1 and 2
    y_hat = torch.tensor([[[[0.0, 0.5], [-1.0, 1.0]]]])  # down 1 and 0.5, right 0.5 and 2
    assert losses.gradient_difference(y_hat, y).item() == pytest.approx((1 + 2.5) / 2 + (0.5 + 0) / 2)
    assert losses.gradient_difference(y_hat, y, alpha=2.0).item() == pytest.approx((1 + 6.25) / 2 + 0.25 / 2)
    assert losses.gradient_difference(-y, y + 0.3).item() == pytest.approx(0, abs=1e-6)  # neither sign nor brightness


def test_focal_frequency_by_hand() -> None:
    """A difference of one constant c and one wave a·(−1)^u: two frequencies, of c²·HW and a²·HW."""
    c, a, wave = 0.5, 0.25, torch.tensor([1.0, -1.0]).repeat(2).view(1, 1, 4, 1).expand(1, 1, 4, 4)
    y_hat = c + a * wave
    expected = (1.0 * c**2 + (a / c) * a**2) * 16 / 16
    assert losses.focal_frequency(y_hat, torch.zeros_like(y_hat)).item() == pytest.approx(expected, rel=1e-5)


def test_focal_frequency_without_focus_is_the_squared_error() -> None:
    y_hat, y = torch.rand(2, 2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    assert losses.focal_frequency(y_hat, y, alpha=0.0).item() == pytest.approx(losses.mse(y_hat, y).item(), rel=1e-5)


def test_focal_frequency_weighs_each_image_and_channel_by_itself_and_as_a_constant() -> None:
    y_hat, y = torch.rand(2, 2, 3, 6, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    apart = [losses.focal_frequency(y_hat[n : n + 1, c : c + 1], y[n : n + 1, c : c + 1]).item() for n in range(2) for c in range(3)]
    loss = losses.focal_frequency(y_hat, y)
    assert loss.item() == pytest.approx(sum(apart) / 6, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, y_hat)
    spectrum = torch.fft.fft2((y_hat - y).detach(), norm="ortho")
    weight = spectrum.abs() / spectrum.abs().amax((2, 3), keepdim=True)
    torch.testing.assert_close(gradient, 2 * torch.fft.ifft2(weight * spectrum, norm="ortho").real / y.numel(), rtol=1e-4, atol=1e-7)


def test_focal_frequency_of_the_same_image_is_nought_and_has_a_gradient() -> None:
    y_hat = torch.rand(1, 1, 4, 4).requires_grad_()
    loss = losses.focal_frequency(y_hat, y_hat.detach().clone())
    (gradient,) = torch.autograd.grad(loss, y_hat)
    assert loss.item() == 0
    assert not gradient.any()


def test_feature_matching_by_hand() -> None:
    hat = [torch.tensor([[1.0, 3.0]]).requires_grad_(), torch.tensor([[2.0]])]
    real = [torch.tensor([[0.0, 1.0]]).requires_grad_(), torch.tensor([[-1.0]])]
    loss = losses.feature_matching(hat, real)
    assert loss.item() == pytest.approx((1 + 2) / 2 + 3)
    loss.backward()
    assert hat[0].grad is not None
    assert real[0].grad is None
    with pytest.raises(ValueError, match="longer"):
        losses.feature_matching(hat[:1], real)


def test_relativistic_average_by_hand() -> None:
    real, fake = torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 0.0, 0.5, 0.5])

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    more, less = [sigmoid(r - 0.0) for r in (1, 2)], [sigmoid(f - 1.5) for f in (-1, 0, 0.5, 0.5)]
    d = -sum(math.log(p) for p in more) / 2 - sum(math.log(1 - p) for p in less) / 4
    g = -sum(math.log(1 - p) for p in more) / 2 - sum(math.log(p) for p in less) / 4
    assert losses.relativistic_discriminator(real, fake).item() == pytest.approx(d, rel=1e-6)
    assert losses.relativistic_generator(real, fake).item() == pytest.approx(g, rel=1e-6)


def test_patch_nce_by_hand() -> None:
    queries = torch.tensor([[[2.0, 0.0], [0.0, 3.0]]])
    keys = torch.tensor([[[5.0, 0.0], [1.0, 1.0]]]).requires_grad_()  # cosines 1 and √½ for the first query, 0 and √½ for the second
    half = math.sqrt(0.5) / 0.5
    expected = (math.log(math.exp(2) + math.exp(half)) - 2 + math.log(1 + math.exp(half)) - half) / 2
    loss = losses.patch_nce(queries.requires_grad_(), keys, temperature=0.5)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert keys.grad is None


def test_patch_nce_takes_its_negatives_from_the_image_itself() -> None:
    queries, keys = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    apart = [losses.patch_nce(queries[n : n + 1], keys[n : n + 1]).item() for n in range(3)]
    assert losses.patch_nce(queries, keys).item() == pytest.approx(sum(apart) / 3, rel=1e-5)


def test_mode_seeking_by_hand() -> None:
    one, other = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.5]])
    z_1, z_2 = torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    assert losses.mode_seeking(one, other, z_1, z_2).item() == pytest.approx(1 / (0.5 / 1 + 1e-5))
    assert losses.mode_seeking(one, one, z_1, z_2).item() == pytest.approx(1e5)


def pictures(height: int, width: int, count: int = 3, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy ones and smooth ones, float64, each a whole number of 255ths of the range."""
    rng = torch.Generator().manual_seed(height * width)
    down, right = torch.linspace(0, 9, height).sin().view(-1, 1), torch.linspace(0, 7, width).cos()
    y = (down * right).expand(count, channels, height, width) * torch.tensor([0.9, 0.5, 0.2]).view(-1, 1, 1, 1)
    y_hat = y + 0.1 * torch.randn(y.shape, generator=rng)
    return tuple(((image.clamp(-1, 1) + 1) * 127.5).round().double() / 127.5 - 1 for image in (y_hat, y))  # type: ignore[return-value]


def as_uint8(images: torch.Tensor) -> np.ndarray:
    return ((images + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize(("height", "width"), [(11, 11), (32, 48), (64, 64)])
def test_ssim_is_the_metrics(height: int, width: int) -> None:
    y_hat, y = pictures(height, width)
    assert losses_ssim.ssim(y_hat, y).item() == pytest.approx(1 - metrics_ssim.ssim(as_uint8(y_hat), as_uint8(y)).mean(), abs=1e-5)
    assert losses_ssim.ssim(y, y).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("height", "width"), [(161, 161), (176, 203)])
def test_ms_ssim_of_five_scales_is_the_metrics(height: int, width: int) -> None:
    y_hat, y = pictures(height, width)
    assert losses_ssim.ms_ssim(y_hat, y).item() == pytest.approx(1 - metrics_ms_ssim.ms_ssim(as_uint8(y_hat), as_uint8(y)).mean(), abs=1e-5)


@pytest.mark.parametrize(("side", "count"), [(11, 1), (20, 1), (21, 2), (32, 2), (64, 3), (81, 4), (128, 4), (160, 4), (161, 5), (512, 5)])
def test_as_many_scales_as_the_window_fits_into(side: int, count: int) -> None:
    assert losses_ssim.scales(side) == count


def test_zhaos_ms_ssim_is_its_definition() -> None:
    """One pixel after another, with windows in two dimensions."""
    y_hat, y = ((image[:1, :1].double() + 1) / 2 for image in pictures(9, 12))
    total, weighted = 0.0, 0.0
    down, right = torch.meshgrid(torch.arange(9.0).double(), torch.arange(12.0).double(), indexing="ij")
    for row in range(9):
        for column in range(12):
            product = 1.0
            for sigma in (0.5, 1, 2, 4, 8):
                window = torch.exp(-((down - row) ** 2 + (right - column) ** 2) / (2 * sigma**2))
                window /= window.sum()

                def mean(values: torch.Tensor, window: torch.Tensor = window) -> float:
                    return float((window * values).sum())

                a, b = mean(y_hat[0, 0]), mean(y[0, 0])
                covariance = mean(y_hat[0, 0] * y[0, 0]) - a * b
                variances = mean(y_hat[0, 0] ** 2) - a * a + mean(y[0, 0] ** 2) - b * b
                product *= (2 * covariance + 0.03**2) / (variances + 0.03**2)
            total += product * (2 * a * b + 0.01**2) / (a * a + b * b + 0.01**2)
            weighted += mean((y_hat - y).abs()[0, 0])
    assert losses_ssim.pixelwise_ms_ssim(2 * y_hat - 1, 2 * y - 1).item() == pytest.approx(1 - total / 108, abs=1e-5)
    assert losses_ssim.gaussian_l1(2 * y_hat - 1, 2 * y - 1).item() == pytest.approx(weighted / 108, abs=1e-6)
    assert losses_ssim.pixelwise_ms_ssim(y, y).item() == pytest.approx(0, abs=1e-5)


def test_similarity_has_a_gradient_wherever_terms_are_negative() -> None:
    """The image's negative has no structure in common, and a power below 1 has no slope at 0."""
    _, y = pictures(64, 64)
    for loss in (losses_ssim.ssim, losses_ssim.ms_ssim, losses_ssim.pixelwise_ms_ssim):
        y_hat = (-y).float().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(y_hat, y), y_hat)
        assert gradient.isfinite().all()


def test_similarity_descends() -> None:
    y_hat, y = (image.float() for image in pictures(64, 64))
    for loss in (losses_ssim.ssim, losses_ssim.ms_ssim, losses_ssim.pixelwise_ms_ssim):
        x = y_hat.clone().requires_grad_()
        optimiser = torch.optim.Adam([x], lr=0.02)
        before = loss(x, y).item()
        for _ in range(30):
            optimiser.zero_grad()
            loss(x, y).backward()
            optimiser.step()
        assert loss(x, y).item() < 0.5 * before


def test_an_image_smaller_than_the_window_is_said() -> None:
    for loss in (losses_ssim.ssim, losses_ssim.ms_ssim):
        with pytest.raises(UserError, match="found images of 8×16 px, expected 11 px or more"):
            loss(torch.zeros(1, 3, 8, 16), torch.zeros(1, 3, 8, 16))


def test_accuracy_weights_real_and_fake_equally() -> None:
    real, fake = torch.tensor([2.0, -1.0, 3.0, 4.0]), torch.tensor([-1.0, 0.0])
    assert Vanilla().accuracy(real, fake).item() == pytest.approx((3 / 4 + 1) / 2)
    assert LeastSquares().accuracy(torch.tensor([0.4]), torch.tensor([0.6])).item() == 0
    constant = torch.full((5,), 0.7)
    assert LeastSquares().accuracy(constant, constant).item() == 0.5
