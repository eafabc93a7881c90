"""The one training loop: every method, one budget, final weights (no selection).

The budget is counted in images that the generator sees. Nothing here knows a method by name.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from cgm import config, images, seeds
from cgm.data.batches import Batches
from cgm.data.prepared import Prepared
from cgm.errors import UserError
from cgm.files import replacing
from cgm.methods import METHODS
from cgm.methods.base import Method
from cgm.metrics.validation import validation_metrics
from cgm.networks.fixed import FixedNetwork, load_fixed
from cgm.networks.init import initialise, parameter_count

VALIDATION_IMAGES = 64
"""Validation images behind each point of a curve: the first of the split (which is sorted by id)."""
STYLE_TARGETS = 256
"""Training targets shown to a method before training (domain statistics)."""
CHECKPOINT_FORMAT = 1


class Diverged(Exception):
    """A loss is not finite; the weights are those of the step before."""


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


def pick_device(compute: config.Compute) -> torch.device:
    """The device of ``compute.device``; sets the thread count and determinism switches of this process."""
    torch.set_num_threads(compute.threads)
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise UserError("params.yaml: compute.device: found 'cuda', but torch sees no CUDA device; set 'auto' or 'cpu'")
    if compute.device == "cpu" or not torch.cuda.is_available():
        # On the CPU everything used here is deterministic for a fixed number of threads, and the switch below costs seconds of imports.
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
    # Not use_deterministic_algorithms, which sets the same switch but imports the whole compiler: seconds of every job.
    torch.set_deterministic_debug_mode("error" if compute.deterministic else "default")
    torch.backends.cudnn.benchmark = not compute.deterministic
    return torch.device("cuda")


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
    method: Method = field(init=False)

    def __post_init__(self) -> None:
        training, run = self.params.training, self.run
        self.method = build_method(self.params, run)
        for player in self.method.players.values():
            for name, network in player.items():
                initialise(network, seeds.torch_generator(run.dataset, "", run.seed, f"init-{name}"))
            player.to(self.device).train()
        rate = self.method.settings.learning_rate or training.learning_rate
        self.optimisers = {
            name: torch.optim.Adam(player.parameters(), lr=rate, betas=(training.beta1, training.beta2), fused=True)
            for name, player in self.method.players.items()
        }
        self.rate = rate
        self.noise = seeds.torch_generator(run.dataset, run.method, run.seed, "noise", self.device)
        a, b = self.prepared.images("train", "A"), self.prepared.images("train", "B")
        self.batches = Batches(
            a, b, paired=self.method.supervision != "unpaired", dataset=run.dataset, seed=run.seed,
            jitter=training.jitter, flip=training.flip, device=self.device,
        )  # fmt: skip
        targets = images.to_float(b[:STYLE_TARGETS], self.device)
        self.method.prepare(targets, self.device, seeds.derive(run.dataset, run.method, run.seed, "method"))
        self.judge: FixedNetwork = load_fixed(training.judge, self.device)
        self.total_steps = math.ceil(self.params.all_datasets[run.dataset].kimg * 1000 / training.batch_size)
        self.step = 0
        self.resumed = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, torch.Tensor] = {}
        self._summed = 0

    def train(self) -> Outcome:
        """Run to the end of the budget, from the checkpoint if there is one that fits."""
        self._restore()
        batch_size = self.params.training.batch_size
        log_at = _marks(self.total_steps, self.params.training.log_points)
        validate_at = _marks(self.total_steps, self.params.training.validations)
        started = saved = time.monotonic()
        before = self.seconds
        status, reason = "ok", ""
        with Progress(f"train {self.run}", self.total_steps, self.step, batch_size) as progress:
            while self.step < self.total_steps:
                for optimiser in self.optimisers.values():
                    for group in optimiser.param_groups:
                        group["lr"] = self.rate * self.schedule(self.step)
                batch = self.batches.take(self.step * batch_size, batch_size, self.noise)
                try:
                    with self._autocast():
                        self.method.step(batch, self._update)
                except Diverged as error:
                    status, reason = "diverged", str(error)
                    break
                self.step += 1
                self._summed += 1
                if self.step in log_at or self.step in validate_at:
                    self._log(validate=self.step in validate_at)
                progress.update(self.step, self.history)
                self.seconds = before + time.monotonic() - started
                if time.monotonic() - saved >= self.params.training.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
        return Outcome(status, reason, self.history, self.step, self.step * batch_size, self.seconds, self.resumed)

    def schedule(self, step: int) -> float:
        """Factor on the learning rate: 1, then linear to 0 over the rest of the budget."""
        constant = self.params.training.constant_fraction
        done = step / self.total_steps
        return 1.0 if done < constant or constant == 1 else (1 - done) / (1 - constant)

    def _update(self, player: str, terms: Mapping[str, torch.Tensor]) -> None:
        """One optimiser step of ``player`` on the sum of ``terms``."""
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            shown = ", ".join(f"{name} = {value.item():g}" for name, value in terms.items())
            raise Diverged(f"the loss of {player} is not finite at step {self.step}: {shown}")
        optimiser = self.optimisers[player]
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
        for name, value in terms.items():
            key = f"{player}/{name}"
            self._sums[key] = self._sums.get(key, torch.zeros((), device=self.device)) + value.detach().float()

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.params.compute.precision == "bfloat16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def _log(self, validate: bool) -> None:
        """A row of the history: each loss averaged since the last row, and validation metrics where they are due."""
        row = {
            "kimg": self.step * self.params.training.batch_size / 1000,
            "step": self.step,
            "learning_rate": self.rate * self.schedule(self.step - 1),
        }
        row.update({name: float(value) / self._summed for name, value in self._sums.items()})
        self._sums, self._summed = {}, 0
        if validate:
            row.update({f"val/{name}": value for name, value in self.validate().items()})
        self.history.append(row)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Validation metrics of the present weights, on the first images of the split; none where no target can answer."""
        if not self.method.conditional or not self.prepared.aligned:
            return {}
        x, y = (self.prepared.images("val", side)[:VALIDATION_IMAGES] for side in "AB")
        noise = seeds.torch_generator(self.run.dataset, self.run.method, self.run.seed, "validate", self.device)
        outputs = translate(self.method, x, noise, self.params.training.batch_size, self.device)
        return validation_metrics(outputs, np.asarray(y), self.judge)

    def _save(self) -> None:
        state = {
            "format": CHECKPOINT_FORMAT,
            "fingerprint": self.fingerprint,
            "step": self.step,
            "resumed": self.resumed,
            "seconds": self.seconds,
            "history": self.history,
            "sums": self._sums,
            "summed": self._summed,
            "noise": self.noise.get_state(),
            "players": {name: player.state_dict() for name, player in self.method.players.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "buffers": {name: buffer.state_dict() for name, buffer in self.method.buffers.items()},
        }
        with replacing(self.checkpoint) as temporary:
            torch.save(state, temporary)

    def _restore(self) -> None:
        """Go on from the checkpoint; one that is damaged or belongs to other parameters, data or code is named and left aside."""
        if not self.checkpoint.exists():
            return
        try:
            state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        except Exception as error:  # whatever torch's reader meets in a truncated file
            print(f"{self.checkpoint}: not readable ({type(error).__name__}); {self.run} starts over", file=sys.stderr)
            return
        if state.get("format") != CHECKPOINT_FORMAT or state.get("fingerprint") != self.fingerprint:
            print(f"{self.checkpoint}: made with other parameters, data or code; {self.run} starts over", file=sys.stderr)
            return
        self.step, self.seconds, self.resumed = state["step"], state["seconds"], state["resumed"] + 1
        self.history, self._sums, self._summed = state["history"], state["sums"], state["summed"]
        self.noise.set_state(state["noise"].cpu())
        for name, player in self.method.players.items():
            player.load_state_dict(state["players"][name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for name, buffer in self.method.buffers.items():
            buffer.load_state_dict(state["buffers"][name])
        print(f"{self.run}: goes on from {self.checkpoint} at step {self.step} of {self.total_steps}", file=sys.stderr)


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


def peak_memory(device: torch.device) -> int:
    """Most bytes that this process held: of the CUDA allocator, or resident on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


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


def _marks(total: int, count: int) -> set[int]:
    """``count`` steps, evenly spread, the last one being ``total``."""
    return {math.ceil(total * (index + 1) / count) for index in range(count)}


class Progress:
    """A bar with images/s and time left on a terminal; ten plain lines in a log."""

    def __init__(self, label: str, total: int, start: int, batch_size: int) -> None:
        self._label, self._total, self._start, self._batch = label, total, start, batch_size
        self._bar = tqdm(
            total=total * batch_size, initial=start * batch_size, desc=label, unit="img", file=sys.stderr, disable=None, mininterval=0.5
        )
        self._lines = _marks(total, 10) if self._bar.disable else set()
        self._clock = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def update(self, step: int, history: list[dict[str, float]]) -> None:
        self._bar.update(self._batch)
        if step in self._lines:
            rate = (step - self._start) * self._batch / (time.monotonic() - self._clock)
            left = (self._total - step) * self._batch / rate
            losses = " ".join(f"{name} {value:.4g}" for name, value in history[-1].items() if "/" in name) if history else ""
            print(f"{self._label}: {step}/{self._total} steps, {rate:.0f} img/s, {left:.0f} s left; {losses}", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        self._bar.close()
