"""The one training loop: every method, one budget, final weights (no selection).

The budget is counted in images that the generator sees. Nothing here knows a method by name. Nothing in a step waits for the device:
losses, gradient norms and whether all was finite are read when a row of the history is due, or a checkpoint. What the host knows of a step
(its images, the learning rate, what a pool swaps) is laid where the step reads it, so that the step can be recorded once and replayed.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cgm.core import seeds
from cgm.core.errors import UserError
from cgm.core.progress import Progress, evenly_spaced_steps
from cgm.data import images
from cgm.data.batches import Batch, Batches
from cgm.data.prepared import Prepared, as_rgb
from cgm.experiment.params import Params, Run
from cgm.methods import models
from cgm.methods.method import TrainedSettings
from cgm.networks.fixed import FIXED
from cgm.networks.init import initialise
from cgm.training.average import Average
from cgm.training.capture import CudaGraph, recorded
from cgm.training.checkpoint import Checkpoint
from cgm.training.curves import Validator
from cgm.training.device import autocast, pick_precision
from cgm.training.divergence import Divergence
from cgm.training.history import History, Row
from cgm.training.live import Live
from cgm.training.optimiser import Adam
from cgm.training.parallel import World

VALIDATION_IMAGES = 64
"""Validation images behind each point of a curve: the first of the split (which is sorted by id)."""
STYLE_TARGETS = 256
"""Training targets, chosen at random, shown to a method before training (domain statistics)."""
STEPS_BETWEEN_LOOKS = 10
"""Steps after which several processes agree whether a checkpoint is due; one process looks after each."""


@dataclass
class Outcome:
    """What a training leaves beside the weights."""

    status: str
    reason: str
    history: list[Row]
    steps: int
    images: int
    seconds: float
    resumed: int
    """How many times the run went on from a checkpoint."""


class Trainer:
    """Trains one run; all of its state goes into a checkpoint."""

    def __init__(
        self, params: Params, run: Run, prepared: Prepared, checkpoint: Checkpoint, device: torch.device, world: World | None = None,
        live: Live | None = None,
    ) -> None:  # fmt: skip
        self.params, self.run, self.prepared, self.checkpoint, self.device = params, run, prepared, checkpoint, device
        self.world = world or World()
        training, dataset = params.training, params.all_datasets[run.dataset]
        self.batch_size = params.batch_size(run.dataset, run.method)
        self.share = self.world.share(self.batch_size)
        captures = self._captures()
        self.precision = pick_precision(params.compute, device)
        settings = params.method(run.dataset, run.method)
        assert isinstance(settings, TrainedSettings)
        self.total_steps = math.ceil(params.budget(run.dataset, run.method) * 1000 / self.batch_size)
        self.log_at = evenly_spaced_steps(self.total_steps, training.log_points)
        self.validate_at = evenly_spaced_steps(self.total_steps, training.validations)

        # networks and their optimisers
        self.method = models.build(settings, params.networks, dataset.height_width, params.is_paired(run.dataset), dataset.channels)
        for player in self.method.players.values():
            for name, network in player.items():
                initialise(network, seeds.torch_generator(run.dataset, "", run.seed, f"init-{name}"))
                if params.compute.compile:
                    network.compile(mode="reduce-overhead" if device.type == "cuda" else "default")
            player.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        half_life = settings.ema_kimg * 1000
        self.average = Average(self.method, half_life, self.batch_size) if half_life else None
        self.rate = settings.learning_rate or training.learning_rate
        # The kernel takes a rate on the device in float32 alone; on the CPU it is the same number that it would be by itself.
        self.present_rate = torch.zeros((), device=device, dtype=torch.float32 if device.type == "cuda" else torch.float64)
        self.optimisers = {
            name: Adam(
                player.parameters(), lr=self.present_rate, betas=(training.beta1, training.beta2), fused=True,
                capturable=captures,
            )
            for name, player in self.method.players.items()
        }  # fmt: skip

        # data and noise
        mine = f"-{self.world.rank}" if self.world.rank else ""
        self.noise = seeds.torch_generator(run.dataset, run.method, run.seed, f"noise{mine}", device)
        a, b = prepared.images("train", "A"), prepared.images("train", "B")
        self.batches = Batches(
            a, b, paired=self.method.supervision != "unpaired", dataset=run.dataset, seed=run.seed,
            augment=prepared.augment, jitter=training.jitter, flip=training.flip, device=device,
        )  # fmt: skip
        shown = seeds.numpy_generator(run.dataset, "", run.seed, "targets").permutation(len(b))[:STYLE_TARGETS]
        targets = images.to_float(b[np.sort(shown)], device)
        self.method.prepare(targets, device, seeds.derive(run.dataset, run.method, run.seed, f"method{mine}"))

        # what is watched
        # Without a condition an output has no target of its own, whatever the data.
        self.answered = self.method.conditional and prepared.aligned_in("val")
        self.validator = Validator(prepared.rgb("val", "B")[:VALIDATION_IMAGES], FIXED[training.judge], device, self.answered)
        self.live = live or Live(device)
        self.history = History(device)
        self.divergence = Divergence(self.method.players, device)
        self.step = 0
        self.captures = captures
        self.on_device = recorded(self.compute, CudaGraph(self.noise)) if captures else self.compute
        self.resumed = 0
        self.seconds = 0.0

    def train(self) -> Outcome:
        """Run to the end of the budget, from the checkpoint if there is one that fits."""
        self._resume()
        started = saved = time.monotonic()
        before = self.seconds
        reason = ""
        self.live.begin(self.images, self.total_steps, self.batch_size)
        if self.step == 0:
            with self.live.aside():
                self._log_start()
        with Progress(f"train {self.run}", self.total_steps, self.step, self.batch_size, self.world.leads) as progress:
            while self.step < self.total_steps:
                self.advance()
                due = self._row_is_due(self.step)
                save = self._save_is_due(saved)
                if (due or save) and (found := self.divergence.found()):
                    self.step, reason = found
                    break
                if due:
                    with self.live.aside():
                        self._log(validate=self.step in self.validate_at)
                progress.update(self.step, self.history.rows)
                self.seconds = before + time.monotonic() - started
                self.live.after_step(self.images, self.seconds, self.history.rows)
                if save:
                    with self.live.aside():
                        self._save()
                    saved = time.monotonic()
        self.live.after_step(self.images, self.seconds, self.history.rows, last=True)
        status = "diverged" if reason else "ok"
        return Outcome(status, reason, self.history.rows, self.step, self.images, self.seconds, self.resumed)

    @property
    def images(self) -> int:
        """That the generator has seen so far."""
        return self.step * self.batch_size

    @property
    def validated(self) -> list[int]:
        """The images seen at each validation so far."""
        return [int(row["step"]) * self.batch_size for row in self.history.rows if row["step"] == 0 or row["step"] in self.validate_at]

    def advance(self) -> None:
        """One training step: a batch, and one update of each player."""
        self.present_rate.fill_(self.rate * self.schedule(self.step))
        self.method.draw(self.share)
        start = self.step * self.batch_size + self.world.rank * self.share
        batch = self.batches.take(start, self.share, self.noise)
        if self.params.compute.compile:
            torch.compiler.cudagraph_mark_step_begin()  # what earlier steps left in a graph's memory may be written over
        self.on_device(batch)
        self.history.end_step()
        self.step += 1

    def compute(self, batch: Batch) -> None:
        """What the device does in a step. It is recorded where steps are: apart from the shapes, nothing in it may depend on the host."""
        with autocast(self.precision, self.device):
            observed = self.method.step(batch, self.update)
        self.history.add(observed)
        if self.average:
            self.average.update()
        self.divergence.end_step()

    def update(self, player: str, terms: Mapping[str, torch.Tensor]) -> None:
        """One optimiser step of ``player`` on the sum of ``terms``; none, on the device itself, once any sum was not finite."""
        optimiser = self.optimisers[player]
        total = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        gradients = [parameter.grad for group in optimiser.param_groups for parameter in group["params"] if parameter.grad is not None]
        finite = torch.isfinite(total.detach()).float()
        self.world.average([*gradients, finite])
        optimiser.found_inf = self.divergence.note(player, terms, finite < 1)
        optimiser.step()
        if self.captures or self._row_is_due(self.step + 1):  # a recorded step is the same each time
            self.history.note_gradient(player, torch.nn.utils.get_total_norm(gradients))
        self.history.add({f"{player}/{name}": value for name, value in terms.items()})

    def schedule(self, step: int) -> float:
        """Factor on the learning rate: 1, then linear to 0 over the rest of the budget."""
        constant = self.params.training.constant_fraction
        done = step / self.total_steps
        return 1.0 if done < constant or constant == 1 else (1 - done) / (1 - constant)

    def _row_is_due(self, step: int) -> bool:
        return step in self.log_at or step in self.validate_at

    def _log(self, validate: bool) -> None:
        """A row of the history: losses averaged since the last row, gradient norms now, validation metrics where they are due."""
        row = {
            "kimg": self.images / 1000,
            "step": self.step,
            "learning_rate": self.rate * self.schedule(self.step - 1),
        }
        self.history.close_row(row, self.world, self._validation() if validate else {})

    def _log_start(self) -> None:
        """A first row, of the untrained networks: what the curves start from."""
        if found := self._validation():
            self.history.rows.append({"kimg": 0.0, "step": 0, **found})

    def _validation(self) -> Row:
        return {f"val/{name}": value for name, value in self.validate().items()} if self.world.leads else {}

    def validate(self) -> Row:
        """Validation metrics of the present weights, on the first images of the split; where no target answers, of diversity alone."""
        x = self.prepared.images("val", "A")[:VALIDATION_IMAGES]
        noise = seeds.torch_generator(self.run.dataset, self.run.method, self.run.seed, "validate", self.device)
        with self.as_translated():
            outputs = models.translate(self.method, x, noise, self.params.training.batch_size, self.device)
        inputs = [x] if self.method.conditional else []
        targets = [self.prepared.images("val", "B")] if self.answered else []
        self.live.show(self.images, [*inputs, outputs, *targets])
        return self.validator(as_rgb(outputs))

    def as_translated(self) -> AbstractContextManager[None]:
        """The method has the weights meanwhile that it translates with: the averaged ones, where there are any."""
        return self.average.in_place() if self.average else nullcontext()

    def _save_is_due(self, saved: float) -> bool:
        if self.world.size > 1 and self.step % STEPS_BETWEEN_LOOKS:
            return False
        return self.world.decide(time.monotonic() - saved >= self.params.training.checkpoint_seconds)

    def _save(self) -> None:
        own = {"noise": self.noise.get_state(), "buffers": {name: buffer.state_dict() for name, buffer in self.method.buffers.items()}}
        ranks = self.world.gather(own)
        if self.world.leads:
            self.checkpoint.save({**self.state_dict(), "ranks": ranks})

    def _resume(self) -> None:
        """Go on from the checkpoint; one that is damaged or belongs to other parameters, data or code is named and left aside."""
        state, reason = self.checkpoint.load(self.device)
        if state is None:
            if reason:
                self._say(f"{reason}; {self.run} starts over")
            return
        self.load_state_dict(state)
        self.resumed += 1
        own = state["ranks"][self.world.rank]
        self.noise.set_state(own["noise"].cpu())
        for name, buffer in self.method.buffers.items():
            buffer.load_state_dict(own["buffers"][name])
        self._say(f"{self.run}: goes on from {self.checkpoint.path} at step {self.step} of {self.total_steps}")

    def state_dict(self) -> dict[str, Any]:
        """What all processes of a run have in common."""
        return {
            "step": self.step,
            "resumed": self.resumed,
            "seconds": self.seconds,
            "history": self.history.state_dict(),
            "players": {name: player.state_dict() for name, player in self.method.players.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "average": self.average.state_dict() if self.average else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.seconds, self.resumed = state["step"], state["seconds"], state["resumed"]
        self.divergence.start(self.step)
        self.history.load_state_dict(state["history"])
        for name, player in self.method.players.items():
            player.load_state_dict(state["players"][name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
            for group in optimiser.param_groups:
                group["lr"] = self.present_rate
        if self.average:
            self.average.load_state_dict(state["average"])

    def _captures(self) -> bool:
        """Whether steps are recorded. Raises ``UserError`` where they are to be and can't."""
        if not self.params.compute.capture:
            return False
        if self.device.type != "cuda":
            raise UserError("params.yaml: compute.capture: found true, but the training is on the CPU, which has no CUDA graphs; set false")
        if self.world.size > 1:
            raise UserError(
                f"params.yaml: compute.capture: found true, and {self.world.size} processes that train one run; set false, or start one"
            )
        return True

    def _say(self, message: str) -> None:
        if self.world.leads:
            print(message, file=sys.stderr)
