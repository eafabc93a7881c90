"""The losses, in the papers' notation; every one returns a scalar tensor, a mean over the batch.

Images are N×C×H×W in [-1, 1]; logits and feature maps have any shape whose first axis is the batch. Networks may run in bfloat16, losses
never do: each takes its arguments to float32 first (:func:`float32`). Structural similarity has its own file, ``losses_ssim.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
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
    def computed(*arguments: Any, **settings: Any) -> Tensor:
        kind = next(tensor.device.type for argument in arguments for tensor in _tensors(argument))
        with torch.autocast(kind, enabled=False):
            return loss(*(_to_float32(argument) for argument in arguments), **settings)

    return computed


def _tensors(argument: Any) -> list[Tensor]:
    if isinstance(argument, Mapping):
        argument = list(argument.values())
    return [value for value in (argument if isinstance(argument, list | tuple) else [argument]) if isinstance(value, torch.Tensor)]


def _to_float32(argument: Any) -> Any:
    """A tensor, or the tensors of a mapping or a sequence, as float32; anything else as it is."""
    if isinstance(argument, Mapping):
        return {name: _to_float32(value) for name, value in argument.items()}
    if isinstance(argument, list | tuple):
        return [_to_float32(value) for value in argument]
    return argument.float() if isinstance(argument, torch.Tensor) else argument


@float32
def mae(y_hat: Tensor, y: Tensor) -> Tensor:
    """E‖y − ŷ‖₁, per pixel and channel. Its minimiser is the conditional median. The L1, cycle and identity terms are this."""
    return F.l1_loss(y_hat, y)


@float32
def mse(y_hat: Tensor, y: Tensor) -> Tensor:
    """E‖y − ŷ‖₂², per pixel and channel. Its minimiser is the conditional mean."""
    return F.mse_loss(y_hat, y)


@float32
def charbonnier(y_hat: Tensor, y: Tensor, epsilon: float = 1e-3) -> Tensor:
    """E √((y − ŷ)² + ε²), per pixel and channel: L1 whose slope is continuous at 0.

    Charbonnier et al. 1994; Lai et al. 2017 (LapSRN), section 3.3, ε = 1e-3.
    """
    return ((y_hat - y).square() + epsilon**2).sqrt().mean()


@float32
def gradient_difference(y_hat: Tensor, y: Tensor, alpha: float = 1.0) -> Tensor:
    """E | |∂y| − |∂ŷ| |^α, ∂ the difference of neighbours, vertical and horizontal ones added. Mathieu et al. 2016, eq. 6.

    A mean over positions and channels each, where the paper has a sum: the weight then means the same at every size.
    """
    down = ((y[:, :, 1:] - y[:, :, :-1]).abs() - (y_hat[:, :, 1:] - y_hat[:, :, :-1]).abs()).abs()
    right = ((y[..., 1:] - y[..., :-1]).abs() - (y_hat[..., 1:] - y_hat[..., :-1]).abs()).abs()
    return (down**alpha).mean() + (right**alpha).mean()


@float32
def focal_frequency(y_hat: Tensor, y: Tensor, alpha: float = 1.0) -> Tensor:
    """E w(u, v) |F_y(u, v) − F_ŷ(u, v)|², F the orthonormal discrete Fourier transform of a channel. Jiang et al. 2021, eq. 5–8.

    w = |F_y − F_ŷ|^α, divided by its maximum over each image's spectrum (of each channel), and constant for the gradient. α = 0 is the
    mean squared error.
    """
    difference = torch.fft.fft2(y_hat - y, norm="ortho")
    squared = difference.real.square() + difference.imag.square()
    weight = squared.detach() ** (alpha / 2)
    weight = weight / weight.amax(dim=(2, 3), keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    return (weight * squared).mean()


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


@float32
def feature_matching(maps_hat: Sequence[Tensor], maps: Sequence[Tensor]) -> Tensor:
    """Σ over D's layers i of E‖D_i(y) − D_i(ŷ)‖₁ / N_i, N_i the numbers of a map. Wang et al. 2018 (pix2pixHD), eq. 4.

    ``maps_hat`` of fakes, ``maps`` of real images, layer by layer (:meth:`cgm.networks.patchgan.PatchGAN.features`). The real maps are
    what is to be matched: no gradient goes into them.
    """
    return torch.stack([F.l1_loss(hat, real.detach()) for hat, real in zip(maps_hat, maps, strict=True)]).sum()


@float32
def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """−E log σ(C(y) − E C(ŷ)) − E log(1 − σ(C(ŷ) − E C(y))), C the logits: real ones are more real than fakes on average.

    Jolicoeur-Martineau 2018, relativistic average GAN; Wang et al. 2018 (ESRGAN), eq. 1. The means are over the batch and its patches.
    """
    return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()


@float32
def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """−E log(1 − σ(C(y) − E C(ŷ))) − E log σ(C(ŷ) − E C(y)): D's term with real and fake exchanged.

    Wang et al. 2018 (ESRGAN), eq. 2.
    """
    return relativistic_discriminator(fake, real)


@float32
def patch_nce(queries: Tensor, keys: Tensor, temperature: float = 0.07) -> Tensor:
    """−E log [exp(q·k⁺/τ) / (exp(q·k⁺/τ) + Σ exp(q·k⁻/τ))]: cross-entropy of finding a patch's own key. Park et al. 2020, eq. 3.

    ``queries``, ``keys``: N×P×K, P positions of each image; both are brought to length 1. The key at the query's position is the positive,
    those at the image's other positions are the negatives. As in the authors' code no gradient goes into the keys.
    """
    count, places, _ = queries.shape
    logits = F.normalize(queries, dim=2) @ F.normalize(keys.detach(), dim=2).transpose(1, 2) / temperature
    own = torch.arange(places, device=logits.device).repeat(count)
    return F.cross_entropy(logits.reshape(count * places, places), own)


@float32
def mode_seeking(images_1: Tensor, images_2: Tensor, z_1: Tensor, z_2: Tensor) -> Tensor:
    """1 / (E|G(x, z₁) − G(x, z₂)| / E|z₁ − z₂| + 1e-5): small where images differ as much as the z they are made of.

    Mao et al. 2019 (MSGAN), eq. 2–4: the paper maximises the ratio, the authors' code minimises this, with one ratio of a batch's means.
    """
    return 1 / (F.l1_loss(images_1, images_2) / F.l1_loss(z_1, z_2) + 1e-5)
