"""CycleGAN.

    min_{G,F}  E(D_B(G(x)) − 1)² + E(D_A(F(y)) − 1)² + λ [E‖F(G(x)) − x‖₁ + E‖G(F(y)) − y‖₁] + λ_id [E‖G(y) − y‖₁ + E‖F(x) − x‖₁]
    min_D      ½ [E(D(real) − 1)² + E D(fake)²]   for each of D_A, D_B, fakes from a pool of 50

x from domain A, y from domain B, unaligned; G: A → B, F: B → A. λ = 10; λ_id = 0.5 λ where the paper has the identity term at all.
Source: Zhu et al. 2017, eq. 1–3, section 4 (least squares, pool) and 5.2 (identity loss).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cgm.core.lazy import torch
from cgm.core.registry import About, Entry, Part
from cgm.core.seeds import numpy_stream
from cgm.core.settings import NonNegative
from cgm.methods import losses
from cgm.methods.losses import ADVERSARIAL
from cgm.methods.method import Method, Supervision, TranslatorSettings, Update, frozen
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
        paper={**CYCLEGAN, "cycle_weight": 10.0, "identity_weight": 0.0, "pool_size": 50},
    )

    class Settings(TranslatorSettings):
        generator: Annotated[str, Entry(GENERATORS)] = "resnet"
        adversarial: Annotated[str, Entry(ADVERSARIAL)] = "lsgan"
        cycle_weight: NonNegative = 10.0
        identity_weight: NonNegative = 5.0
        """λ_id. The paper: 0.5 λ for painting → photo, 0 elsewhere."""
        pool_size: Annotated[int, Field(ge=0)] = 50

    needs_pairs = False
    cost = 8.0

    @property
    def supervision(self) -> Supervision:
        return "unpaired"

    def build(self, networks: Builder) -> None:
        D_A, D_B = networks.patchgan(), networks.patchgan()
        self.adversarial = ADVERSARIAL[self.settings.adversarial]()
        self.player("G", G=networks.generator(self.settings.generator), F=networks.generator(self.settings.generator))
        self.player("D", D_A=D_A, D_B=D_B)
        self.receptive_field = D_B.receptive_field

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        self.pool_A, self.pool_B = (ImagePool(self.settings.pool_size, numpy_stream(rng, f"pool {side}"), device) for side in "AB")
        self.buffers.update({"pool_A": self.pool_A, "pool_B": self.pool_B})

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        x, y = batch.x, batch.y
        G, F = self.players["G"]["G"], self.players["G"]["F"]
        D_A, D_B = self.players["D"]["D_A"], self.players["D"]["D_B"]
        adversarial, cycle, identity = self.adversarial, self.settings.cycle_weight, self.settings.identity_weight

        y_hat, x_hat = G(x, batch.noise), F(y, batch.noise)
        with frozen(D_A, D_B):
            terms = {"adversarial_AB": adversarial.generator(D_B(y_hat)), "adversarial_BA": adversarial.generator(D_A(x_hat))}
            if cycle:
                terms["cycle_A"] = cycle * losses.mae(F(y_hat, batch.noise), x)
                terms["cycle_B"] = cycle * losses.mae(G(x_hat, batch.noise), y)
            if identity:
                terms["identity"] = identity * (losses.mae(G(y, batch.noise), y) + losses.mae(F(x, batch.noise), x))
            update("G", terms)

        past_A, past_B = self.pool_A.query(x_hat.detach()), self.pool_B.query(y_hat.detach())
        real_A, fake_A, real_B, fake_B = D_A(x), D_A(past_A), D_B(y), D_B(past_B)
        update(
            "D",
            {
                "real_A": 0.5 * adversarial.real(real_A),
                "fake_A": 0.5 * adversarial.fake(fake_A),
                "real_B": 0.5 * adversarial.real(real_B),
                "fake_B": 0.5 * adversarial.fake(fake_B),
            },
        )
        return {"accuracy/D": torch.stack([adversarial.accuracy(real_A, fake_A), adversarial.accuracy(real_B, fake_B)]).mean()}
