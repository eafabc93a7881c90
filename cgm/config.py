"""``params.yaml`` as frozen, validated models; :mod:`cgm.params` reads the file.

``params.yaml`` is the experiment: everything that may change a result stands in it. This module imports no torch, so that the
engines can check an experiment before they start anything.

Every default is the paper's own value (sources in each method's file); where this benchmark departs from it, ``params.yaml`` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
FixedNetworkName = Literal["efficientnet-lite0", "efficientnet-lite1", "vgg16"]
"""The networks that work on a training's own tensors, on its device."""
JudgeName = Literal["efficientnet-lite0", "efficientnet-lite1", "vgg16", "inception-2015"]


class Model(BaseModel):
    """Frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Compute(Model):
    """Where and how the arithmetic is done."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the training. ``bfloat16``: the networks' convolutions under autocast; parameters, losses and optimisers stay float32. ``auto``
    takes it where the device has it natively. Translation and evaluation are always in float32."""
    threads: Count = 1
    """CPU threads of one training, translation or evaluation. Part of the experiment, since sums over threads round differently: the
    number of jobs at once then changes no result."""
    deterministic: bool = True
    """Only deterministic algorithms (bit-exact repetition on one machine)."""
    compile: bool = False
    """Train the networks as ``torch.compile`` makes them; on CUDA with ``reduce-overhead``, which replays them as CUDA graphs. It takes a
    minute or so and a C++ compiler, and rounds differently. Repeated bytes are not promised then."""


class Training(Model):
    """What all methods share: only the loss differs."""

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
    judge: FixedNetworkName = "efficientnet-lite0"
    """What the validation curve's perceptual distance looks through; not ``evaluation.judge``, which must not train anything anew."""
    log_points: Annotated[int, Field(ge=2)] = 100
    """How many rows of averaged losses the history gets."""
    checkpoint_seconds: Positive = 30.0
    """How much work a kill may lose at most."""


class UNet(Model):
    width: Count = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    norm: Literal["batch", "instance"] = "batch"


class ResNet(Model):
    width: Count = 64
    blocks: Annotated[int, Field(ge=0)] | None = None
    """Residual blocks; ``None``: 9 from 256 px on, else 6 (CycleGAN, section 4)."""


class PatchGAN(Model):
    width: Count = 64
    layers: Annotated[int, Field(ge=0, le=6)] = 3
    """Strided layers: receptive field 1, 16, 34, 70, 142 for 0, 1, 2, 3, 4."""
    norm: Literal["instance", "none"] = "instance"


class DCGAN(Model):
    width: Count = 64
    latent: Count = 100


class Networks(Model):
    unet: UNet = UNet()
    resnet: ResNet = ResNet()
    patchgan: PatchGAN = PatchGAN()
    dcgan: DCGAN = DCGAN()


class Dataset(Model):
    """One prepared dataset. ``source`` names the images; ``kimg`` is the budget of every method on it."""

    source: Literal["openmoji", "fluent", "fluent-unpaired", "folder"]
    variant: Literal["base", "all"] = "base"
    """``base``: one skin tone a concept; ``all``: with skin tones (openmoji)."""
    image_size: Literal[32, 64, 128, 256] = 64
    kimg: Positive
    """Budget: thousands of images seen by the generator."""
    limit: Count | None = None
    """Keep at most this many images of each split and side (smoke runs); ``None`` keeps all."""
    path: str | None = None
    """Where a ``folder`` source lies."""

    @model_validator(mode="after")
    def _folder_has_a_path(self) -> Dataset:
        if (self.source == "folder") != (self.path is not None):
            raise ValueError("'path' goes with 'source: folder', and only with it")
        return self


class Method(Model):
    """What every method's entry may hold; the subclasses add the λ's of their paper."""

    implementation: str
    """Which method this is; the entry's own name unless given, so that an entry can be a variant of another."""
    generator: Literal["unet", "resnet"] = "unet"
    learning_rate: Positive | None = None
    """In place of ``training.learning_rate``."""


class MAE(Method):
    implementation: Literal["mae"]


