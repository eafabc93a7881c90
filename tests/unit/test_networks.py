"""Shapes, ranges, receptive fields and noise of the trained networks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cgm.methods import METHODS, models
from cgm.networks import dcgan
from cgm.networks.heads import PatchHeads
from cgm.networks.init import initialise, parameter_count
from cgm.networks.layers import (
    DoublingConv,
    FoldedConv,
    FoldedDoublingConv,
    HalvingConv,
    InstanceNorm2d,
    Overlaid,
    Patches,
    ReflectionPad,
    reflected,
    side_by_side,
)
from cgm.networks.patchgan import PatchGAN, receptive_field
from cgm.networks.resnet import ResNet
from cgm.networks.settings import Networks
from cgm.networks.unet import UNet


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("make", [lambda s: UNet(s, 4), lambda s: UNet(s, 4, norm="instance"), lambda s: ResNet(s, 4, 1)])
def test_generators_keep_shape_and_range(make, size: int) -> None:
    network = make(size)
    initialise(network, noise())
    y = network(torch.rand(2, 3, size, size) * 2 - 1, noise())
    assert y.shape == (2, 3, size, size)
    assert y.abs().max() < 1


def test_published_sizes() -> None:
    """The papers' networks at 256 px: 54.4 M (U-Net), 11.4 M (ResNet, 9 blocks); D 2.77 M with 6 channels, 2.76 M with 3; CUT's heads
    0.560 M."""
    assert parameter_count(UNet(256)) == pytest.approx(54.41e6, rel=2e-3)
    assert parameter_count(ResNet(256)) == pytest.approx(11.38e6, rel=2e-3)
    assert parameter_count(PatchGAN(6)) == pytest.approx(2.769e6, rel=2e-3)
    assert parameter_count(PatchHeads(ResNet(256).encoder_channels)) == 560_384


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize(("layers", "channels"), [(0, [4, 8]), (1, [4, 8]), (3, [4, 8, 16, 32])])
def test_a_discriminators_features_lead_to_its_logits(layers: int, channels: list[int], norm: Any) -> None:
    network = PatchGAN(3, 4, layers, norm)
    initialise(network, noise())
    images = torch.rand(2, 3, 32, 48, generator=noise())
    expected, *maps = network(images), *network.features(images)
    assert torch.equal(maps[-1], expected)
    assert [h.shape[1] for h in maps] == [*channels, 1]
    with torch.no_grad():  # each map is what the rest of the body goes on from
        for number, h in enumerate(maps[:-1], 1):
            after = [place for place, layer in enumerate(network.body) if isinstance(layer, torch.nn.LeakyReLU)][number - 1] + 1
            assert torch.equal(network.body[after:](h), expected)
    torch.stack([h.square().mean() for h in maps]).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(("blocks", "maps"), [(0, 3), (1, 4), (3, 5), (6, 5)])
def test_the_encoders_maps_lead_to_the_output(blocks: int, maps: int) -> None:
    network = ResNet((32, 48), 4, blocks)
    initialise(network, noise())
    x = torch.rand(2, 3, 32, 48, generator=noise())
    y, found = network.translate_and_encode(x)
    assert torch.equal(y, network(x))
    assert all(torch.equal(one, other) for one, other in zip(found, network.encode(x), strict=True))
    assert [tuple(h.shape[1:]) for h in found] == [(3, 32, 48), (8, 16, 24), (16, 8, 12), (16, 8, 12), (16, 8, 12)][:maps]
    assert [h.shape[1] for h in found] == network.encoder_channels
    assert torch.equal(network.body[network.encoder[-1] + 1 :](found[-1]), y)
    for place, h in zip(network.encoder, found[1:], strict=True):
        assert torch.equal(network.body[place + 1 :](h.clone()), y)


@pytest.mark.parametrize("make", [UNet, ResNet])
def test_a_generator_reads_more_channels_than_it_paints(make: Any) -> None:
    network = make(32, 4, inputs=11)
    initialise(network, noise())
    assert network(torch.rand(2, 11, 32, 32)).shape == (2, 3, 32, 32)
    assert parameter_count(network) - parameter_count(make(32, 4)) == 8 * 4 * (16 if make is UNet else 49)


def test_heads_embed_the_pixels_at_these_places() -> None:
    heads = PatchHeads([3, 5], width=7)
    maps = [torch.rand(2, 3, 4, 6), torch.rand(2, 5, 2, 2)]
    found = heads(maps, [torch.tensor([0, 7]), torch.tensor([3])])
    assert [tuple(each.shape) for each in found] == [(2, 2, 7), (2, 1, 7)]
    torch.testing.assert_close(found[0][:, 1], heads.heads[0](maps[0][:, :, 1, 1]))
    torch.testing.assert_close(found[1][:, 0], heads.heads[1](maps[1][:, :, 1, 1]))


@pytest.mark.parametrize("width", [1, 3])
def test_reflection_padding_is_torchs(width: int) -> None:
    h = torch.rand(2, 3, 8, 9)
    assert torch.equal(ReflectionPad(width)(h), torch.nn.ReflectionPad2d(width)(h))
    assert torch.equal(reflected(h, width), torch.nn.ReflectionPad2d(width)(h))


@pytest.mark.parametrize("affine", [False, True])
def test_instance_normalisation_is_torchs(affine: bool) -> None:
    ours, theirs = InstanceNorm2d(5, affine=affine).double(), torch.nn.InstanceNorm2d(5, affine=affine).double()
    if affine:
        initialise(ours, noise())
    theirs.load_state_dict(ours.state_dict())
    h = torch.randn(3, 5, 6, 7, dtype=torch.float64, generator=noise())
    upstream = torch.randn(3, 5, 6, 7, dtype=torch.float64, generator=noise(1))
    found = []
    for layer in (ours, theirs):
        x = h.clone().requires_grad_()
        y = layer(x)
        found.append([y, *torch.autograd.grad(y, [x, *layer.parameters()], upstream)])
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size", [1, 2, 4, 8, 9])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [HalvingConv, DoublingConv])
def test_convolutions_as_products_are_torchs(kind, size: int, bias: bool, layout: torch.memory_format) -> None:
    """``size``: of the smaller map, pixels a side; from 9 on both are convolutions. ``layout``: of the weights."""
    ours = kind(3, 5, bias=bias).double().to(memory_format=layout)
    initialise(ours, noise())
    theirs = (torch.nn.Conv2d if kind is HalvingConv else torch.nn.ConvTranspose2d)(3, 5, 4, 2, 1, bias=bias).double()
    theirs.load_state_dict(ours.state_dict())
    side = 2 * size if kind is HalvingConv else size
    h = torch.randn(2, 3, side, side, dtype=torch.float64, generator=noise())
    found = []
    for layer in (ours, theirs):
        x = h.clone().requires_grad_()
        y = layer(x)
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-12)


def test_patches_and_their_sum_are_torchs_and_each_others_gradients() -> None:
    """Also the gradient's gradient, which R1 takes."""
    h = torch.randn(2, 3, 4, 6, dtype=torch.float64, generator=noise(), requires_grad=True)
    patches = Patches.apply(h)
    theirs = F.unfold(h, 4, padding=1, stride=2).view(2, 3, 4, 4, 6).permute(0, 4, 2, 3, 1).reshape(12, 48)
    torch.testing.assert_close(patches, theirs, rtol=0, atol=0)
    rows = torch.randn(12, 48, dtype=torch.float64, generator=noise(1), requires_grad=True)
    columns = rows.view(2, 6, 4, 4, 3).permute(0, 4, 2, 3, 1).reshape(2, 48, 6)
    torch.testing.assert_close(Overlaid.apply(rows, (2, 3, 4, 6)), F.fold(columns, (4, 6), 4, padding=1, stride=2), rtol=1e-12, atol=1e-12)
    for function, inputs in ((Patches.apply, h), (lambda rows: Overlaid.apply(rows, (2, 3, 4, 6)), rows)):
        assert torch.autograd.gradcheck(function, inputs)
        assert torch.autograd.gradgradcheck(function, inputs)


