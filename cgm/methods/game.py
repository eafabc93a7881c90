"""The game of a generator against one discriminator: the loss's form, a penalty on D's gradient, and what D sees of an image.

    min_D  E l(real: D(T(y))) + E l(fake: D(T(ŷ))) + γ/2 E‖∇_y D(T(y))‖²        min_G  E l(G: D(T(ŷ)))

l one of :data:`~cgm.methods.losses.ADVERSARIAL`; γ the weight of R1 (Mescheder et al. 2018, eq. 9), T differentiable augmentation (Zhao et
al. 2020, section 3.3). With γ = 0 and no T, the defaults, it is the game of the papers before them.
"""

from __future__ import annotations

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


class Game:
    """The game by its settings; it has no networks and no state of its own."""

    def __init__(self, form: str, settings: Refinements) -> None:
        """``form``: one of :data:`~cgm.methods.losses.ADVERSARIAL`."""
        self.form = ADVERSARIAL[form]()
        self._gamma, self._policies = settings.r1, settings.diffaugment

    def judge(
        self, D: nn.Module, y: Tensor, y_hat: Tensor, noise: torch.Generator, given: Tensor | None = None, *, of: Tensor | None = None
    ) -> Judged:
        """D's side. ``y``, ``y_hat``: real and generated images N×C×H×W in [-1, 1], the latter detached. ``given``: the condition that D
        sees in front of each, or None. ``of``: the condition of ``y_hat``, where it is another than that of ``y``."""
        if self._gamma:
            y = y.detach().requires_grad_()
        real = D(self._seen(y, given, noise))
        fake = D(self._seen(y_hat, given if of is None else of, noise))
        penalty = {"r1": self._gamma / 2 * losses.gradient_penalty(real, y)} if self._gamma else {}
        return Judged(self.form.real(real), self.form.fake(fake), penalty, self.form.accuracy(real, fake))

    def generator(self, D: nn.Module, y_hat: Tensor, noise: torch.Generator, given: Tensor | None = None) -> Tensor:
        """G's side; D is to be frozen."""
        return self.form.generator(D(self._seen(y_hat, given, noise)))

    def _seen(self, y: Tensor, given: Tensor | None, noise: torch.Generator) -> Tensor:
        """N×C×H×W, or N×2C×H×W with the condition, moved and cut alike."""
        seen = y if given is None else torch.cat([given, y], dim=1)
        return augmentation.augmented(seen, self._policies, y.shape[1], noise) if self._policies else seen
