"""FID, KID, precision and recall against torch-fidelity 0.4, on features and through its whole pipeline with the judge as extractor."""

import numpy as np
import pytest
import torch
import torch_fidelity
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from cgm.metrics import distribution
from cgm.metrics.judges import load_judge


def features(count: int, shift: float, seed: int, width: int = 48) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(count, width)) @ generator.normal(size=(width, width)) / 5 + shift).astype(np.float32)


@pytest.mark.parametrize(("fakes", "reals"), [(40, 40), (60, 200), (300, 120)])  # fewer rows than features, and more
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_fid(fakes, reals, shift):
    fake, real = features(fakes, shift, 0), features(reals, 0, 1)
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (fake, real)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert distribution.fid(fake, real) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_kid(shift):
    fake, real = features(150, shift, 0), features(150, 0, 1)
    expected = kid_features_to_metric(
        torch.from_numpy(fake).double(), torch.from_numpy(real).double(), kid_subsets=1, kid_subset_size=150, verbose=False
    )
    assert distribution.kid(fake, real) == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_precision_and_recall(neighbours):
    fake, real = features(150, 0.3, 0, width=8), features(150, 0, 1, width=8)
    expected = prc_features_to_metric(
        torch.from_numpy(fake), torch.from_numpy(real), prc_neighborhood=neighbours, prc_batch_size=64, save_cpu_ram=False, verbose=False
    )
    found = distribution.neighbourhood(fake, real, neighbours)
    assert found.precision == pytest.approx(float(expected["precision"]), abs=1e-6)
    assert found.recall == pytest.approx(float(expected["recall"]), abs=1e-6)


class JudgeExtractor(FeatureExtractorBase):
    """The judge as torch-fidelity sees a feature extractor: uint8 N×3×H×W in, a tuple of features out."""

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)
        self.judge = load_judge("efficientnet-lite0")

    @staticmethod
    def get_provided_features_list():
        return ("1280",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "1280"

    @staticmethod
    def can_be_compiled():
        return False

    @staticmethod
    def get_dummy_input_for_compile():
        return torch.zeros(1, 3, 64, 64, dtype=torch.uint8)

    def forward(self, images):
        return (torch.from_numpy(self.judge.features(images.permute(0, 2, 3, 1).numpy())),)


class Images(torch.utils.data.Dataset):
    def __init__(self, images):
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_the_whole_pipeline():
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (2, 48, 8, 8, 3), dtype=np.uint8).repeat(8, axis=2).repeat(8, axis=3)
    fake, real = coarse[0] // 2, coarse[1]
    torch_fidelity.register_feature_extractor("cgm-judge", JudgeExtractor)
    expected = torch_fidelity.calculate_metrics(
        input1=Images(fake), input2=Images(real), feature_extractor="cgm-judge", cuda=False, batch_size=16, cache=False, verbose=False,
        fid=True, kid=True, prc=True, kid_subsets=1, kid_subset_size=48, prc_neighborhood=5,
    )  # fmt: skip
    judge = load_judge("efficientnet-lite0")
    a, b = judge.features(fake), judge.features(real)
    found = distribution.neighbourhood(a, b, 5)
    assert distribution.fid(a, b) == pytest.approx(expected["frechet_inception_distance"], rel=1e-4)
    assert distribution.kid(a, b) == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
    assert found.precision == pytest.approx(expected["precision"], abs=1e-4)
    assert found.recall == pytest.approx(expected["recall"], abs=1e-4)
