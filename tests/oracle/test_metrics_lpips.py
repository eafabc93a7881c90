"""LPIPS through the ``lpips`` package: the trunk's weights land where they belong, and are never fetched silently."""

import lpips
import numpy as np
import pytest
import torch
import torchvision
from conftest import publish

from cgm.core.errors import UserError
from cgm.data.images import to_float
from cgm.evaluation.lpips import LPIPS, load_lpips
from cgm.networks.fixed import FIXED, weights
from cgm.networks.fixed.lpips import TRUNKS

FEATURES = {
    "alex": lambda: torchvision.models.alexnet(weights=None).features,
    "vgg": lambda: torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"]),
    "squeeze": lambda: torchvision.models.squeezenet1_1(weights=None).features,
}
CUTS = {
    "alex": ((0, 2), (2, 5), (5, 8), (8, 10), (10, 12)),
    "vgg": ((0, 4), (4, 9), (9, 16), (16, 23), (23, 30)),
    "squeeze": ((0, 2), (2, 5), (5, 8), (8, 10), (10, 11), (11, 12), (12, 13)),
}
"""Where the package cuts each trunk."""


def trunk(variant):
    torch.manual_seed(0)  # torchvision's constructor draws from the global generator
    features = FEATURES[variant]()
    if variant != "squeeze" and weights.verified(TRUNKS[variant]):
        state, _ = weights.read(FIXED[TRUNKS[variant]])
        features.load_state_dict({name.removeprefix("features."): value for name, value in state.items()})
    return features


@pytest.mark.filterwarnings("ignore::UserWarning")  # torchvision's, about the arguments that the package gives it
@pytest.mark.parametrize("variant", list(TRUNKS))
def test_lpips_equals_the_package_on_the_same_trunk(variant):
    """With the genuine weights of AlexNet and VGG-16, which a package brings; SqueezeNet's are random."""
    generator = np.random.default_rng(0)
    x, y = (generator.integers(0, 256, (6, 64, 64, 3), dtype=np.uint8) for _ in range(2))
    features = trunk(variant)
    state = {f"features.{name}": value for name, value in features.state_dict().items()}
    found = LPIPS(variant, state)(x, y)

    peer = lpips.LPIPS(net=variant, pnet_rand=True, verbose=False).eval()
    if variant == "squeeze":
        peer.net.slices = [features[start:end].eval() for start, end in CUTS[variant]]
    for number, (start, end) in enumerate(CUTS[variant], 1):
        setattr(peer.net, f"slice{number}", features[start:end].eval())
    with torch.inference_mode():
        expected = peer(to_float(x), to_float(y)).flatten().double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert LPIPS(variant, state)(x[:2], x[:2]) == pytest.approx([0, 0])


def test_the_packages_weights_are_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 64, 64, 3), dtype=np.uint8)
    state, _ = weights.read(FIXED["alexnet"])
    np.testing.assert_array_equal(load_lpips("alex")(*images), LPIPS("alex", state)(*images))


def test_weights_that_are_missing_or_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    publish(monkeypatch, "alexnet")  # and there is no package
    with pytest.raises(UserError, match=r"alexnet-owt-7be5be79\.pth: the weights file is not there"):
        load_lpips("alex")
    path = weights.locate("alexnet")
    assert path == tmp_path / "hub/checkpoints/alexnet-owt-7be5be79.pth"
    torch.save({}, path)
    with pytest.raises(UserError, match="expected 7be5be79"):  # a file that isn't the published one is never used, nor passed over
        load_lpips("alex")


@pytest.mark.parametrize("variant", list(TRUNKS))
def test_the_file_in_torchs_cache_is_the_trunk(place, variant):
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 64, 64, 3), dtype=np.uint8)
    torch.manual_seed(1)
    state = {f"features.{name}": value for name, value in FEATURES[variant]().state_dict().items()}
    place(TRUNKS[variant], state)
    np.testing.assert_array_equal(load_lpips(variant)(*images), LPIPS(variant, state)(*images))
