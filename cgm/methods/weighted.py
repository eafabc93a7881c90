"""A mixture: any weighted sum of the terms in :mod:`cgm.methods.terms`, said in ``params.yaml``.

    min_G  Σ_t λ_t L_t(G)        min_D  ½ [E l(real: D(y)) + E l(fake: D(ŷ))] + penalties,  where there is an adversarial term

``mae``, ``mse``, ``cgan``, ``gan_l1``, ``pix2pix`` and ``perceptual`` are special cases of it, to the last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from cgm.core.lazy import torch
from cgm.core.registry import About
from cgm.core.seeds import numpy_stream
from cgm.methods.game import Game
from cgm.methods.method import Method, Shown, Supervision, TranslatorSettings, Update, frozen
from cgm.methods.pool import ImagePool
from cgm.methods.terms import Adversarial, Scene, Targets, Term, Terms
from cgm.networks.fixed import FIXED, weights

if TYPE_CHECKING:
    from torch import nn

    from cgm.data.batches import Batch
    from cgm.networks.builder import Builder


class Weighted(Method):
    """ŷ = G(x); what G minimises is listed."""

    about = About(
        title="mixture",
        citation="The terms' own papers",
        differences=(
            "D's loss is halved, as in Pix2Pix. Each layer's part of a perceptual term is divided by its mean over training targets.",
            "The generator is the family's.",
        ),
    )

    class Settings(TranslatorSettings):
        terms: Terms
        """``{l1: 100, adversarial: {weight: 1, adversarial: lsgan}}``: weights, or a term's own settings."""

        @model_validator(mode="after")
        def _consistent(self) -> Any:
            listed = terms_of(self)
            if not any(term.weight for term in listed.values()):
                raise ValueError("found no term with a weight above 0, expected one or more in terms")
            if "feature_matching" in listed and "adversarial" not in listed:
                raise ValueError("terms.feature_matching: found no adversarial term, whose discriminator it looks through; add one")
            game = listed.get("adversarial")
            if isinstance(game, Adversarial) and game.conditional and game.pool:
                raise ValueError("terms.adversarial.pool: past outputs belong to other conditions; set conditional: false, or pool: 0")
            if "cycle" in listed and any(term.needs_pairs for term in listed.values()):
                raise ValueError("terms.cycle: cycles are for unpaired data, and another term needs pairs; remove one of them")
            return self

    needs_pairs = False
    cost = 2.0

    @classmethod
    def misfit(cls, settings: Settings, paired: bool) -> str:
        needing = [name for name, term in terms_of(settings).items() if term.needs_pairs]
        if paired or not needing:
            return ""
        remedy = "set conditional: false" if needing == ["adversarial"] else "remove it, or move the entry to methods"
        return f"terms.{needing[0]}: needs aligned pairs; {remedy}"

    @classmethod
    def objective(cls, settings: Settings) -> list[Shown]:
        found = []
        for name, term in terms_of(settings).items():
            form, text = (term.form, "D(x, G(x))" if term.conditional else "D(G(x))") if isinstance(term, Adversarial) else ("", "")
            found.append(Shown(text=text or term.about.title, weight=term.weight, symbol=f"λ_{name}", adversarial=form))
        return found

    @property
    def supervision(self) -> Supervision:
        return "paired" if self.dataset_paired and any(term.needs_pairs for term in self.terms.values()) else "unpaired"

    def build(self, networks: Builder) -> None:
        self.terms = {name: term for name, term in terms_of(self.settings).items() if term.weight}
        game = self.terms.get("adversarial")
        two_sided = "cycle" in self.terms
        self.player("G", **{name: networks.generator(self.settings.generator) for name in ("G", "F")[: 1 + two_sided]})
        if isinstance(game, Adversarial):
            self.stochastic = True
            self.game, self.sees_condition = Game(game.form, game), game.conditional
            sides = {name: networks.patchgan(2 if game.conditional else 1) for name in (("D_B", "D_A") if two_sided else ("D",))}
            self.player("D", **sides)
            self.receptive_field = next(iter(sides.values())).receptive_field

    @property
    def backward(self) -> nn.Module | None:
        """F: B → A, where a term cycles."""
        return self.players["G"]["F"] if "cycle" in self.terms else None

    def prepare(self, targets: torch.Tensor, device: torch.device, rng: int) -> None:
        wanted: dict[str, dict[str, None]] = {}
        for term in self.terms.values():
            for network, layers in term.fixed.items():
                wanted.setdefault(network, {}).update(dict.fromkeys(layers))
        self.layers = {network: tuple(layers) for network, layers in wanted.items()}
        self.networks = {network: FIXED[network].guide(device) for network in self.layers}
        through = dict.fromkeys(network for term in self.terms.values() for network in term.seen_through)
        self.loss_network = [{"name": network, "sha256": weights.fetch(network)[1]} for network in through]
        shown = Targets(targets, self.networks)
        self.known = {type(term).__name__: term.measure(shown) for term in self.terms.values()}
        game = self.terms.get("adversarial")
        if isinstance(game, Adversarial) and game.pool:
            for name in self.players["D"]:
                self.buffers[f"pool_{name}"] = ImagePool(game.pool, numpy_stream(rng, f"pool {name}"), device)

    def step(self, batch: Batch, update: Update) -> dict[str, torch.Tensor]:
        scene = Scene(self, batch)
        if "D" not in self.players:
            self._update_generators(scene, update)
            return {}
        found = {}
        terms: dict[str, torch.Tensor] = {}
        for name, each in zip(self.players["D"], scene.opponents, strict=True):
            fake = each.fake.detach()
            if isinstance(pool := self.buffers.get(f"pool_{name}"), ImagePool):
                fake = pool.query(fake)
            judged = found[name] = self.game.judge(each.D, each.real, fake, batch.noise, each.given)
            side = name.removeprefix("D")
            terms |= {f"real{side}": 0.5 * judged.real, f"fake{side}": 0.5 * judged.fake}
            terms |= {f"{penalty}{side}": value for penalty, value in judged.penalty.items()}
        update("D", terms)
        with frozen(*self.players["D"].values()):
            self._update_generators(scene, update)
        return {"accuracy/D": torch.stack([judged.accuracy for judged in found.values()]).mean()}

    def _update_generators(self, scene: Scene, update: Update) -> None:
        update("G", {name: term.weight * term.loss(scene) for name, term in self.terms.items()})


def terms_of(settings: Any) -> dict[str, Term]:
    """Those that are listed, by name, in the order of the table."""
    fields = type(settings.terms).model_fields
    return {name: term for name in fields if (term := getattr(settings.terms, name)) is not None}
