"""What each metric must and must not see, on generators of known faults made from the embedded pictures (``docs/metrics.md``)."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.study.discrimination import COLUMNS, CONFIG, COUNT, SPLITS, Looker, Setting, discriminate, marginal_rows
from benchmarks.study.generators import GENERATORS, load_pool
from benchmarks.study.tolerances import CLAIMS, STABLE
from cgm.evaluation.judges import load_judge

pytestmark = pytest.mark.slow  # a study of two minutes, whose figures stand in docs/metrics.md

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def looker():
    """One for all tests: each distinct image goes through the judge once."""
    return Looker(load_judge(CONFIG.judge))


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return load_pool(tmp_path_factory.mktemp("openmoji"))


@pytest.fixture(scope="module")
def setting(pool, looker):
    return Setting.of(pool, looker, 0)


@pytest.fixture(scope="module")
def rows(setting, looker):
    return discriminate(setting, looker)


def test_the_split(setting, pool):
    split = setting.split
    assert len(split.conditions) == len(split.targets) == len(split.held) == COUNT
    everything = [*split.targets, *split.held, *split.train]
    assert len({image.tobytes() for image in everything}) == len(everything) == len(pool.targets) == 1580


def test_every_metric_is_held_to_something_it_sees_and_something_it_does_not():
    for sees in (True, False):
        assert {claim.metric for claim in CLAIMS if claim.sees is sees} >= set(COLUMNS) - {"kid_high"}, sees
    assert {claim.generator for claim in CLAIMS} <= set(GENERATORS)
    assert all(math.isfinite(claim.low) or math.isfinite(claim.high) for claim in CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.metric}-{'sees' if claim.sees else 'does not see'}-{claim.generator}")
def test_claim(rows, claim):
    assert claim.holds(rows), f"{claim.text()}, found {claim.value(rows):g}"


@pytest.mark.parametrize("claim", STABLE, ids=lambda claim: f"{claim.metric}-{claim.generator}")
def test_stable_on_one_split(rows, claim):
    assert claim.holds(rows), f"{claim.text()}, found {claim.value(rows):g}"


def test_perfect_outputs(rows):
    exact = {"mae": 0, "ssim": 1, "pd": 0, "pairgain": 1, "retrieval": 1, "fid_test": 0, "fjd_test": 0, "highfreq_log2": 0,
             "gradient_ratio": 1, "colourfulness_ratio": 1, "spectrum_distance": 0, "distinct_share": 1}  # fmt: skip
    assert {name: rows["ground truth"][name] for name in exact} == pytest.approx(exact, abs=1e-3)


def test_the_order_of_faults(rows):
    """Where two generators have the same fault, the one with more of it scores worse."""
    for metric in ("mae", "pd", "kid", "fid", "spectrum_distance"):
        assert rows["blur σ 1"][metric] < rows["blur σ 2"][metric]
    for metric in ("recall", "coverage", "vendi_ratio"):
        assert rows["collapse to 1"][metric] <= rows["collapse to 10"][metric] < rows["collapse to N ÷ 4"][metric]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(SPLITS))
def test_stable_on_random_splits(pool, looker, number):
    rows = marginal_rows(pool, looker, number)
    assert [f"{claim.text()}, found {claim.value(rows):g}" for claim in STABLE if not claim.holds(rows)] == []
