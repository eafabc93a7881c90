"""The losses of structural similarity against the package ``pytorch-msssim``: values and gradients."""

import pytest
import pytorch_msssim
import torch
import torch.nn.functional as F

from cgm.methods import losses_ssim


def pictures(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """In float64: a noisy one and a smooth one."""
    rng = torch.Generator().manual_seed(height * width)
    down, right = torch.linspace(0, 9, height).sin().view(-1, 1), torch.linspace(0, 7, width).cos()
    y = (down * right).double().expand(3, 3, height, width)
    return (y + 0.1 * torch.randn(y.shape, generator=rng)).clamp(-1, 1).requires_grad_(), y


def assert_same(loss: torch.Tensor, similarity: torch.Tensor, y_hat: torch.Tensor) -> None:
    assert loss.item() == pytest.approx(1 - similarity.item(), abs=1e-5)
    found, expected = (torch.autograd.grad(value, y_hat)[0] for value in (loss, 1 - similarity))
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=2e-3 * float(expected.abs().max()))


@pytest.mark.parametrize(("height", "width"), [(11, 11), (32, 48), (64, 64)])
def test_ssim(height: int, width: int) -> None:
    y_hat, y = pictures(height, width)
    assert_same(losses_ssim.ssim(y_hat, y), pytorch_msssim.ssim((y_hat + 1) / 2, (y + 1) / 2, data_range=1.0), y_hat)


@pytest.mark.parametrize(("height", "width", "scales"), [(11, 64, 1), (32, 64, 2), (44, 52, 3), (64, 64, 3), (128, 96, 4), (176, 203, 5)])
def test_ms_ssim(height: int, width: int, scales: int) -> None:
    """The package has five scales. Pixels made into squares give the image back after as many halvings, which have no weight."""
    y_hat, y = pictures(height, width)
    share = sum(losses_ssim.WEIGHTS[:scales]) / sum(losses_ssim.WEIGHTS)
    weights = [0.0] * (5 - scales) + [weight / share for weight in losses_ssim.WEIGHTS[:scales]]
    large = [F.interpolate((image + 1) / 2, scale_factor=2 ** (5 - scales), mode="nearest") for image in (y_hat, y)]
    expected = pytorch_msssim.ms_ssim(*large, data_range=1.0, weights=weights)
    assert_same(losses_ssim.ms_ssim(y_hat, y), expected, y_hat)
