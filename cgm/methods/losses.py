"""The losses, in the papers' notation; every one returns a scalar tensor, a mean over the batch.

Images are N×3×H×W in [-1, 1]; logits and feature maps have any shape whose first axis is the batch. Networks may run in bfloat16, losses
never do: each takes its arguments to float32 first (:func:`float32`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar

from cgm.core.lazy import F, torch
from cgm.core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Maps = Mapping[str, "Tensor"]


def float32(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``loss`` computed in float32, also on what a network has made in bfloat16 and inside autocast.

    bfloat16 has 8 bits: ln 2 reads .6914 in it, and the Gram matrices of near images differ by less than it resolves.
    """

    @wraps(loss)
    def computed(*arguments: Any) -> Tensor:
        kind = next(tensor.device.type for argument in arguments for tensor in _tensors(argument))
        with torch.autocast(kind, enabled=False):
            return loss(*(_to_float32(argument) for argument in arguments))

    return computed


def _tensors(argument: Any) -> list[Tensor]:
    values = argument.values() if isinstance(argument, Mapping) else [argument]
    return [value for value in values if isinstance(value, torch.Tensor)]


def _to_float32(argument: Any) -> Any:
    """A tensor, or a mapping's tensors, as float32; anything else as it is."""
    if isinstance(argument, Mapping):
        return {name: _to_float32(value) for name, value in argument.items()}
    return argument.float() if isinstance(argument, torch.Tensor) else argument


@float32
def mae(y_hat: Tensor, y: Tensor) -> Tensor:
    """E‖y − ŷ‖₁, per pixel and channel. Its minimiser is the conditional median. The L1, cycle and identity terms are this."""
    return F.l1_loss(y_hat, y)


@float32
def mse(y_hat: Tensor, y: Tensor) -> Tensor:
    """E‖y − ŷ‖₂², per pixel and channel. Its minimiser is the conditional mean."""
    return F.mse_loss(y_hat, y)


class Adversarial(ABC):
    """A game between G and D, by D's outputs (logits): what D minimises on real and on fake images, and what G minimises on fakes."""

    minimises: ClassVar[str]
    """G's term in the report, ``{}`` being D's output for a fake."""
    boundary: ClassVar[float]
    """D holds an image for real where its output is larger."""

    @abstractmethod
    def real(self, logits: Tensor) -> Tensor:
        """D's term for real images."""

    @abstractmethod
    def fake(self, logits: Tensor) -> Tensor:
        """D's term for generated images."""

    @abstractmethod
    def generator(self, logits: Tensor) -> Tensor:
        """G's term."""

    def accuracy(self, real: Tensor, fake: Tensor) -> Tensor:
        """Share of D's decisions that are right, real and fake ones weighted equally: ½ where it can't tell, 1 where it always can."""
        with torch.no_grad():
            return ((real > self.boundary).float().mean() + (fake <= self.boundary).float().mean()) / 2


class Vanilla(Adversarial):
    """Goodfellow et al. 2014, eq. 1, D = sigmoid(logits); G's is the non-saturating loss of section 3."""

    minimises = "−E log {}"
    boundary = 0.0

    @float32
    def real(self, logits: Tensor) -> Tensor:
        """−E log D."""
        return F.softplus(-logits).mean()

    @float32
    def fake(self, logits: Tensor) -> Tensor:
        """−E log(1 − D)."""
        return F.softplus(logits).mean()

    @float32
    def generator(self, logits: Tensor) -> Tensor:
        """−E log D."""
        return self.real(logits)


class LeastSquares(Adversarial):
    """Mao et al. 2017, eq. 9 (a = 0, b = c = 1), without its ½."""

    minimises = "E({} − 1)²"
    boundary = 0.5

    @float32
    def real(self, logits: Tensor) -> Tensor:
        """E(D − 1)²."""
        return (logits - 1).square().mean()

    @float32
    def fake(self, logits: Tensor) -> Tensor:
        """E D²."""
        return logits.square().mean()

    @float32
    def generator(self, logits: Tensor) -> Tensor:
        """E(D − 1)²."""
        return self.real(logits)


class Hinge(Adversarial):
    """Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17."""

    minimises = "−E {}"
    boundary = 0.0

    @float32
    def real(self, logits: Tensor) -> Tensor:
        """E max(0, 1 − D)."""
        return F.relu(1 - logits).mean()

    @float32
    def fake(self, logits: Tensor) -> Tensor:
        """E max(0, 1 + D)."""
        return F.relu(1 + logits).mean()

    @float32
    def generator(self, logits: Tensor) -> Tensor:
        """−E D."""
        return -logits.mean()


ADVERSARIAL: Registry[type[Adversarial]] = Registry(
    "adversarial loss",
    {
        "vanilla": "cgm.methods.losses:Vanilla",
        "lsgan": "cgm.methods.losses:LeastSquares",
        "hinge": "cgm.methods.losses:Hinge",
    },
)


def gradient_penalty(logits: Tensor, y: Tensor) -> Tensor:
    """E‖∇_y D(y)‖² of real images y, N×C×H×W, which D's ``logits`` were computed from. Mescheder et al. 2018, eq. 9 without its γ/2.

    Where D judges P patches, it is ‖∇_y Σ_p D_p‖² ÷ P: the mean over patches, as far as they don't overlap. The gradient is differentiable.
    """
    (gradient,) = torch.autograd.grad(logits.float().sum(), y, create_graph=True)
    return gradient.float().square().sum() / logits.numel()


@float32
def feature_reconstruction(maps_hat: Maps, maps: Maps, scale: Mapping[str, float]) -> Tensor:
    """Σ over the layers in ``scale`` of ‖φ(ŷ) − φ(y)‖₂² / (C·H·W) / scale. Johnson et al. 2016, eq. 2 (scale 1)."""
    return torch.stack([F.mse_loss(maps_hat[layer], maps[layer]) / value for layer, value in scale.items()]).sum()


@float32
def gram(features: Tensor) -> Tensor:
    """N×C×H×W → N×C×C: ψψᵀ / (C·H·W), ψ the features as C×(H·W). Johnson et al. 2016, eq. 3."""
    count, channels, height, width = features.shape
    psi = features.reshape(count, channels, height * width)
    return psi @ psi.transpose(1, 2) / (channels * height * width)


@float32
def style_reconstruction(grams_hat: Maps, grams: Maps, scale: Mapping[str, float]) -> Tensor:
    """Σ over the layers in ``scale`` of ‖G(ŷ) − G(y)‖²_F / scale. Johnson et al. 2016, eq. 4 (scale 1).

    A target of shape 1×C×C serves the whole batch.
    """
    return torch.stack([(grams_hat[layer] - grams[layer]).square().sum(dim=(1, 2)).mean() / value for layer, value in scale.items()]).sum()


@float32
def total_variation(y_hat: Tensor) -> Tensor:
    """Σ over pixels and channels of the squared differences of vertical and of horizontal neighbours. Johnson et al. 2016, section 3.2.

    A sum, as in the paper; the other terms are means, so a larger image needs a smaller weight.
    """
    vertical = (y_hat[:, :, 1:] - y_hat[:, :, :-1]).square().sum(dim=(1, 2, 3))
    horizontal = (y_hat[:, :, :, 1:] - y_hat[:, :, :, :-1]).square().sum(dim=(1, 2, 3))
    return (vertical + horizontal).mean()