class MSE(Method):
    implementation: Literal["mse"]


class GAN(Method):
    """Unconditional: noise to image (DCGAN networks)."""

    implementation: Literal["gan"]
    generator: Literal["dcgan"] = "dcgan"  # type: ignore[assignment]


class CGAN(Method):
    implementation: Literal["cgan"]


class GANL1(Method):
    implementation: Literal["gan_l1"]
    l1_weight: NonNegative = 100.0


class Pix2Pix(Method):
    implementation: Literal["pix2pix"]
    l1_weight: NonNegative = 100.0


class UnpairedGAN(Method):
    implementation: Literal["unpaired_gan"]
    generator: Literal["unet", "resnet"] = "resnet"
    pool_size: Annotated[int, Field(ge=0)] = 50


class CycleGAN(Method):
    implementation: Literal["cyclegan"]
    generator: Literal["unet", "resnet"] = "resnet"
    cycle_weight: NonNegative = 10.0
    identity_weight: NonNegative = 5.0
    """The paper's λ_identity: 0.5 λ_cycle."""
    pool_size: Annotated[int, Field(ge=0)] = 50


class Perceptual(Method):
    implementation: Literal["perceptual"]
    loss_network: FixedNetworkName = "efficientnet-lite1"
    content_weight: NonNegative = 1.0
    pixel_weight: NonNegative = 0.0
    tv_weight: NonNegative = 1e-4


class PerceptualStyle(Perceptual):
    implementation: Literal["perceptual_style"]  # type: ignore[assignment]
    style_weight: NonNegative = 5.0


METHODS: dict[str, type[Method]] = {
    "mae": MAE,
    "mse": MSE,
    "gan": GAN,
    "cgan": CGAN,
    "gan_l1": GANL1,
    "pix2pix": Pix2Pix,
    "unpaired_gan": UnpairedGAN,
    "cyclegan": CycleGAN,
    "perceptual": Perceptual,
    "perceptual_style": PerceptualStyle,
}
UNPAIRED_METHODS = ("unpaired_gan", "cyclegan", "perceptual_style")
"""The methods that need no aligned targets (``perceptual_style`` then takes its content from x)."""


class Evaluation(Model):
    judge: JudgeName = "efficientnet-lite0"
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
    uri: str = "sqlite:///mlflow.db"
    experiment: str = "cgm"


class Unpaired(Model):
    datasets: dict[str, Dataset] = {}
    methods: dict[str, Method] = {}


class Run(Model):
    """dataset × method × seed."""

    dataset: str
    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.method}/{self.seed}"


class Params(Model):
    """The whole of ``params.yaml``."""

    profile: str
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    compute: Compute = Compute()
    training: Training = Training()
    networks: Networks = Networks()
    evaluation: Evaluation = Evaluation()
    tracking: Tracking = Tracking()
    weights: str | None = None
    """A folder with weights files, for machines without a network; files are known by their hashes, so it changes no result."""
    datasets: dict[str, Dataset] = {}
    """Paired datasets; every entry of ``methods`` trains on every one of them."""
    methods: dict[str, Method] = {}
    unpaired: Unpaired = Unpaired()
    """Unpaired datasets, and the methods that train on every one of them."""

    @property
    def all_datasets(self) -> dict[str, Dataset]:
        return {**self.datasets, **self.unpaired.datasets}

    def is_paired(self, dataset: str) -> bool:
        return dataset in self.datasets

    def method(self, dataset: str, method: str) -> Method:
        """The settings of ``method`` on ``dataset`` (an entry may differ between the paired and the unpaired group)."""
        return (self.methods if self.is_paired(dataset) else self.unpaired.methods)[method]

    def runs(self) -> Iterator[Run]:
        """Every run of the experiment, in the order of the file."""
        for datasets, methods in ((self.datasets, self.methods), (self.unpaired.datasets, self.unpaired.methods)):
            for dataset in datasets:
                for method in methods:
                    for seed in self.seeds:
                        yield Run(dataset=dataset, method=method, seed=seed)
