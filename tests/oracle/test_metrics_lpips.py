"""LPIPS through the ``lpips`` package: the trunk's weights land where they belong, and are never fetched silently."""

import lpips
import numpy as np
import pytest
import torch
import torchvision

from cgm.core.errors import UserError
from cgm.data.images import to_float
from cgm.evaluation.lpips import LPIPS, load_lpips
from cgm.networks.fixed import weights


@pytest.fixture(scope="module")
def alexnet():
    torch.manual_seed(0)  # torchvision's constructor draws from the global generator
    return torchvision.models.alexnet(weights=None)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torchvision's, about the arguments that the package gives it
def test_lpips_equals_the_package_on_the_same_trunk(alexnet):
    generator = np.random.default_rng(0)
    x, y = (generator.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8) for _ in range(2))
    found = LPIPS(alexnet.state_dict())(x, y)

    peer = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    for number, (start, end) in enumerate([(0, 2), (2, 5), (5, 8), (8, 10), (10, 12)], 1):  # the package's own cut of AlexNet
        setattr(peer.net, f"slice{number}", alexnet.features[start:end].eval())
    with torch.inference_mode():
        expected = peer(to_float(x), to_float(y)).flatten().double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert LPIPS(alexnet.state_dict())(x[:2], x[:2]) == pytest.approx([0, 0])


def test_modes(tmp_path, monkeypatch, alexnet):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert load_lpips("off") is None
    assert load_lpips("auto") is None
    with pytest.raises(UserError, match=r"alexnet-owt-7be5be79\.pth: the weights file is not there"):
        load_lpips("alexnet")
    path = weights.locate("alexnet")
    assert path == tmp_path / "hub/checkpoints/alexnet-owt-7be5be79.pth"
    torch.save(alexnet.state_dict(), path)
    for mode in ("auto", "alexnet"):  # a file that isn't the published one is never used, nor passed over
        with pytest.raises(UserError, match="expected 7be5be79"):
            load_lpips(mode)


def test_the_file_in_torchs_cache_is_the_trunk(place, alexnet):
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 64, 64, 3), dtype=np.uint8)
    place("alexnet", {name: value for name, value in alexnet.state_dict().items() if name.startswith("features.")})
    for mode in ("auto", "alexnet"):
        loaded = load_lpips(mode)
        assert loaded is not None
        np.testing.assert_array_equal(loaded(*images), LPIPS(alexnet.state_dict())(*images))
