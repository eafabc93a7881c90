"""FID, KID, precision and recall against torch-fidelity 0.4, on features and through its whole pipeline with the judge as extractor."""

import numpy as np
import pytest
import torch
import torch_fidelity
import torchvision
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from benchmarks import fidelity
from cgm.core.files import sha256
from cgm.evaluation.judges import load_judge
from cgm.evaluation.metrics.fid import fid
from cgm.evaluation.metrics.kid import kid
from cgm.evaluation.metrics.neighbourhood import neighbourhood
from cgm.networks.fixed import FIXED, weights


def features(count: int, shift: float, seed: int, width: int = 48) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(count, width)) @ generator.normal(size=(width, width)) / 5 + shift).astype(np.float32)


@pytest.mark.parametrize(("fakes", "reals"), [(40, 40), (60, 200), (300, 120)])  # fewer rows than features, and more
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_fid(fakes, reals, shift):
    fake, real = features(fakes, shift, 0), features(reals, 0, 1)
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (fake, real)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert fid(fake, real) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_kid(shift):
    fake, real = features(150, shift, 0), features(150, 0, 1)
    expected = kid_features_to_metric(
        torch.from_numpy(fake).double(), torch.from_numpy(real).double(), kid_subsets=1, kid_subset_size=150, verbose=False
    )
    assert kid(fake, real) == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_precision_and_recall(neighbours):
    fake, real = features(150, 0.3, 0, width=8), features(150, 0, 1, width=8)
    expected = prc_features_to_metric(
        torch.from_numpy(fake), torch.from_numpy(real), prc_neighborhood=neighbours, prc_batch_size=64, save_cpu_ram=False, verbose=False
    )
    found = neighbourhood(fake, real, neighbours)
    assert found.precision == pytest.approx(float(expected["precision"]), abs=1e-6)
    assert found.recall == pytest.approx(float(expected["recall"]), abs=1e-6)


def blocks(count: int, size: int, seed: int) -> np.ndarray:
    """uint8 count×size×size×3: squares of random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(size // 8, axis=1).repeat(size // 8, axis=2)


def check_against(expected: dict[str, float], a: np.ndarray, b: np.ndarray, neighbours: int) -> None:
    found = neighbourhood(a, b, neighbours)
    assert fid(a, b) == pytest.approx(expected["frechet_inception_distance"], rel=1e-4)
    assert kid(a, b) == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
    assert found.precision == pytest.approx(expected["precision"], abs=1e-4)
    assert found.recall == pytest.approx(expected["recall"], abs=1e-4)


SETTINGS = {"cuda": False, "batch_size": 16, "verbose": False, "fid": True, "kid": True, "prc": True, "kid_subsets": 1}
SETTINGS |= {"save_cpu_ram": True}  # the data loader's worker processes would cost more than they do


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_the_whole_pipeline_with_the_judge_as_extractor():
    judge = load_judge("efficientnet-lite0")
    fake, real = blocks(48, 64, 0) // 2, blocks(48, 64, 1)
    expected = torch_fidelity.calculate_metrics(
        input1=fidelity.Images(fake), input2=fidelity.Images(real), feature_extractor=fidelity.register(judge), cache=False,
        kid_subset_size=48, prc_neighborhood=5, **SETTINGS,
    )  # fmt: skip
    check_against(expected, judge.features(fake), judge.features(real), 5)


def test_the_cache_answers_with_the_same_numbers_and_never_with_anothers(tmp_path, monkeypatch):
    judge = load_judge("efficientnet-lite0")
    fake, real, other = blocks(12, 32, 0) // 2, blocks(12, 32, 1), blocks(12, 32, 2)
    looked = []
    features = judge.features
    monkeypatch.setattr(judge, "features", lambda images: looked.append(len(images)) or features(images))
    extractor = fidelity.register(judge)
    monkeypatch.setattr(FEATURE_EXTRACTORS_REGISTRY[extractor], "judge", judge)

    def calculate(a, b):
        return torch_fidelity.calculate_metrics(
            input1=fidelity.Images(a), input2=fidelity.Images(b), input1_cache_name=fidelity.cache_name(a, judge),
            input2_cache_name=fidelity.cache_name(b, judge), cache_root=str(tmp_path), feature_extractor=extractor, kid_subset_size=12,
            prc_neighborhood=3, **SETTINGS,
        )  # fmt: skip

    first = calculate(fake, real)
    assert sum(looked) == 24
    assert calculate(fake, real) == first
    assert sum(looked) == 24
    assert calculate(fake, other) != first  # torch-fidelity alone, under one name for both, would say the same
    assert sum(looked) == 36
    check_against(calculate(fake, other), features(fake), features(other), 3)


def test_cache_names_differ_with_data_weights_and_judge(place):
    lite = load_judge("efficientnet-lite0")
    images = blocks(40, 32, 0)
    changed = images.copy()
    changed[39, 31, 31, 2] ^= 1
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    names = [fidelity.cache_name(images, lite), fidelity.cache_name(changed, lite), fidelity.cache_name(images[:39], lite)]
    names += [fidelity.cache_name(images.reshape(40, 16, 64, 3), lite), fidelity.cache_name(images, load_judge("efficientnet-lite1"))]
    extractors = [fidelity.register(lite)]
    for scale in (1.0, 2.0):
        place("vgg16", {f"features.{name}": value * scale for name, value in layers.state_dict().items()})
        names.append(fidelity.cache_name(images, load_judge("vgg16")))
        extractors.append(fidelity.register(load_judge("vgg16")))
    assert len(set(names)) == len(names) == 7
    assert len(set(extractors)) == 3
    assert fidelity.register(lite) == extractors[0]
    assert fidelity.cache_name(images, load_judge("efficientnet-lite0")) == names[0]


@pytest.fixture(scope="module")
def inception_state(tmp_path_factory):
    """Random weights of the right shape, scaled so that an image's signal arrives at the end (He et al. 2015)."""

    class Empty(FeatureExtractorInceptionV3):
        def load_state_dict(self, state):
            assert state == {}

    path = tmp_path_factory.mktemp("inception") / "empty.pth"
    torch.save({}, path)
    generator = torch.Generator().manual_seed(0)
    state = Empty("empty", ["2048"], feature_extractor_weights_path=str(path)).state_dict()
    for name, value in state.items():
        if name.endswith(("conv.weight", "fc.weight")):
            state[name] = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
    return state


