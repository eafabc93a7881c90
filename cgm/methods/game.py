"""The game of a generator against a discriminator: the loss's form, a penalty on D's gradient, and what D sees of an image.

    min_D  E l(real: D(T(y))) + E l(fake: D(T(ŷ))) + γ/2 E‖∇_y D(T(y))‖²        min_G  E l(G: D(T(ŷ)))

l one of :data:`~cgm.methods.losses.ADVERSARIAL`; γ the weight of R1 (Mescheder et al. 2018, eq. 9), T differentiable augmentation (Zhao et
al. 2020, section 3.3). With γ = 0 and no T, the defaults, it is the game of the papers before them. Methods whose D plays another game
(several at once, or a relativistic one) take γ and T from :class:`Refined`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from cgm.core.lazy import torch
from cgm.core.registry import Entry
from cgm.core.settings import Model, NonNegative
from cgm.methods import augmentation, losses
from cgm.methods.losses import ADVERSARIAL

if TYPE_CHECKING:
    from torch import Tensor, nn

Augmentation = Literal["color", "translation", "cutout"]


class Refinements(Model):
    """What came after the first GANs."""

    r1: NonNegative = 0.0
    """γ."""
    diffaugment: Annotated[tuple[Augmentation, ...], Field(strict=False)] = ()
    """T: the policies of differentiable augmentation, for real and generated images alike."""


class GameSettings(Refinements):
    """What every adversarial method may be told beside its paper's own settings."""

    adversarial: Annotated[str, Entry(ADVERSARIAL)] = "vanilla"


@dataclass(frozen=True)
class Judged:
    """What D says in its own step; scalars."""

    real: Tensor
    fake: Tensor
    penalty: dict[str, Tensor]
    """``r1``, γ/2 times the squared gradient, where γ > 0."""
    accuracy: Tensor


class Refined:
    """What D sees of images, and the penalty on its gradient. It has no networks and no state of its own."""

    def __init__(self, settings: Refinements) -> None:
        self._gamma, self._policies = settings.r1, settings.diffaugment

    def real(self, y: Tensor) -> Tensor:
        """Real images, as :meth:`penalty` needs them: D is to be shown these."""
        return y.detach().requires_grad_() if self._gamma else y

    def transform(self, y: Tensor, noise: torch.Generator) -> Callable[[Tensor, Tensor | None], Tensor]:
        """T, drawn now, for images N×C×H×W like ``y``: what D sees of such images and of their conditions, or None, moved and cut alike."""
        change = augmentation.drawn(self._policies, len(y), (y.shape[2], y.shape[3]), y.device, noise)
        return lambda images, given: change(images if given is None else torch.cat([given, images], dim=1), y.shape[1])

    def seen(self, y: Tensor, given: Tensor | None, noise: torch.Generator) -> Tensor:
        """N×C×H×W, or N×2C×H×W with the condition: a T of its own."""
        return self.transform(y, noise)(y, given)

    def penalty(self, logits: Tensor, y: Tensor) -> dict[str, Tensor]:
        """``r1``, γ/2 times the squared gradient of D's ``logits`` at :meth:`real` images ``y``, where γ > 0."""
        return {"r1": self._gamma / 2 * losses.gradient_penalty(logits, y)} if self._gamma else {}


class Game(Refined):
    """The game by its settings."""

    def __init__(self, form: str, settings: Refinements) -> None:
        """``form``: one of :data:`~cgm.methods.losses.ADVERSARIAL`."""
        super().__init__(settings)
        self.form = ADVERSARIAL[form]()

    def judge(
        self, D: nn.Module, y: Tensor, y_hat: Tensor, noise: torch.Generator, given: Tensor | None = None, *, of: Tensor | None = None
    ) -> Judged:
        """D's side. ``y``, ``y_hat``: real and generated images N×C×H×W in [-1, 1], the latter detached. ``given``: the condition that D
        sees in front of each, or None. ``of``: the condition of ``y_hat``, where it is another than that of ``y``."""
        y = self.real(y)
        real = D(self.seen(y, given, noise))
        fake = D(self.seen(y_hat, given if of is None else of, noise))
        return Judged(self.form.real(real), self.form.fake(fake), self.penalty(real, y), self.form.accuracy(real, fake))

    def generator(self, D: nn.Module, y_hat: Tensor, noise: torch.Generator, given: Tensor | None = None) -> Tensor:
        """G's side; D is to be frozen."""
        return self.form.generator(D(self.seen(y_hat, given, noise)))
