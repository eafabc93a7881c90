"""CycleGAN.

    min_{G,F}  E(D_B(G(x)) − 1)² + E(D_A(F(y)) − 1)² + λ [E‖F(G(x)) − x‖₁ + E‖G(F(y)) − y‖₁] + λ_id [E‖G(y) − y‖₁ + E‖F(x) − x‖₁]
    min_D      ½ [E(D(real) − 1)² + E D(fake)²]   for each of D_A, D_B, fakes from a pool of 50

x from domain A, y from domain B, unaligned; G: A → B, F: B → A. λ = 10; λ_id = 0.5 λ where the paper has the identity term at all.
Source: Zhu et al. 2017, eq. 1–3, section 4 (least squares, pool) and 5.2 (identity loss).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from cgm.core.lazy import torch
from cgm.core.registry import About, Entry, Part
from cgm.core.seeds import numpy_stream
from cgm.core.settings import NonNegative
from cgm.methods import losses
from cgm.methods.game import Game, GameSettings
from cgm.methods.losses import ADVERSARIAL
from cgm.methods.method import Method, Shown, Supervision, TranslatorSettings, Update, frozen
from cgm.methods.paper import CYCLEGAN
from cgm.methods.pool import ImagePool
from cgm.networks import GENERATORS

if TYPE_CHECKING:
    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder


class CycleGAN(Method):
    """ŷ = G(x); F brings it back."""

    about = About(
        title="CycleGAN",
        citation="Zhu et al. 2017, eq. 3",
        objective=(
            Part(text="D(G(x))", adversarial=True),
            Part(text="(E‖F(G(x)) − x‖₁ + E‖G(F(y)) − y‖₁)", weight="cycle_weight", symbol="λ"),
            Part(text="(E‖G(y) − y‖₁ + E‖F(x) − x‖₁)", weight="identity_weight", symbol="λ_id"),
        ),
        differences=(
            "F minimises the same with A and B exchanged.",
            "The budget counts images that G sees as x; F sees as many, so a step costs two generators.",
            "The identity term (λ_id) is the paper's for painting → photo alone; its equation 3 has none.",
        ),
        paper={**CYCLEGAN, "cycle_weight": 10.0, "identity_weight": 0.0, "cycle": "both", "pool_size": 50},
    )

    class Settings(TranslatorSettings, GameSettings):
        generator: Annotated[str, Entry(GENERATORS)] = "resnet"
        adversarial: Annotated[str, Entry(ADVERSARIAL)] = "lsgan"
        cycle_weight: NonNegative = 10.0
        identity_weight: NonNegative = 5.0
        """λ_id. The paper: 0.5 λ for painting → photo, 0 elsewhere."""
        cycle: Literal["both", "forward", "backward"] = "both"
        """Which cycles count: ``forward`` is A → B → A alone, ‖F(G(x)) − x‖₁, ``backward`` the other (the ablation of tables 4 and 5)."""
        pool_size: Annotated[int, Field(ge=0)] = 50

    needs_pairs = False
    cost = 8.0

    @classmethod
    def objective(cls, settings: Settings) -> list[Shown]:
        alone = {"forward": "E‖F(G(x)) − x‖₁", "backward": "E‖G(F(y)) − y‖₁"}
        shown = super().objective(settings)
        return [replace(part, text=alone[settings.cycle]) if part.symbol == "λ" and settings.cycle in alone else part for part in shown]

    @property
    def supervision(self) -> Supervision:
        return "unpaired"

    def build(self, networks: Builder) -> None:
        D_A, D_B = networks.patchgan(), networks.patchgan()
        self.game = Game(self.settings.adversarial, self.settings)
        self.player("G", G=networks.generator(self.settings.generator), F=networks.generator(self.settings.generator))
        self.player("D", D_A=D_A, D_B=D_B)
        self.receptive_field = D_B.receptive_field

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        self.pool_A, self.pool_B = (ImagePool(self.settings.pool_size, numpy_stream(rng, f"pool {side}"), device) for side in "AB")
        self.buffers.update({"pool_A": self.pool_A, "pool_B": self.pool_B})

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        x, y, noise = batch.x, batch.y, batch.noise
        G, F = self.players["G"]["G"], self.players["G"]["F"]
        D_A, D_B = self.players["D"]["D_A"], self.players["D"]["D_B"]
        game, cycle, identity = self.game, self.settings.cycle_weight, self.settings.identity_weight

        y_hat, x_hat = G(x, noise), F(y, noise)
        with frozen(D_A, D_B):
            terms = {"adversarial_AB": game.generator(D_B, y_hat, noise), "adversarial_BA": game.generator(D_A, x_hat, noise)}
            if cycle and self.settings.cycle != "backward":
                terms["cycle_A"] = cycle * losses.mae(F(y_hat, noise), x)
            if cycle and self.settings.cycle != "forward":
                terms["cycle_B"] = cycle * losses.mae(G(x_hat, noise), y)
            if identity:
                terms["identity"] = identity * (losses.mae(G(y, noise), y) + losses.mae(F(x, noise), x))
            update("G", terms)

        past_A, past_B = self.pool_A.query(x_hat.detach()), self.pool_B.query(y_hat.detach())
        on_A, on_B = game.judge(D_A, x, past_A, noise), game.judge(D_B, y, past_B, noise)
        terms = {"real_A": 0.5 * on_A.real, "fake_A": 0.5 * on_A.fake, "real_B": 0.5 * on_B.real, "fake_B": 0.5 * on_B.fake}
        penalties = {f"{name}_{side}": value for side, on in (("A", on_A), ("B", on_B)) for name, value in on.penalty.items()}
        update("D", {**terms, **penalties})
        return {"accuracy/D": torch.stack([on_A.accuracy, on_B.accuracy]).mean()}