@pytest.fixture
def inception(place, inception_state):
    """The judge, and the file that it read."""
    path = place("inception-2015", inception_state)
    return load_judge("inception-2015"), path


def test_inception_scores_are_those_of_torch_fidelity(inception):
    judge, path = inception
    fake, real = blocks(10, 64, 0), blocks(10, 64, 1)
    fake[1::2] //= 2
    expected = torch_fidelity.calculate_metrics(
        input1=fidelity.Images(fake), input2=fidelity.Images(real), feature_extractor="inception-v3-compat", cache=False,
        feature_extractor_weights_path=str(path), kid_subset_size=10, prc_neighborhood=2, **SETTINGS,
    )  # fmt: skip
    a, b = judge.features(fake), judge.features(real)
    assert a.shape == (10, 2048)
    assert a.dtype == np.float32
    assert a.std(axis=0).mean() > 1e-3  # else the comparison would say nothing
    assert 0 < expected["precision"] < 1
    assert 0 < expected["recall"] < 1
    check_against(expected, a, b, 2)


def test_inception_looks_once_for_features_and_maps(inception):
    judge, path = inception
    assert judge.name == "inception-2015"
    assert judge.sha256 == weights.entry("inception-2015").sha256 == sha256(path)
    images = blocks(2, 32, 0)
    peer = FeatureExtractorInceptionV3("peer", ["2048"], feature_extractor_weights_path=str(path))
    shapes = {}
    hooks = [
        module.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: tuple(out.shape)}))
        for name, module in peer.named_modules()
        if name in FIXED["inception-2015"].taps
    ]
    (expected,) = peer(torch.from_numpy(images).permute(0, 3, 1, 2))
    features, embeddings = judge.look(images)
    np.testing.assert_allclose(features, expected.numpy(), rtol=1e-5, atol=1e-5)  # other layouts and folded sums: float32's rounding
    assert [shapes[name][2] for name in FIXED["inception-2015"].taps] == [147, 71, 35, 17, 8]
    assert embeddings.shape == (2, sum(np.prod(shape[1:]) for shape in shapes.values()))
    assert torch.equal(judge.embeddings(images), embeddings)
    assert torch.allclose(embeddings.square().sum(dim=1), torch.full((2,), 5.0))  # five maps of unit vectors, averaged over positions
    assert not any(module._forward_hooks for module in judge.network.extractor.modules())
    assert len(hooks) == 5
