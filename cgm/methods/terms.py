"""The terms that a mixture of losses is made of (:mod:`cgm.methods.weighted`): one table, one small class a term.

A term is its own settings: its weight, and whatever else its paper leaves open. ``loss`` gives the unweighted value of one step, from what
:class:`Scene` shows of it. A number in place of the settings is the weight.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import BeforeValidator, Field, create_model

from cgm.core.lazy import torch
from cgm.core.registry import About, Entry, Placed
from cgm.core.settings import Model, NonNegative, Positive
from cgm.methods import losses, losses_ssim
from cgm.methods.game import Game, Refinements
from cgm.methods.losses import ADVERSARIAL
from cgm.networks.fixed import FIXED, lpips
from cgm.networks.fixed.record import Depth

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cgm.data.batches import Batch
    from cgm.methods.weighted import Weighted
    from cgm.networks.fixed.network import FixedNetwork
    from cgm.networks.patchgan import PatchGAN

CHUNK = 32
"""Images that go through a fixed network at once before training."""


class Term(Placed):
    """One term of G's objective."""

    about: ClassVar[About]
    """``title``: as the report's equation shows it; ``citation``."""
    compares: ClassVar[bool] = True
    """Whether it compares ŷ with the y of the same x."""

    weight: NonNegative
    """λ of this term."""

    @property
    def needs_pairs(self) -> bool:
        return self.compares

    @property
    def fixed(self) -> dict[str, tuple[str, ...]]:
        """Fixed networks that it looks through, with the names of the layers it asks for."""
        return {}

    @property
    def seen_through(self) -> tuple[str, ...]:
        """The fixed networks that have a say in it: who judges by one of their family flatters it."""
        return tuple(self.fixed)

    def measure(self, targets: Targets) -> Any:
        """Before training: what it has to know of the target domain; :meth:`Scene.known` gives it back."""
        return None

    @abstractmethod
    def loss(self, scene: Scene) -> Tensor:
        """A scalar, a mean over the batch, without the weight."""


