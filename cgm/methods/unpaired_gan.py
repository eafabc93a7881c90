"""Unpaired GAN without cycle consistency: CycleGAN's ablation “GAN alone”.

    min_G  E(D(G(x)) − 1)²        min_D  ½ [E(D(y) − 1)² + E D(G(x))²],   fakes from a pool of 50

x from domain A, y from domain B, unaligned; D a PatchGAN on B.
Source: Zhu et al. 2017, eq. 1 in its least-squares form (section 4) and table 4 (“GAN alone”); Mao et al. 2017, eq. 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cgm.core.registry import About, Entry, Part
from cgm.core.seeds import numpy_stream
from cgm.methods.game import Game, GameSettings
from cgm.methods.losses import ADVERSARIAL
from cgm.methods.method import Method, Supervision, TranslatorSettings, Update, frozen
from cgm.methods.paper import CYCLEGAN
from cgm.methods.pool import ImagePool
from cgm.networks import GENERATORS

if TYPE_CHECKING:
    import torch

    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder


class UnpairedGAN(Method):
    """ŷ = G(x), only to be told from B by D."""

    about = About(
        title="unpaired GAN (no cycle)",
        citation="Zhu et al. 2017, eq. 1",
        objective=(Part(text="D(G(x))", adversarial=True),),
        paper={**CYCLEGAN, "pool_size": 50},
    )

    class Settings(TranslatorSettings, GameSettings):
        generator: Annotated[str, Entry(GENERATORS)] = "resnet"
        adversarial: Annotated[str, Entry(ADVERSARIAL)] = "lsgan"
        pool_size: Annotated[int, Field(ge=0)] = 50

    needs_pairs = False
    cost = 1.8

    @property
    def supervision(self) -> Supervision:
        return "unpaired"

    def build(self, networks: Builder) -> None:
        D = networks.patchgan()
        self.game = Game(self.settings.adversarial, self.settings)
        self.player("G", G=networks.generator(self.settings.generator))
        self.player("D", D=D)
        self.receptive_field = D.receptive_field

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        self.buffers["pool"] = self.pool = ImagePool(self.settings.pool_size, numpy_stream(rng, "pool"), device)

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        D, noise = self.players["D"]["D"], batch.noise
        y_hat = self.generator(batch.x, noise)
        with frozen(D):
            update("G", {"adversarial": self.game.generator(D, y_hat, noise)})
        judged = self.game.judge(D, batch.y, self.pool.query(y_hat.detach()), noise)
        update("D", {"real": 0.5 * judged.real, "fake": 0.5 * judged.fake, **judged.penalty})
        return {"accuracy/D": judged.accuracy}
