"""Losses are computed in float32, whatever the networks ran in: on bfloat16 maps and inside autocast they equal float32's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cgm.methods import losses, losses_ssim
from cgm.methods.losses import ADVERSARIAL
from cgm.networks.fixed import FIXED

SHAPE = (2, 3, 8, 8)


def some(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape or SHAPE, generator=torch.Generator().manual_seed(seed))


def maps(seed: int, dtype: torch.dtype) -> dict[str, Tensor]:
    return {"a": some(seed).to(dtype), "b": some(seed + 1, 2, 5, 4, 4).to(dtype)}


SCALE = {"a": 0.7, "b": 1.3}
CASES: dict[str, Callable[[torch.dtype], Tensor]] = {
    "mae": lambda dtype: losses.mae(some(0).to(dtype), some(1)),
    "mse": lambda dtype: losses.mse(some(0).to(dtype), some(1)),
    "total variation": lambda dtype: losses.total_variation(some(0).to(dtype)),
    "feature reconstruction": lambda dtype: losses.feature_reconstruction(maps(0, dtype), maps(5, dtype), SCALE),
    "charbonnier": lambda dtype: losses.charbonnier(some(0).to(dtype), some(1), epsilon=0.1),
    "gradient difference": lambda dtype: losses.gradient_difference(some(0).to(dtype), some(1)),
    "focal frequency": lambda dtype: losses.focal_frequency(some(0).to(dtype), some(1)),
    "feature matching": lambda dtype: losses.feature_matching(list(maps(0, dtype).values()), list(maps(5, dtype).values())),
    "relativistic discriminator": lambda dtype: losses.relativistic_discriminator(some(0).to(dtype), some(1).to(dtype)),
    "relativistic generator": lambda dtype: losses.relativistic_generator(some(0).to(dtype), some(1).to(dtype)),
    "patch NCE": lambda dtype: losses.patch_nce(some(0, 2, 9, 5).to(dtype), some(1, 2, 9, 5).to(dtype), temperature=1.0),
    "mode seeking": lambda dtype: losses.mode_seeking(some(0).to(dtype), some(1).to(dtype), some(2, 2, 8), some(3, 2, 8)),
    "SSIM": lambda dtype: losses_ssim.ssim(some(0, 2, 3, 32, 32).to(dtype), some(1, 2, 3, 32, 32)),
    "MS-SSIM": lambda dtype: losses_ssim.ms_ssim(some(0, 2, 3, 32, 32).to(dtype), some(1, 2, 3, 32, 32)),
    "MS-SSIM of pixels": lambda dtype: losses_ssim.pixelwise_ms_ssim(some(0, 2, 3, 16, 16).to(dtype), some(1, 2, 3, 16, 16)),
    "L1 under a window": lambda dtype: losses_ssim.gaussian_l1(some(0, 2, 3, 16, 16).to(dtype), some(1, 2, 3, 16, 16)),
    "gram": lambda dtype: losses.gram(some(0).to(dtype)),
    "style reconstruction": lambda dtype: losses.style_reconstruction(maps(0, dtype), maps(5, dtype), SCALE),
    **{
        f"{name} {part}": lambda dtype, name=name, part=part: getattr(ADVERSARIAL[name](), part)(some(3, 2, 1, 4, 4).to(dtype))
        for name in ADVERSARIAL
        for part in ("real", "fake", "generator")
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_loss_of_bfloat16_is_float32s(case: str) -> None:
    """The arguments are rounded to bfloat16 once, by the network that made them; nothing is rounded after that."""
    with torch.autocast("cpu", torch.bfloat16):
        found = CASES[case](torch.bfloat16)
    assert found.dtype == torch.float32
    assert torch.equal(found, CASES[case](torch.bfloat16))  # outside of autocast
    assert torch.allclose(found, CASES[case](torch.float32), rtol=0.05, atol=0.05)


def test_ln_2_reads_ln_2() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = ADVERSARIAL["vanilla"]().real(torch.zeros(2, 1, 4, 4, dtype=torch.bfloat16))
    assert loss.item() == pytest.approx(0.693147, abs=1e-6)  # .69140625 in bfloat16


def test_gradients_reach_what_the_network_made() -> None:
    output = some(0).bfloat16().requires_grad_()
    losses.mae(output, some(1)).backward()
    assert output.grad is not None
    assert output.grad.dtype == torch.bfloat16
    assert output.grad.abs().sum() > 0


def test_a_frozen_network_ignores_autocast() -> None:
    """Style of near targets through bfloat16 maps is off by a quarter; through float32 maps it is what it is."""
    network = FIXED["efficientnet-lite1"].guide("cpu")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plain = network.taps(images)
    with torch.autocast("cpu", torch.bfloat16):
        inside = network.taps(images)
    assert all(torch.equal(plain[name], inside[name]) for name in plain)
    assert {tensor.dtype for tensor in inside.values()} == {torch.float32}


def test_total_variation_is_the_papers_sum() -> None:
    image = torch.zeros(1, 1, 2, 3)
    image[0, 0, 0, 1] = 2.0  # 2² to the left, to the right, and below
    assert losses.total_variation(image).item() == 12.0
    assert losses.total_variation(torch.cat([image, 0 * image])).item() == 6.0  # a mean over the batch


def test_vggs_content_layer_is_the_papers() -> None:
    """Johnson et al. 2016: relu2_2 for super-resolution and for style transfer (relu3_3 is the published code's)."""
    assert FIXED["vgg16"].content_layers == ("relu2_2",)
