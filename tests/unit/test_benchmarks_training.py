"""The training benchmark: both sides train, and the ratios and shares are what they say."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import floors, training, training_page
from benchmarks.reference_step import Aligned, ReferenceStep, Unaligned, write_images
from benchmarks.training_job import PICTURES, PREPARED, Job, OurStep, experiment, run_together, train
from benchmarks.training_page import INLINE, JOBS, RUN, Cell
from cgm.core.errors import UserError
from cgm.data.images import to_uint8
from cgm.data.prepared import Prepared

METHODS = ("pix2pix", "cyclegan")


@pytest.fixture(scope="module")
def folder(small: Prepared, tmp_path_factory: pytest.TempPathFactory):
    """As the benchmark lays it out."""
    place = tmp_path_factory.mktemp("training")
    (place / PREPARED).symlink_to(small.folder)
    write_images(small, place / PICTURES)
    return place


def job(side: str, method: str = "pix2pix", **options) -> Job:
    return Job(side, threads=1, seconds=0.0, **{"method": method, "size": 32, "batch": 2, "warm_up": 1, "steps": 1, **options})


def found(rate: float, **options) -> dict:
    """What one process answers; a step of batch 8."""
    usual = {"seconds_per_step": 8 / rate, "peak_mib": 1000.0, "resident_mib": [900.0, 910.0], "precision": "bfloat16", "parts": {}}
    return {"images_per_second": rate, **usual, **options}


def cells(jobs: float, run: float, reference_jobs: float, reference_run: float) -> training_page.Cells:
    return {
        ("ours", JOBS): Cell([found(jobs / 2), found(jobs / 2)]),
        ("ours", RUN): Cell([found(run)]),
        ("reference", JOBS): Cell([found(reference_jobs / 2), found(reference_jobs / 2)]),
        ("reference", RUN): Cell([found(reference_run)]),
        ("reference", INLINE): Cell([found(reference_run)]),
    }


def test_the_rate_of_a_cell_is_a_sum_and_its_memory_that_of_one_process():
    cell = Cell([found(10.0, peak_mib=700.0, parts={"loading": 0.1}), found(30.0, peak_mib=800.0, parts={"loading": 0.3})])
    assert cell.rate == 40.0
    assert cell.peak_mib == 800.0
    assert cell.part("loading") == pytest.approx(0.2)
    assert cell.part("update D") == 0.0


def test_each_ratio_compares_what_it_says():
    assert training_page.ratios(cells(120.0, 80.0, 60.0, 40.0)) == (3.0, 2.0, 2.0)


def test_each_row_has_its_ratios():
    rows = training_page.beside({("a", 64, 8): cells(79.9, 200.0, 10.0, 40.0)}, 2).splitlines()
    assert "| `a` | 64 px | 8 | 2.00× | 5.00× | 7.99× |" in rows


def test_shares_of_a_step_add_up_without_the_optimisers_that_are_in_the_updates():
    parts = {"loading": 0.1, "forward G": 0.2, "forward D": 0.1, "update G": 0.3, "update D": 0.1, "optimisers": 0.05}
    *shares, optimisers = training_page.shares(Cell([found(8.0, parts=parts)]))
    assert sum(shares) == pytest.approx(1.0)
    assert shares[-1] == pytest.approx(0.2)
    assert optimisers == pytest.approx(0.05)


def test_the_best_convolution_is_the_best_after_summing_over_the_processes():
    both = [{"float32": [10.0, 30.0, 1.0]}, {"float32": [35.0, 10.0, 1.0]}]
    assert training_page.best_of(both, "float32") == 45.0


def test_the_share_is_of_the_peak_of_the_same_way_and_precision():
    peaks = {(way, precision): 1.0 for way in (JOBS, RUN) for precision in ("float32", "bfloat16")}
    peaks |= {(JOBS, "bfloat16"): 400.0, (RUN, "bfloat16"): 200.0}
    text = training_page.share({("a", 64, 8): cells(100.0, 50.0, 1.0, 1.0)}, {("a", 64): 2e9}, peaks, 2)
    assert "| `a` | 64 px | 2 jobs | bfloat16 | 2.00 | 200 | 400 | 50% |" in text
    assert "| `a` | 64 px | one run | bfloat16 | 2.00 | 100 | 200 | 50% |" in text


def test_every_entry_of_the_experiment_is_measured_once():
    params, _ = experiment(job("ours"))
    names = training.without_reference(params) + [("paired", name) for name in training.with_reference(params)]
    assert len(names) == len(set(names))
    assert {name for _, name in names} == (set(params.methods) | set(params.unpaired.methods)) - {"pix2pix_l10"}  # a variant
    assert ("unpaired", "cyclegan") not in names  # as in the paired group


def test_the_reference_reads_the_same_pictures_in_the_same_range(small, folder):
    """Without room to crop in, a sample is the stored picture, resized to itself; flipped or not, but both halves alike."""
    aligned, unaligned = Aligned(folder / PICTURES, 32), Unaligned(folder / PICTURES, 32)
    assert (len(aligned), len(unaligned), aligned.load) == (12, 12, 35)
    aligned.load = 32
    sample = aligned[3]
    sides = [to_uint8(sample[side][None])[0] for side in "AB"]
    stored = [small.images("train", side)[3] for side in "AB"]
    assert any(all((one[:, ::turn] == other).all() for one, other in zip(sides, stored, strict=True)) for turn in (1, -1))
    assert {tuple(sample.shape) for sample in unaligned[5].values()} == {(3, 32, 32)}
    with Image.open(aligned.paths[0]) as picture:
        assert np.asarray(picture).shape == (32, 64, 3)


@pytest.mark.parametrize("method", METHODS)
def test_both_sides_begin_with_the_same_networks_and_both_players_learn(method, folder):
    params, run = experiment(job("ours", method))
    sides = OurStep(job("ours", method, precision="float32"), folder), ReferenceStep(params, run, folder / PICTURES, 32, workers=0)
    ours, reference = sides[0].trainer.method.players, sides[1].players
    before = {}
    for player in ("G", "D"):
        before[player] = {name: value.clone() for name, value in reference[player].state_dict().items()}
        assert all(torch.equal(value, before[player][name]) for name, value in ours[player].state_dict().items())
    layers = {type(module).__module__ for player in reference.values() for module in player.modules() if not list(module.children())}
    assert {module.split(".")[0] for module in layers} == {"torch"}
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(reference["G"]["G"](x), ours["G"]["G"](x), rtol=1e-4, atol=1e-5)
    assert [side.advance() for side in sides] == [2, 2]
    for players in (ours, reference):
        for player, old in before.items():
            now = dict(players[player].named_parameters())
            assert any(not torch.equal(now[name], old[name]) for name in now)
    assert sides[0].precision == "float32"
    assert set(sides[0].parts) == set(training_page.PARTS)
    assert min(sides[0].parts.values()) > 0
    assert sides[0].trainer.optimiser_seconds() > 0


def test_precision_is_what_the_networks_get(folder):
    assert OurStepAfterOne(folder, precision="bfloat16").precision == "bfloat16"


def OurStepAfterOne(folder, **options) -> OurStep:
    side = OurStep(job("ours", **options), folder)
    side.advance()
    return side


def test_a_cell_counts_the_images_of_its_steps(folder):
    went = []
    answer, _ = train(job("ours", steps=3), folder, lambda: went.append(True))
    assert went == [True]
    assert answer["images_per_second"] == pytest.approx(2 / answer["seconds_per_step"])
    assert 0 < sum(answer["parts"][name] for name in training_page.PARTS) <= answer["seconds_per_step"]
    assert answer["peak_mib"] > 100


@pytest.mark.slow
def test_processes_at_work_together_answer_each_for_itself_and_are_gone_after(folder):
    import psutil

    jobs = [job("reference", workers=2), job("ours")]
    reference, ours = run_together(jobs, folder)
    assert (reference["precision"], reference["parts"]) == ("float32", {})
    assert set(ours["parts"]) == {*training_page.PARTS, "optimisers"}
    assert not [child for child in psutil.Process().children() if "benchmarks.training_job" in child.cmdline()]


@pytest.mark.slow
def test_a_process_that_fails_is_named(folder, capfd):
    with pytest.raises(UserError, match=r"ours, nonsense, 32 px, batch 2, 1 thread\(s\): exit code 1"):
        run_together([replace(job("ours"), method="nonsense")], folder)
    assert "nonsense" in capfd.readouterr().err


@pytest.mark.slow
def test_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["training", "--quick"])
    training.main()
    printed = capsys.readouterr().out
    for method in METHODS:
        assert sum(line.startswith(f"| `{method}` |") for line in printed.splitlines()) >= 8
    assert "| `pix2pix` | 32 px | 1 |" in printed


def test_the_parts_of_a_step_hold_all_of_its_arithmetic(folder):
    from torch.utils.flop_counter import FlopCounterMode

    side = OurStep(job("ours", "pix2pix", precision="float32"), folder)
    side.advance()
    with FlopCounterMode(display=False) as whole:
        side.advance()
    calls = floors.calls_of_a_step(side.advance)
    rng = torch.Generator().manual_seed(0)
    alone = {}
    for kind in (*floors.KINDS, floors.REST):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            for call in calls:
                if call.kind == kind:
                    call.ready(rng)()
        alone[kind] = counter.get_total_flops()
    assert alone.pop(floors.ARITHMETIC) == whole.get_total_flops() > 0
    assert set(alone.values()) == {0}


def test_a_call_alone_has_the_forms_of_the_step():
    x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    weights = torch.ones(4, 3, 3, 3)
    call, *_ = floors.calls_of_a_step(lambda: torch.nn.functional.conv2d(x, weights))
    assert call.kind == floors.ARITHMETIC
    assert call.arguments[0] == floors.Spec((2, 3, 8, 8), (192, 1, 24, 3), torch.float32)
    assert call.ready(torch.Generator())().shape == (2, 4, 6, 6)
    assert floors.Spec((2, 0), (1, 1), torch.int64).make(torch.Generator()).shape == (2, 0)
    assert floors.Spec((2, 3), (0, 1), torch.bfloat16).make(torch.Generator()).stride() == (0, 1)


def test_a_step_is_measured_beside_its_parts(folder):
    found = floors.measure_step(OurStep(job("ours", "mae"), folder), repeats=2)
    assert set(found.parts) == {*floors.KINDS, floors.REST}
    assert min(found.parts[floors.ARITHMETIC], found.parts[floors.OPTIMISER]) > 0
    assert min(found.weights, found.calls) > 100
    row = floors._line("mae", found, 1e10, "bfloat16")
    assert row[0] == "`mae`"
    assert float(row[-1]) == pytest.approx(found.weights * 40 / 1e10 * 1000, rel=0.1)
