"""A recorded step does what the step does. A tape stands in for the CUDA graph (tests/tape.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from guards import Waited
from tape import Tape
from test_training import TRAINED, assert_same, state, trainer

from cgm.core.errors import UserError
from cgm.data.batches import Batch
from cgm.data.prepared import Prepared
from cgm.experiment.reading import parse_params
from cgm.training.capture import WARM_UP, recorded
from cgm.training.trainer import Trainer


def with_tape(made: Trainer) -> Trainer:
    made.captures = True
    made.on_device = recorded(made.compute, Tape())
    return made


@pytest.mark.parametrize(
    ("method", "precision"), [*((name, "float32") for name in TRAINED), ("pix2pix", "bfloat16"), ("cyclegan", "bfloat16")]
)
def test_replayed_steps_give_the_same_bytes(method: str, precision: str, tmp_path: Path, small: Prepared) -> None:
    """Over the whole budget: the learning rate decays, rows are logged, pools fill and swap, validations come between."""
    plain = trainer(tmp_path / "plain", small, method, precision=precision)
    taped = with_tape(trainer(tmp_path / "taped", small, method, precision=precision))
    assert taped.total_steps > 2 * WARM_UP
    assert [made.train().status for made in (plain, taped)] == ["ok", "ok"]
    assert_same(plain, taped)


def test_a_recorded_run_that_is_killed_goes_on_to_the_same_bytes(tmp_path: Path, small: Prepared) -> None:
    whole = trainer(tmp_path / "whole", small, "cyclegan")
    whole.train()
    first = with_tape(trainer(tmp_path / "cut", small, "cyclegan", checkpoint_seconds=1e-9))
    on_device = first.on_device

    def killed(batch: Batch) -> None:
        if first.step == WARM_UP + 3:
            raise KeyboardInterrupt
        on_device(batch)

    first.on_device = killed
    with pytest.raises(KeyboardInterrupt):
        first.train()
    again = with_tape(trainer(tmp_path / "cut", small, "cyclegan"))
    again.train()
    assert again.resumed == 1
    assert_same(whole, again)


def test_divergence_in_a_replayed_step_is_found_with_its_step(tmp_path: Path, small: Prepared) -> None:
    """The weights are those of the step before."""
    made = with_tape(trainer(tmp_path, small, "mae"))
    for _ in range(WARM_UP + 2):
        made.advance()
    before = {name: value.clone() for name, value in state(made).items()}
    take = made.batches.take

    def broken(start: int, count: int, noise: torch.Generator) -> Batch:
        batch = take(start, count, noise)
        return Batch(batch.x, batch.y * torch.inf, noise)

    made.batches.take = broken  # type: ignore[method-assign]
    made.advance()
    made.advance()
    assert made.divergence.found() == (WARM_UP + 2, f"the loss of G is not finite at step {WARM_UP + 2}: regression = inf")
    for name, value in state(made).items():
        assert torch.equal(value, before[name]), name


def with_a_counter(made: Trainer) -> None:
    """A weight that the host counts up."""
    step, count = made.method.step, 0

    def counting(batch: Batch, update: Callable[[str, Mapping[str, torch.Tensor]], None]) -> dict[str, torch.Tensor]:
        nonlocal count
        count += 1
        return step(batch, lambda player, terms: update(player, {name: value * count for name, value in terms.items()}))

    made.method.step = counting  # type: ignore[method-assign]


def with_new_places(made: Trainer) -> None:
    """Sums that take each other's place instead of growing."""
    made.history.add = lambda values: made.history._sums.update(  # type: ignore[method-assign]
        {key: made.history._sums.get(key, torch.zeros(())) + value.detach().float() for key, value in values.items()}
    )


@pytest.mark.parametrize("mistake", [with_a_counter, with_new_places])
def test_the_tape_shows_what_a_graph_would_get_wrong(mistake: Callable[[Trainer], None], tmp_path: Path, small: Prepared) -> None:
    plain, taped = trainer(tmp_path / "plain", small, "mae"), with_tape(trainer(tmp_path / "taped", small, "mae"))
    mistake(taped)
    plain.train()
    taped.train()
    with pytest.raises(AssertionError):
        assert_same(plain, taped)


def test_a_step_that_reads_a_value_is_not_recorded(tmp_path: Path, small: Prepared) -> None:
    made = with_tape(trainer(tmp_path, small, "mae"))
    step = made.method.step

    def reading(batch: Batch, update: Any) -> dict[str, torch.Tensor]:
        return step(batch, lambda player, terms: update(player, {name: value for name, value in terms.items() if value > 0}))

    made.method.step = reading  # type: ignore[method-assign]
    with pytest.raises(Waited):
        made.train()


def test_there_is_nothing_to_record_on_a_cpu(tmp_path: Path, small: Prepared) -> None:
    with pytest.raises(UserError, match=r"compute\.capture: found true, but the training is on the CPU"):
        trainer(tmp_path, small, "mae", captured=True)


def test_one_way_or_the_other() -> None:
    with pytest.raises(UserError, match="compile and capture"):
        parse_params({"experiment": "x", "seeds": [0], "compute": {"compile": True, "capture": True}, "datasets": {}, "methods": {}})