def side_by_side_or_not(h: torch.Tensor) -> list[torch.Tensor]:
    return [h, side_by_side(h)]


@pytest.mark.parametrize("kind", ["conv", "doubling"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_folded_convolutions_are_torchs(kind: str, outputs: int) -> None:
    ours = (FoldedConv(4, outputs, 7) if kind == "conv" else FoldedDoublingConv(4, outputs)).double()
    initialise(ours, noise())
    torch.nn.init.normal_(ours.bias, generator=noise(1))
    theirs = torch.nn.Conv2d(4, outputs, 7) if kind == "conv" else torch.nn.ConvTranspose2d(4, outputs, 4, 2, 1)
    theirs.double().load_state_dict(ours.state_dict())
    for h in side_by_side_or_not(torch.randn(2, 4, 12, 14, dtype=torch.float64, generator=noise())):
        found = []
        for layer in (ours, theirs):
            x = h.clone().requires_grad_()
            y = layer(x)
            found.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
        assert found[0][0].is_contiguous(memory_format=torch.channels_last)
        for left, right in zip(*found, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("affine", [False, True])
def test_instance_norm_of_bfloat16_sums_in_float32(affine: bool) -> None:
    """Maps whose mean is far from 0: rounded to bfloat16, it would be off by a tenth of their spread."""
    h = (3 + 0.1 * torch.randn(2, 8, 16, 16, generator=noise())).bfloat16()
    expected = F.instance_norm(h.double())
    for maps in side_by_side_or_not(h):
        found = InstanceNorm2d(8, affine=affine)(maps)
        assert found.dtype == torch.bfloat16
        assert found.is_contiguous() == maps.is_contiguous()
        assert (found.double() - expected).abs().max() < 0.02


def test_padding_keeps_the_precision_of_the_maps() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert ReflectionPad(2)(torch.zeros(1, 1, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("network", [UNet(32, 4, norm="instance"), UNet(32, 4), ResNet(32, 4), PatchGAN(3, 4)])
def test_no_bias_in_front_of_a_normalisation(network: torch.nn.Module) -> None:
    """Its gradient is 0 but for rounding, and the CPU takes long to find that out."""
    layers = [module for module in network.modules() if not list(module.children()) and list(module.parameters())]
    layers += [module for module in network.modules() if isinstance(module, InstanceNorm2d) and not module.affine]
    order = {module: place for place, module in enumerate(network.modules())}
    layers = sorted(set(layers), key=order.__getitem__)
    followed = [left for left, right in pairwise(layers) if isinstance(right, (InstanceNorm2d, torch.nn.BatchNorm2d))]
    assert len(followed) >= 3
    assert all(layer.bias is None for layer in followed)


@pytest.mark.parametrize("network", [UNet(32, 4, norm="instance"), ResNet(32, 4), PatchGAN(3, 4), dcgan.Discriminator(32, 4)])
def test_layers_keep_channels_side_by_side(network: torch.nn.Module) -> None:
    """One that doesn't would cost the next ones their speed, and nothing else would show it."""
    wrong = []

    def look(module: torch.nn.Module, _: object, h: torch.Tensor) -> None:
        if not h.is_contiguous(memory_format=torch.channels_last):
            wrong.append(module)

    for module in network.modules():
        module.register_forward_hook(look)
    network(torch.zeros(2, 3, 32, 32))
    assert not wrong


def test_unet_noise_is_explicit() -> None:
    network = UNet(32, 4, norm="instance")
    initialise(network, noise())
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(network(x), network(x))
    assert torch.equal(network(x, noise(1)), network(x, noise(1)))
    assert not torch.equal(network(x, noise(1)), network(x, noise(2)))


def test_unet_output_does_not_depend_on_the_batch() -> None:
    network = UNet(32, 4, norm="instance")
    initialise(network, noise())
    x = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(network(x)[:1], network(x[:1]))


@pytest.mark.parametrize(("layers", "field"), [(0, 1), (1, 16), (2, 34), (3, 70), (4, 142)])
def test_receptive_field_is_what_a_gradient_sees(layers: int, field: int) -> None:
    assert receptive_field(layers) == field
    if layers > 3:
        return
    size = 128
    network = PatchGAN(3, 2, layers, norm="none")
    for module in network.body:
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1.0)
    x = torch.zeros(1, 3, size, size, requires_grad=True)
    out = network(x)
    out[0, 0, out.shape[2] // 2, out.shape[3] // 2].backward()
    touched = x.grad[0, 0].nonzero()
    assert (touched.max(0).values - touched.min(0).values + 1).tolist() == [field, field]


@pytest.mark.parametrize("size", [32, 64, 128])
def test_dcgan(size: int) -> None:
    y = dcgan.Generator(size, 4, 10)(torch.randn(3, 10))
    assert y.shape == (3, 3, size, size)
    assert dcgan.Discriminator(size, 4)(y).shape == (3, 1, 1, 1)


def test_initialisation_follows_the_generator() -> None:
    a, b = UNet(32, 4), UNet(32, 4)
    initialise(a, noise(3))
    initialise(b, noise(3))
    for left, right in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(left, right)
    weights = torch.cat([m.weight.flatten() for m in a.modules() if isinstance(m, torch.nn.Conv2d)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(("make", "size"), [(UNet, 20), (UNet, 4), (ResNet, 30), (dcgan.Generator, 12), (dcgan.Discriminator, 4)])
def test_wrong_sizes_raise(make, size: int) -> None:
    with pytest.raises(ValueError, match=f"found {size}×{size}, expected multiples"):
        make(size)


@pytest.mark.parametrize("size", [(32, 64), (96, 32), (64, 96)])
@pytest.mark.parametrize("channels", [1, 3])
def test_rectangles_and_grey(size, channels: int) -> None:
    x = torch.rand(2, channels, *size) * 2 - 1
    for generator in (UNet(size, 4, norm="instance", channels=channels), ResNet(size, 4, 1, channels=channels)):
        assert generator(x).shape == x.shape
    y = dcgan.Generator(size, 4, 10, channels)(torch.randn(2, 10))
    assert y.shape == x.shape
    assert dcgan.Discriminator(size, 4, channels)(y).shape == (2, 1, 1, 1)


def test_512_px() -> None:
    network = UNet(512, 1)
    assert len(network.down) == 9
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 3, 512, 512)).shape == (1, 3, 512, 512)


def test_a_method_may_have_sizes_of_its_own() -> None:
    """In the networks that are built, and in a record that is read again."""
    settings = METHODS["pix2pix"].Settings.model_validate({"implementation": "pix2pix", "networks": {"patchgan": {"layers": 1}}})
    networks = Networks.model_validate({"unet": {"width": 4}, "patchgan": {"width": 4, "norm": "none"}})
    assert models.build(settings, networks, 32, paired=True).receptive_field == 16
    assert networks.merged(type(settings).model_validate(settings.model_dump()).networks) == networks.merged(settings.networks)
    assert networks.merged(None) == networks
    assert networks.merged(settings.networks).patchgan.model_dump() == {"width": 4, "layers": 1, "norm": "none"}
