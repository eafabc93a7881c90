"""What ``params.yaml`` says of a whole experiment: device, training, evaluation, tracking.

A dataset's settings stand with its source (:mod:`cgm.data.sources`), a method's with the method (:mod:`cgm.methods`), the networks' sizes
in :mod:`cgm.networks.settings`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

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


class Wanted(Model):
    """A network that evaluation looks through: ``name``, or ``{name: auto}`` for one that may be missing."""

    name: str
    auto: bool = False
    """Its column stays empty, with the reason, where its weights can't be had. Without: that is an error."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and len(value) == 1 and list(value.values()) == ["auto"]:
            return {"name": next(iter(value)), "auto": True}
        if isinstance(value, Wanted) or (isinstance(value, dict) and "name" in value and value.keys() <= {"name", "auto"}):
            return value
        raise ValueError(f"found {value!r}, expected a name, or {{name: auto}} for one that may be missing")


class WantedJudge(Wanted):
    name: Annotated[str, Entry(FIXED, lambda network: network.judges)]


class WantedLPIPS(Wanted):
    name: Literal["alex", "vgg", "squeeze"]


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [] if value == "off" else [value]


class Evaluation(Model):
    """How the outputs are measured."""

    judges: Annotated[tuple[WantedJudge, ...], BeforeValidator(_listed), Field(min_length=1, strict=False)] = (
        WantedJudge(name="efficientnet-lite0"),
    )
    """The networks that distribution, conditioning and perceptual metrics look through, each for rows and columns of its own."""
    headline: str | None = None
    """The judge that leads: whose columns come first, and by whom competence, ranks and the answer are told. None: the first."""
    lpips: Annotated[tuple[WantedLPIPS, ...], BeforeValidator(_listed), Field(strict=False)] = (WantedLPIPS(name="alex"),)
    """LPIPS's variants, the first of which leads; ``off``: none."""
    samples: Count = 4
    """Outputs per condition where the generator is stochastic."""
    neighbours: Count = 5
    """k of precision, recall, density, coverage."""
    bins: Annotated[int, Field(ge=2)] = 20
    """Bins of NDB/JSD."""
    floor_splits: Count = 5
    """Random real-vs-real splits behind each floor."""
    device: Literal["cpu", "auto"] = "cpu"
    """Where judges and LPIPS look. ``auto`` takes CUDA where there is one: faster, and the last digits are the device's. The metrics
    themselves are computed on the CPU, in float64."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, wanted in (("judges", self.judges), ("lpips", self.lpips)):
            names = [each.name for each in wanted]
            if len(set(names)) < len(names):
                raise ValueError(f"{key}: found {', '.join(names)}, expected each once")
        if self.headline is not None and self.headline not in (known := [each.name for each in self.judges]):
            raise ValueError(f"headline: found {self.headline!r}, expected one of judges: {', '.join(known)}")
        if self.leading.auto:
            raise ValueError(f"judges: {self.leading.name} leads and can't be auto; name it without, or another as headline")
        return self

    @property
    def leading(self) -> WantedJudge:
        return next(each for each in self.judges if self.headline in (None, each.name))

    @property
    def judge(self) -> str:
        """The name of the judge that leads."""
        return self.leading.name

    @property
    def others(self) -> tuple[WantedJudge, ...]:
        """The judges that don't lead."""
        return tuple(each for each in self.judges if each != self.leading)


class Tracking(Model):
    """Where MLflow keeps its records, and under which name."""

    uri: str = "sqlite:///mlflow.db"
    """A file of this folder's, or a tracking server: ``http://127.0.0.1:5000``. It holds no password: those are for the environment."""
    experiment: str = "cgm"
    """What the names of MLflow's experiments begin with: ``cgm-default``, ``cgm-smoke``, one for each ``experiment``."""

    @field_validator("uri")
    @classmethod
    def _no_secrets(cls, uri: str) -> str:
        parts = urlsplit(uri)
        if parts.password is not None or (parts.scheme.startswith("http") and parts.username is not None):
            raise ValueError(
                "holds a name or password, expected none in a file; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (of a "
                "database: PGPASSWORD) in the environment"
            )
        return uri
