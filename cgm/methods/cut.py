"""CUT: contrastive unpaired translation, without a way back.

    min_{G,H}  E(D(G(x)) − 1)² + λ_X L_NCE(x, G(x)) + λ_Y L_NCE(y, G(y))        min_D  ½ [E(D(y) − 1)² + E D(G(x))²]
    L_NCE(a, b) = E_l,s −log [exp(q·k_s/τ) / Σ_s' exp(q·k_s'/τ)],   q = H_l(G_l(b))_s,  k_s' = H_l(G_l(a))_s'

x from domain A, y from domain B, unaligned; G_l maps of G's own encoder, H_l a perceptron of two layers for each, s positions of an image:
a patch of the output is to be nearer to the input's patch at its place than to the input's other patches. λ_X = λ_Y = 1, τ = 0.07.
Source: Park et al. 2020, eq. 1 (least squares as in section 4), 3–5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cgm.core.lazy import torch
from cgm.core.registry import About, Entry, Part
from cgm.core.settings import Count, NonNegative, Positive
from cgm.methods import losses
from cgm.methods.game import Game, GameSettings
from cgm.methods.losses import ADVERSARIAL
from cgm.methods.method import Method, Supervision, TranslatorSettings, Update, frozen
from cgm.methods.paper import CUT as PAPER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder

WIDTH = 256
"""Of the heads: section 4 of the paper."""
OBJECTIVE = (
    Part(text="D(G(x))", adversarial=True),
    Part(text="L_NCE(x, G(x))", weight="nce_weight", symbol="λ_X"),
    Part(text="L_NCE(y, G(y))", weight="identity_weight", symbol="λ_Y"),
)
DIFFERENCES = (
    "G's layers for halving and doubling are CycleGAN's; the published code blurs in both. Of fewer than five residual blocks the last "
    "takes the fifth's place.",
    "The heads take their step first, and G's terms are computed with the new ones; in the published code both follow one gradient.",
    "L_NCE is a mean over layers and positions, as in the published code; the paper adds them.",
)


class CUT(Method):
    """ŷ = G(x); what a patch shows must tell of the patch that it was made of."""

    about = About(
        title="CUT",
        citation="Park et al. 2020, eq. 5",
        objective=OBJECTIVE,
        differences=(*DIFFERENCES, "λ_X and λ_Y weigh as in the paper; the published code halves both."),
        paper={**PAPER, "nce_weight": 1.0, "identity_weight": 1.0},
    )

    class Settings(TranslatorSettings, GameSettings):
        generator: Literal["resnet"] = "resnet"
        """The one whose maps can be asked for."""
        adversarial: Annotated[str, Entry(ADVERSARIAL)] = "lsgan"
        nce_weight: NonNegative = 1.0
        """λ_X."""
        identity_weight: NonNegative = 1.0
        """λ_Y."""
        temperature: Positive = 0.07
        """τ."""
        positions: Count = 256
        """s, drawn anew for each layer and step; at most as many as the map has."""

    needs_pairs = False
    cost = 10.0

    @property
    def supervision(self) -> Supervision:
        return "unpaired"

    def build(self, networks: Builder) -> None:
        G: Any = networks.generator(self.settings.generator)
        D = networks.patchgan()
        self.game = Game(self.settings.adversarial, self.settings)
        self.player("G", G=G)
        self.player("D", D=D)
        self.player("H", H=networks.heads(G.encoder_channels, WIDTH))
        self.receptive_field = D.receptive_field

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        x, y, count = batch.x, batch.y, len(batch.x)
        G: Any = self.generator
        D, H, noise = self.players["D"]["D"], self.players["H"]["H"], batch.noise
        inputs = torch.cat([x, y]) if self.settings.identity_weight else x
        outputs, maps = G.translate_and_encode(inputs)
        y_hat, maps_hat = outputs[:count], G.encode(outputs)
        places = [self._places(h[0, 0].numel(), noise, h.device) for h in maps]

        judged = self.game.judge(D, y, y_hat.detach(), noise)
        update("D", {"real": 0.5 * judged.real, "fake": 0.5 * judged.fake, **judged.penalty})
        update("H", self._nce(_detached(maps_hat), maps, places, count))
        with frozen(D, H):
            update("G", {"adversarial": self.game.generator(D, y_hat, noise), **self._nce(maps_hat, maps, places, count)})
        return {"accuracy/D": judged.accuracy}

    def _places(self, size: int, noise: torch.Generator, device: torch.device) -> torch.Tensor:
        """Positions of a map of ``size`` pixels, each at most once."""
        return torch.rand(size, generator=noise, device=device).argsort()[: self.settings.positions]

    def _nce(
        self, maps_hat: Sequence[torch.Tensor], maps: Sequence[torch.Tensor], places: Sequence[torch.Tensor], count: int
    ) -> dict[str, torch.Tensor]:
        """The terms of x, the first ``count`` images, and of y, the others: ``maps`` of inputs, ``maps_hat`` of outputs."""
        settings, H = self.settings, self.players["H"]["H"]
        queries = H(maps_hat, places)
        with torch.no_grad():
            keys = H(maps, places)
        found = {}
        for name, part, weight in (
            ("nce", slice(None, count), settings.nce_weight),
            ("identity", slice(count, None), settings.identity_weight),
        ):
            if weight:
                layers = [losses.patch_nce(q[part], k[part], settings.temperature) for q, k in zip(queries, keys, strict=True)]
                found[name] = weight * torch.stack(layers).mean()
        return found


def _detached(maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [h.detach() for h in maps]
