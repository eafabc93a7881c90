"""The one training loop: every method, one budget, final weights (no selection).

The budget is counted in images that the generator sees. Nothing here knows a method by name. Nothing in a step waits for the device:
losses, gradient norms and whether all was finite are read when a row of the history is due, or a checkpoint.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cgm import config, images, seeds
from cgm.compute import World, autocast, pick_precision, weight_layout
from cgm.data.batches import Batches
from cgm.data.prepared import Prepared
from cgm.files import replacing
from cgm.methods import METHODS
from cgm.methods.base import Method
from cgm.metrics.validation import Validator
from cgm.networks.fixed import load_fixed
from cgm.networks.init import initialise, parameter_count
from cgm.optimiser import Adam
from cgm.progress import Progress, marks

VALIDATION_IMAGES = 64
"""Validation images behind each point of a curve: the first of the split (which is sorted by id)."""
STYLE_TARGETS = 256
"""Training targets shown to a method before training (domain statistics)."""
CHECKPOINT_FORMAT = 2
STEPS_BETWEEN_LOOKS = 10
"""Steps after which several processes agree whether a checkpoint is due; one process looks after each."""


@dataclass
class Outcome:
    """What a training leaves beside the weights."""

    status: str
    reason: str
    history: list[dict[str, float]]
    steps: int
    images: int
    seconds: float
    resumed: int
    """How many times the run went on from a checkpoint."""


def build_method(params: config.Params, run: config.Run) -> Method:
    """The method of a run with its networks, weights not yet initialised."""
    settings = params.method(run.dataset, run.method)
    size = params.all_datasets[run.dataset].image_size
    return METHODS[settings.implementation](settings, params.networks, size, params.is_paired(run.dataset))


@dataclass
class Trainer:
    """Trains one run; all of its state goes into a checkpoint."""

    params: config.Params
    run: config.Run
    prepared: Prepared
    fingerprint: str
    """Of parameters, data and code: a checkpoint of another one is not used."""
    checkpoint: Path
    device: torch.device
    world: World = field(default_factory=World)
    method: Method = field(init=False)

    def __post_init__(self) -> None:
        training, run = self.params.training, self.run
        self.share = self.world.share(training.batch_size)
        self.precision = pick_precision(self.params.compute, self.device)
        self.method = build_method(self.params, run)
        for player in self.method.players.values():
            for name, network in player.items():
                initialise(network, seeds.torch_generator(run.dataset, "", run.seed, f"init-{name}"))
                if self.params.compute.compile:
                    network.compile(mode="reduce-overhead" if self.device.type == "cuda" else "default")
            player.to(self.device, memory_format=weight_layout(self.device)).train()  # type: ignore[call-overload]
        rate = self.method.settings.learning_rate or training.learning_rate
        self.optimisers = {
            name: Adam(player.parameters(), lr=rate, betas=(training.beta1, training.beta2), fused=True)
            for name, player in self.method.players.items()
        }
        self.rate = rate
        mine = f"-{self.world.rank}" if self.world.rank else ""
        self.noise = seeds.torch_generator(run.dataset, run.method, run.seed, f"noise{mine}", self.device)
        a, b = self.prepared.images("train", "A"), self.prepared.images("train", "B")
        self.batches = Batches(
            a, b, paired=self.method.supervision != "unpaired", dataset=run.dataset, seed=run.seed,
            jitter=training.jitter, flip=training.flip, device=self.device,
        )  # fmt: skip
        targets = images.to_float(b[:STYLE_TARGETS], self.device)
        self.method.prepare(targets, self.device, seeds.derive(run.dataset, run.method, run.seed, f"method{mine}"))
        self.validator = Validator(self.prepared.images("val", "B")[:VALIDATION_IMAGES], load_fixed(training.judge, self.device))
        self.total_steps = math.ceil(self.params.all_datasets[run.dataset].kimg * 1000 / training.batch_size)
        self.log_at = marks(self.total_steps, training.log_points)
        self.validate_at = marks(self.total_steps, training.validations)
        self.step = 0
        self.resumed = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, torch.Tensor] = {}
        self._summed = 0
        self._gradients: dict[str, torch.Tensor] = {}
        self._broken = {name: torch.zeros((), device=self.device) for name in self.method.players}
        self._terms: dict[str, tuple[str, ...]] = {}
        self._last_words: dict[str, torch.Tensor] = {}

    def train(self) -> Outcome:
        """Run to the end of the budget, from the checkpoint if there is one that fits."""
        self._restore()
        batch_size = self.params.training.batch_size
        started = saved = time.monotonic()
        before = self.seconds
        reason = ""
        if self.step == 0:
            self._log_start()
        with Progress(f"train {self.run}", self.total_steps, self.step, batch_size, self.world.leads) as progress:
            while self.step < self.total_steps:
                self.advance()
                due = self.step in self.log_at or self.step in self.validate_at
                save = self._save_is_due(saved)
                if (due or save) and (reason := self.divergence()):
                    break
                if due:
                    self._log(validate=self.step in self.validate_at)
                progress.update(self.step, self.history)
                self.seconds = before + time.monotonic() - started
                if save:
                    self._save()
                    saved = time.monotonic()
        status = "diverged" if reason else "ok"
        return Outcome(status, reason, self.history, self.step, self.step * batch_size, self.seconds, self.resumed)

    def advance(self) -> None:
        """One training step: a batch, and one update of each player."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self.rate * self.schedule(self.step)
        start = self.step * self.params.training.batch_size + self.world.rank * self.share
        batch = self.batches.take(start, self.share, self.noise)
        if self.params.compute.compile:
            torch.compiler.cudagraph_mark_step_begin()  # what earlier steps left in a graph's memory may be written over
        with autocast(self.precision, self.device):
            observed = self.method.step(batch, self._update)
        self._add(observed)
        self.step += 1
        self._summed += 1

    def schedule(self, step: int) -> float:
        """Factor on the learning rate: 1, then linear to 0 over the rest of the budget."""
        constant = self.params.training.constant_fraction
        done = step / self.total_steps
        return 1.0 if done < constant or constant == 1 else (1 - done) / (1 - constant)

    def _update(self, player: str, terms: Mapping[str, torch.Tensor]) -> None:
        """One optimiser step of ``player`` on the sum of ``terms``; none, on the device itself, once any sum was not finite."""
        optimiser = self.optimisers[player]
        total = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        gradients = [parameter.grad for group in optimiser.param_groups for parameter in group["params"] if parameter.grad is not None]
        finite = torch.isfinite(total.detach()).float()
        self.world.average([*gradients, finite])
        self._note_end(player, terms, finite < 1)
        optimiser.found_inf = torch.stack(list(self._broken.values())).amax().clamp(max=1)
        optimiser.step()
        if self.step + 1 in self.log_at:
            self._gradients[player] = torch.nn.utils.get_total_norm(gradients)
        self._add({f"{player}/{name}": value for name, value in terms.items()})

    def _add(self, values: Mapping[str, torch.Tensor]) -> None:
        for key, value in values.items():
            self._sums[key] = self._sums.get(key, torch.zeros((), device=self.device)) + value.detach().float()

    def _note_end(self, player: str, terms: Mapping[str, torch.Tensor], broken: torch.Tensor) -> None:
        """Remember the first step whose sum is not finite (1 more than its index), and the terms, without asking the device."""
        words = torch.stack([value.detach().float() for value in terms.values()])
        first = broken & (self._broken[player] == 0)
        self._broken[player] = torch.where(first, self.step + 1.0, self._broken[player])
        self._terms[player] = tuple(terms)
        self._last_words[player] = torch.where(first, words, self._last_words.get(player, torch.zeros_like(words)))

    def divergence(self) -> str:
        """Why the run has to end, if it has; the parameters are those of before, and so is ``step`` then. Waits for the device."""
        broken = {player: int(self._broken[player]) for player in self._terms if self._broken[player]}  # in the order of the updates
        if not broken:
            return ""
        player = min(broken, key=lambda name: broken[name])
        shown = ", ".join(f"{name} = {value:g}" for name, value in zip(self._terms[player], self._last_words[player].tolist(), strict=True))
        self.step = broken[player] - 1
        return f"the loss of {player} is not finite at step {self.step}: {shown}"

    def _log(self, validate: bool) -> None:
        """A row of the history: losses averaged since the last row, gradient norms now, validation metrics where they are due."""
        self.world.average(list(self._sums.values()))
        row = {
            "kimg": self.step * self.params.training.batch_size / 1000,
            "step": self.step,
            "learning_rate": self.rate * self.schedule(self.step - 1),
        }
        row.update({name: float(value) / self._summed for name, value in self._sums.items()})
        row.update({f"gradient/{player}": float(value) for player, value in self._gradients.items()})
        self._sums, self._summed, self._gradients = {}, 0, {}
        if validate:
            row.update(self._validation())
        self.history.append(row)

    def _log_start(self) -> None:
        """A first row, of the untrained networks, where they can be validated: what the curves start from."""
        if found := self._validation():
            self.history.append({"kimg": 0.0, "step": 0, **found})

    def _validation(self) -> dict[str, float]:
        return {f"val/{name}": value for name, value in self.validate().items()} if self.world.leads else {}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Validation metrics of the present weights, on the first images of the split; none where no target can answer."""
        if not self.method.conditional or not self.prepared.aligned:
            return {}
        x = self.prepared.images("val", "A")[:VALIDATION_IMAGES]
        noise = seeds.torch_generator(self.run.dataset, self.run.method, self.run.seed, "validate", self.device)
        outputs = translate(self.method, x, noise, self.params.training.batch_size, self.device)
        return self.validator(outputs)

    def _save_is_due(self, saved: float) -> bool:
        if self.world.size > 1 and self.step % STEPS_BETWEEN_LOOKS:
            return False
        return self.world.decide(time.monotonic() - saved >= self.params.training.checkpoint_seconds)

    def _save(self) -> None:
        """Whole or not at all: until the new checkpoint is on the disk, the one before stays."""
        own = {"noise": self.noise.get_state(), "buffers": {name: buffer.state_dict() for name, buffer in self.method.buffers.items()}}
        ranks = self.world.gather(own)
        if not self.world.leads:
            return
        state = {
            "format": CHECKPOINT_FORMAT,
            "fingerprint": self.fingerprint,
            "step": self.step,
            "resumed": self.resumed,
            "seconds": self.seconds,
            "history": self.history,
            "sums": self._sums,
            "summed": self._summed,
            "ranks": ranks,
            "players": {name: player.state_dict() for name, player in self.method.players.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }
        with replacing(self.checkpoint, durable=True) as temporary:
            torch.save(state, temporary)

    def _restore(self) -> None:
        """Go on from the checkpoint; one that is damaged or belongs to other parameters, data or code is named and left aside."""
        if not self.checkpoint.exists():
            return
        try:
            state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        except Exception as error:  # whatever torch's reader meets in a truncated file
            self._say(f"{self.checkpoint}: not readable ({type(error).__name__}); {self.run} starts over")
            return
        if state.get("format") != CHECKPOINT_FORMAT or state.get("fingerprint") != self.fingerprint:
            self._say(f"{self.checkpoint}: made with other parameters, data or code; {self.run} starts over")
            return
        self.step, self.seconds, self.resumed = state["step"], state["seconds"], state["resumed"] + 1
        self.history, self._sums, self._summed = state["history"], state["sums"], state["summed"]
        own = state["ranks"][self.world.rank]
        self.noise.set_state(own["noise"].cpu())
        for name, player in self.method.players.items():
            player.load_state_dict(state["players"][name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for name, buffer in self.method.buffers.items():
            buffer.load_state_dict(own["buffers"][name])
        self._say(f"{self.run}: goes on from {self.checkpoint} at step {self.step} of {self.total_steps}")

    def _say(self, message: str) -> None:
        if self.world.leads:
            print(message, file=sys.stderr)


@torch.no_grad()
def translate(method: Method, x: np.ndarray, noise: torch.Generator, batch_size: int, device: torch.device) -> np.ndarray:
    """One output for each condition: uint8 N×S×S×3 → uint8 N×S×S×3, networks in evaluation mode meanwhile."""
    generator = method.generator
    was_training = generator.training
    generator.eval()
    try:
        outputs = [
            images.to_uint8(method.translate(images.to_float(x[start : start + batch_size], device), noise))
            for start in range(0, len(x), batch_size)
        ]
    finally:
        generator.train(was_training)
    return np.concatenate(outputs)


def parameters(method: Method) -> dict[str, int]:
    """Trainable parameters by role."""
    count = {player: parameter_count(networks) for player, networks in method.players.items()}
    return {"generator": count["G"], "discriminator": count.get("D", 0)}


def weights(method: Method) -> dict[str, torch.Tensor]:
    """The generators' weights, as they go into ``model.safetensors``."""
    return {name: value.detach().cpu().contiguous() for name, value in method.players["G"].state_dict().items()}


def load_weights(method: Method, state: dict[str, torch.Tensor], device: torch.device) -> None:
    player: nn.Module = method.players["G"]
    player.load_state_dict(state)
    player.to(device)