class Targets:
    """Training targets, N×C×H×W in [-1, 1], as the fixed networks see them."""

    def __init__(self, images: Tensor, networks: dict[str, FixedNetwork]) -> None:
        self.images, self._networks = images, networks

    def maps(self, network: str, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """Feature maps, in chunks that bound the memory."""
        with torch.no_grad():
            chunks = [self._networks[network].taps(chunk, layers) for chunk in self.images.split(CHUNK)]
            return {layer: torch.cat([chunk[layer] for chunk in chunks]) for layer in layers}


class Scene:
    """One step, as its terms see it. Everything is computed when a term first asks, and once."""

    def __init__(self, mixture: Weighted, batch: Batch) -> None:
        self._mixture, self.paired = mixture, mixture.supervision == "paired"
        self.x, self.y, self.noise = batch.x, batch.y, batch.noise
        self.G, self.F = mixture.generator, mixture.backward
        """F: B → A; None where nothing cycles."""

    @cached_property
    def y_hat(self) -> Tensor:
        """G(x)."""
        return cast("Tensor", self.G(self.x, self.noise))

    @cached_property
    def x_hat(self) -> Tensor:
        """F(y)."""
        assert self.F is not None
        return cast("Tensor", self.F(self.y, self.noise))

    @property
    def content(self) -> Tensor:
        """What ŷ shall show: y on pairs, else x (Johnson et al. 2016, section 3.2)."""
        return self.y if self.paired else self.x

    @property
    def opponents(self) -> list[Opponent]:
        """D, which judges ŷ; and where there is an F, the one that judges its pictures."""
        names = iter(self._mixture.players["D"].values())
        found = [Opponent(next(names), self.y, self.y_hat, self.x if self._mixture.sees_condition else None)]
        return found + [Opponent(D, self.x, self.x_hat, None) for D in names]

    def known(self, term: Term) -> Any:
        """What the term measured before training."""
        return self._mixture.known[type(term).__name__]

    def maps_hat(self, network: str) -> dict[str, Tensor]:
        """φ(ŷ): the maps that any term asks of this network."""
        return self._seen(network, "y_hat")

    def maps(self, network: str) -> dict[str, Tensor]:
        """φ of :attr:`content`, likewise, without gradient."""
        return self._seen(network, "content")

    @cached_property
    def _maps(self) -> dict[tuple[str, str], dict[str, Tensor]]:
        return {}

    def _seen(self, network: str, what: str) -> dict[str, Tensor]:
        if (network, what) not in self._maps:
            phi, layers = self._mixture.networks[network], self._mixture.layers[network]
            with torch.set_grad_enabled(what == "y_hat"):
                self._maps[network, what] = phi.taps(getattr(self, what), layers)
        return self._maps[network, what]


@dataclass(frozen=True)
class Opponent:
    """A discriminator and what it judges."""

    D: nn.Module
    real: Tensor
    fake: Tensor
    given: Tensor | None
    """The condition that it sees with either."""


class L1(Term):
    about = About(title="E‖y − G(x)‖₁", citation="Isola et al. 2017, eq. 3")

    def loss(self, scene: Scene) -> Tensor:
        return losses.mae(scene.y_hat, scene.y)


class L2(Term):
    about = About(title="E‖y − G(x)‖₂²", citation="Pathak et al. 2016, eq. 1")

    def loss(self, scene: Scene) -> Tensor:
        return losses.mse(scene.y_hat, scene.y)


class Charbonnier(Term):
    about = About(title="E √((y − G(x))² + ε²)", citation="Lai et al. 2017, section 3.2")
    epsilon: Positive = 1e-3

    def loss(self, scene: Scene) -> Tensor:
        return losses.charbonnier(scene.y_hat, scene.y, self.epsilon)


class SSIM(Term):
    about = About(title="(1 − SSIM(y, G(x)))", citation="Zhao et al. 2017, eq. 7")

    def loss(self, scene: Scene) -> Tensor:
        return losses_ssim.ssim(scene.y_hat, scene.y)


class MSSSIM(Term):
    about = About(title="(1 − MS-SSIM(y, G(x)))", citation="Zhao et al. 2017, eq. 8")

    def loss(self, scene: Scene) -> Tensor:
        return losses_ssim.ms_ssim(scene.y_hat, scene.y)


class GradientDifference(Term):
    about = About(title="GDL(y, G(x))", citation="Mathieu et al. 2016, eq. 6")
    alpha: Positive = 1.0

    def loss(self, scene: Scene) -> Tensor:
        return losses.gradient_difference(scene.y_hat, scene.y, self.alpha)


class FocalFrequency(Term):
    about = About(title="FFL(y, G(x))", citation="Jiang et al. 2021, eq. 8")
    alpha: NonNegative = 1.0

    def loss(self, scene: Scene) -> Tensor:
        return losses.focal_frequency(scene.y_hat, scene.y, self.alpha)


class TV(Term):
    """A sum over pixels, as in the paper."""

    about = About(title="TV(G(x))", citation="Johnson et al. 2016, section 3.2")
    compares = False

    def loss(self, scene: Scene) -> Tensor:
        return losses.total_variation(scene.y_hat)


class Perceptual(Term):
    """Feature reconstruction; each layer's part is divided by its mean square over training targets. Against y on pairs, else against x."""

    about = About(title="‖φ(y) − φ(G(x))‖₂² / CHW", citation="Johnson et al. 2016, eq. 2")
    compares = False
    loss_network: Annotated[str, Entry(FIXED, lambda network: network.guides)] = "vgg16"
    tap: Depth | None = None
    """One layer of the loss network in place of the several that its record names."""

    @property
    def fixed(self) -> dict[str, tuple[str, ...]]:
        return {self.loss_network: FIXED[self.loss_network].content(self.tap)}

    def measure(self, targets: Targets) -> dict[str, float]:
        ((network, layers),) = self.fixed.items()
        return {layer: float(values.square().mean()) for layer, values in targets.maps(network, layers).items()}

    def loss(self, scene: Scene) -> Tensor:
        return losses.feature_reconstruction(scene.maps_hat(self.loss_network), scene.maps(self.loss_network), scene.known(self))


class Style(Term):
    """Gram matrices; each layer's part is divided by its mean over training targets. The style is each pair's y, else the mean Gram matrix
    of the target domain."""

    about = About(title="‖Gram(y) − Gram(G(x))‖²_F", citation="Johnson et al. 2016, eq. 4")
    compares = False
    loss_network: Annotated[str, Entry(FIXED, lambda network: network.guides)] = "vgg16"
    tap: Depth | None = None
    """One layer of the loss network in place of the several that its record names."""

    @property
    def fixed(self) -> dict[str, tuple[str, ...]]:
        return {self.loss_network: FIXED[self.loss_network].style(self.tap)}

    def measure(self, targets: Targets) -> tuple[dict[str, float], dict[str, Tensor]]:
        ((network, layers),) = self.fixed.items()
        grams = {layer: losses.gram(values) for layer, values in targets.maps(network, layers).items()}
        scale = {layer: float(gram.square().sum(dim=(1, 2)).mean()) for layer, gram in grams.items()}
        return scale, {layer: gram.mean(0, keepdim=True) for layer, gram in grams.items()}

    def loss(self, scene: Scene) -> Tensor:
        scale, domain = scene.known(self)
        maps_hat = scene.maps_hat(self.loss_network)
        maps = scene.maps(self.loss_network) if scene.paired else {}
        style = {layer: losses.gram(maps[layer]) for layer in scale} if scene.paired else domain
        return losses.style_reconstruction({layer: losses.gram(maps_hat[layer]) for layer in scale}, style, scale)


class LPIPS(Term):
    """As the ``lpips`` package has it, version 0.1."""

    about = About(title="LPIPS(y, G(x))", citation="Zhang et al. 2018, eq. 1")
    net: Literal["alex", "vgg", "squeeze"] = "vgg"

    @property
    def seen_through(self) -> tuple[str, ...]:
        return (lpips.TRUNKS[self.net],)

    def measure(self, targets: Targets) -> nn.Module:
        return lpips.load(self.net).to(targets.images.device)

    def loss(self, scene: Scene) -> Tensor:
        with torch.autocast(scene.x.device.type, enabled=False):
            images = [each.float().expand(-1, 3, -1, -1) for each in (scene.y_hat, scene.y)]
            return cast("Tensor", scene.known(self)(*images).mean())


class Adversarial(Term, Refinements):
    """The game against a PatchGAN. D's loss is halved."""

    about = About(title="D(G(x))", citation="Goodfellow et al. 2014, eq. 1; Isola et al. 2017, eq. 1")
    form: Annotated[str, Entry(ADVERSARIAL)] = "vanilla"
    conditional: bool = True
    """Whether D sees x beside y, which needs pairs."""
    pool: Annotated[int, Field(ge=0)] = 0
    """Past outputs among which D's fakes are chosen (Zhu et al. 2017, section 4: 50); 0: the present ones. Not with a condition."""

    @property
    def needs_pairs(self) -> bool:
        return self.conditional

    def loss(self, scene: Scene) -> Tensor:
        game = Game(self.form, self)
        return sum_of([game.generator(each.D, each.fake, scene.noise, each.given) for each in scene.opponents])


class FeatureMatching(Term):
    """D's own maps of ŷ and of y; needs ``adversarial``."""

    about = About(title="‖D(y) − D(G(x))‖₁", citation="Wang et al. 2018, eq. 4")

    def loss(self, scene: Scene) -> Tensor:
        first = scene.opponents[0]

        def maps(images: Tensor) -> list[Tensor]:
            seen = images if first.given is None else torch.cat([first.given, images], dim=1)
            found: list[Tensor] = cast("PatchGAN", first.D).features(seen)
            return found

        with torch.no_grad():
            real = maps(first.real)
        return losses.feature_matching(maps(first.fake), real)


class Cycle(Term):
    """With a second generator F: B → A, which minimises the same with the sides exchanged."""

    about = About(title="(E‖F(G(x)) − x‖₁ + E‖G(F(y)) − y‖₁)", citation="Zhu et al. 2017, eq. 2")
    compares = False

    def loss(self, scene: Scene) -> Tensor:
        assert scene.F is not None
        return losses.mae(scene.F(scene.y_hat, scene.noise), scene.x) + losses.mae(scene.G(scene.x_hat, scene.noise), scene.y)


class Identity(Term):
    """For G, and for F where there is one (``cycle``)."""

    about = About(title="E‖G(y) − y‖₁", citation="Zhu et al. 2017, section 5.2")
    compares = False

    def loss(self, scene: Scene) -> Tensor:
        found = losses.mae(scene.G(scene.y, scene.noise), scene.y)
        return found if scene.F is None else found + losses.mae(scene.F(scene.x, scene.noise), scene.x)


TERMS: dict[str, type[Term]] = {
    "adversarial": Adversarial,
    "l1": L1,
    "l2": L2,
    "charbonnier": Charbonnier,
    "ssim": SSIM,
    "ms_ssim": MSSSIM,
    "gradient_difference": GradientDifference,
    "focal_frequency": FocalFrequency,
    "perceptual": Perceptual,
    "style": Style,
    "lpips": LPIPS,
    "feature_matching": FeatureMatching,
    "cycle": Cycle,
    "identity": Identity,
    "tv": TV,
}
"""By their names in ``params.yaml``; a mixture's terms are added in this order."""


def sum_of(values: list[Tensor]) -> Tensor:
    """The scalars' sum; one alone stays as it is."""
    return values[0] if len(values) == 1 else torch.stack(values).sum()


def _settings(given: Any) -> Any:
    """A number is the weight. (A boolean is none.)"""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return {"weight": float(given)}
    if not isinstance(given, dict | Term | None):
        raise ValueError(f"found {given!r}, expected a weight, or a mapping with a weight and other settings")
    return given


Terms: Any = create_model(
    "Terms",
    __base__=Model,
    **{name: (Annotated[term | None, BeforeValidator(_settings)], None) for name, term in TERMS.items()},  # type: ignore[call-overload]
)
"""Those of one mixture: a field a term, None where it isn't listed."""
