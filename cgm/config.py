"""``params.yaml`` as frozen, validated models.

``params.yaml`` is the experiment: everything that may change a result stands in it. This module imports no torch, so that the
engines can check an experiment before they start anything. Unknown keys are rejected with the nearest valid name.

Every default is the paper's own value (sources in each method's file); where this benchmark departs from it, ``params.yaml`` says so.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cgm.errors import UserError

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
FixedNetworkName = Literal["efficientnet-lite0", "efficientnet-lite1", "vgg16"]
"""The networks that work on a training's own tensors, on its device."""
JudgeName = Literal["efficientnet-lite0", "efficientnet-lite1", "vgg16", "inception-2015"]
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Model(BaseModel):
    """Frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Compute(Model):
    """Where and how the arithmetic is done."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16``: the networks' convolutions under autocast; parameters, losses and optimisers stay float32."""
    threads: Count = 1
    """CPU threads of one training, translation or evaluation. Part of the experiment, since sums over threads round differently: the
    number of jobs at once then changes no result."""
    deterministic: bool = True
    """Only deterministic algorithms (bit-exact repetition on one machine)."""


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


class Yaml(yaml.SafeLoader):
    """YAML 1.2's booleans and numbers, which DVC writes: ``off`` is a word, ``1e-05`` a number (PyYAML alone reads YAML 1.1)."""


Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))
Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"),
    list("-+.0123456789"),
)


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and validate ``params.yaml``.

    Raises :class:`UserError`, one line, naming the file and the key.
    """
    path = Path(path)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Yaml)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the command in the folder that holds params.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse_params(raw, name=str(path))


def parse_params(raw: Any, *, name: str = "params.yaml") -> Params:
    """Validate what YAML gave; see :func:`load_params`."""
    if not isinstance(raw, dict):
        raise UserError(f"{name}: found {type(raw).__name__}, expected a mapping of settings")
    raw = dict(raw)
    raw["methods"] = _methods(raw.get("methods"), "methods", name, allowed=METHODS)
    if isinstance(raw.get("unpaired"), dict):
        unpaired = dict(raw["unpaired"])
        unpaired["methods"] = _methods(unpaired.get("methods"), "unpaired.methods", name, allowed=UNPAIRED_METHODS)
        raw["unpaired"] = unpaired
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{name}: {_explain(error, Params)}") from None
    _check(params, name)
    return params


def _methods(raw: Any, key: str, name: str, allowed: Iterable[str]) -> dict[str, Method]:
    """Build each entry with the model of its implementation."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise UserError(f"{name}: {key}: found {type(raw).__name__}, expected a mapping from method to settings")
    methods = {}
    for entry, settings in raw.items():
        settings = {} if settings is None else settings
        if not isinstance(settings, dict):
            raise UserError(f"{name}: {key}.{entry}: found {settings!r}, expected a mapping of settings (or {{}})")
        implementation = str(settings.get("implementation", entry))
        if implementation not in allowed:
            where = f"{key}.{entry}" + (".implementation" if "implementation" in settings else "")
            if implementation in METHODS:
                raise UserError(f"{name}: {where}: {implementation!r} needs aligned pairs; expected one of {', '.join(allowed)}")
            raise UserError(f"{name}: {where}: unknown method {implementation!r}{_nearest(implementation, allowed)}")
        model = METHODS[implementation]
        try:
            methods[entry] = model.model_validate({**settings, "implementation": implementation})
        except ValidationError as error:
            raise UserError(f"{name}: {key}.{entry}.{_explain(error, model)}") from None
    return methods


def _check(params: Params, name: str) -> None:
    """What no single field can know."""
    for key, group in (
        ("datasets", params.datasets),
        ("methods", params.methods),
        ("unpaired.datasets", params.unpaired.datasets),
        ("unpaired.methods", params.unpaired.methods),
    ):
        for entry in group:
            if not NAME.fullmatch(entry):
                raise UserError(f"{name}: {key}.{entry}: names become folder names; use lower-case letters, digits, '_' and '-'")
    if repeated := set(params.datasets) & set(params.unpaired.datasets):
        raise UserError(f"{name}: datasets.{min(repeated)}: also stands in unpaired.datasets; give one of them another name")
    if len(set(params.seeds)) != len(params.seeds):
        raise UserError(f"{name}: seeds: found a seed twice in {params.seeds}; list each once")
    for dataset, settings in params.datasets.items():
        if settings.source == "fluent-unpaired":
            raise UserError(f"{name}: datasets.{dataset}.source: 'fluent-unpaired' is unpaired; move the entry to unpaired.datasets")
    for dataset, settings in params.unpaired.datasets.items():
        if settings.source in ("openmoji", "fluent"):
            raise UserError(f"{name}: unpaired.datasets.{dataset}.source: {settings.source!r} is paired; move the entry to datasets")
    if not any(True for _ in params.runs()):
        raise UserError(f"{name}: nothing to train: list at least one dataset and one method in the same group")
    for dataset, settings in params.all_datasets.items():
        layers = params.networks.patchgan.layers
        if patchgan_side(settings.image_size, layers) < 1:
            raise UserError(
                f"{name}: networks.patchgan.layers: {layers} layers leave nothing of a {settings.image_size} px image ({dataset}); lower it"
            )
        steps = settings.kimg * 1000 / params.training.batch_size
        if steps < 1:
            raise UserError(
                f"{name}: {dataset}.kimg: {settings.kimg} kimg is less than one step of training.batch_size={params.training.batch_size};"
                " raise the budget or lower the batch size"
            )


def patchgan_side(image_size: int, layers: int) -> int:
    """Side of the PatchGAN's output; less than 1 where the image is too small for it."""
    return image_size if layers == 0 else image_size // 2**layers - 2


def _nearest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(sorted(known))}"


def _explain(error: ValidationError, root: type[BaseModel]) -> str:
    """The first problem of a pydantic error, as ``key: found …, expected …``."""
    first = error.errors(include_url=False)[0]
    location = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *parents, unknown = first["loc"]
        return f"{location}: unknown key{_nearest(str(unknown), _fields(root, parents))}"
    if first["type"] == "missing":
        return f"{location}: missing; expected a value"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if first["type"] == "value_error":
        return f"{location}: {message}"
    return f"{location}: found {first['input']!r}; {message}"


def _fields(root: type[BaseModel], parents: list[Any]) -> list[str]:
    """The field names of the model at ``parents`` below ``root``; a part may be a field or, below a mapping, an entry's name."""
    model: Any = root
    for part in parents:
        model = get_args(model)[1] if get_origin(model) is dict else model.model_fields[part].annotation
    return list(getattr(model, "model_fields", ()))
