"""Normalisation and dropout of the paired networks, as the authors have them."""

from __future__ import annotations

import pytest
import torch

from cgm.networks.patchgan import PatchGAN
from cgm.networks.unet import UNet


def images(count: int, size: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_a_batch_normalised_unet_translates_by_each_image_alone() -> None:
    """Pix2Pix translates with the test image's own statistics: no running averages, no neighbours."""
    torch.manual_seed(0)
    network = UNet(32, width=4, norm="batch").eval()
    x = images(3)
    with torch.no_grad():
        together, alone = network(x), torch.cat([network(image[None]) for image in x])
        assert torch.allclose(together, alone, atol=1e-6)
        network.train()  # a batch of one image has that image's statistics
        assert torch.allclose(network(x[:1]), alone[:1], atol=1e-5)
        assert not torch.allclose(network(x), together, atol=1e-3)  # over the batch in training
    assert not [name for name in network.state_dict() if "running" in name]


@pytest.mark.parametrize(("size", "levels"), [(256, 3), (128, 3), (64, 1), (32, 1)])
def test_dropout_levels_are_those_of_the_published_networks(size: int, levels: int) -> None:
    """phillipi/pix2pix, models.lua: three in unet_128 and in unet (256 px)."""
    assert UNet(size, width=1).dropout_levels == levels


def test_the_discriminator_can_be_batch_normalised() -> None:
    torch.manual_seed(0)
    network = PatchGAN(6, width=4, layers=2, norm="batch").train()
    x = images(4).repeat(1, 2, 1, 1)
    with torch.no_grad():
        assert network(x).shape == (4, 1, 6, 6)
        assert not torch.allclose(network(x)[:1], network(x[:1]), atol=1e-4)
