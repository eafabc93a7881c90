"""What ``params.yaml`` says of a whole experiment: device, training, evaluation, tracking.

A dataset's settings stand with its source (:mod:`cgm.data.sources`), a method's with the method (:mod:`cgm.methods`), the networks' sizes
in :mod:`cgm.networks.settings`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cgm.core.registry import Entry
from cgm.core.settings import Count, Fraction, Model, NonNegative, Positive
from cgm.networks.fixed import FIXED


class Compute(Model):
    """Device, precision, threads."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the training. ``bfloat16``: the trained networks run under autocast; parameters, losses, frozen networks, optimisers stay float32.
    ``auto`` takes it where the device has it natively. Translation and evaluation are always in float32."""
    threads: Count = 1
    """CPU threads of one training, translation or evaluation. Part of the experiment, since sums over threads round differently: the
    number of jobs at once then changes no result."""
    deterministic: bool = True
    """Only deterministic algorithms (bit-exact repetition on one machine)."""
    compile: bool = False
    """Train the networks as ``torch.compile`` makes them; on CUDA with ``reduce-overhead``, which replays them as CUDA graphs. It takes a
    minute or so and a C++ compiler, and rounds differently. Repeated bytes are not promised then."""
    capture: bool = False
    """On CUDA, record a training step as one CUDA graph and replay it (:mod:`cgm.training.capture`): the same computation without the
    host's share of it, which is most of a small step. Not together with ``compile``."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.compile and self.capture:
            raise ValueError("compile and capture: found both true, expected one at most; compile replays CUDA graphs of its own")
        return self


class Training(Model):
    """What all methods share. The papers' own values differ from method to method: each method's record has them."""

    batch_size: Count = 1
    learning_rate: Positive = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    constant_fraction: Fraction = 0.5
    """Share of the budget at the full learning rate; after it, linear decay to 0."""
    jitter: NonNegative = 30 / 256
    """Random translation: images are padded by this share of their size (white) and cropped back, equally for x and y."""
    flip: bool = True
    """Random horizontal flip, equally for x and y."""
    validations: Annotated[int, Field(ge=1)] = 8
    """How many times, evenly over the budget, the validation metrics are measured."""
    judge: Annotated[str, Entry(FIXED, lambda network: network.guides)] = "efficientnet-lite0"
    """The network of the validation curve's perceptual distance. It is a setting of its own, so that another ``evaluation.judge`` retrains
    nothing."""
    log_points: Annotated[int, Field(ge=2)] = 100
    """How many rows of averaged losses the history gets."""
    checkpoint_seconds: Positive = 30.0
    """How much work a kill may lose at most."""


class Evaluation(Model):
    """How the outputs are measured."""

    judge: Annotated[str, Entry(FIXED, lambda network: network.judges)] = "efficientnet-lite0"
    samples: Count = 4
    """Outputs per condition where the generator is stochastic."""
    neighbours: Count = 5
    """k of precision, recall, density, coverage."""
    bins: Annotated[int, Field(ge=2)] = 20
    """Bins of NDB/JSD."""
    floor_splits: Count = 5
    """Random real-vs-real splits behind each floor."""
    lpips: Literal["off", "auto", "alexnet"] = "auto"
    """``auto``: computed where the AlexNet weights are at hand, else left empty and said so; ``alexnet``: downloaded if need be."""


class Tracking(Model):
    """Where MLflow keeps its records, and under which name."""

    uri: str = "sqlite:///mlflow.db"
    experiment: str = "cgm"
