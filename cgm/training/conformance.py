"""What every method must do, ours or a user's: checks on small networks and 32 px, each of which says in a sentence what is wrong.

A check takes a :class:`~cgm.training.subject.Subject` and raises :class:`Fault`. ``tests/conformance`` holds the project's methods against
them, and ``cgm check-method`` whatever it is given.
"""

from __future__ import annotations

import copy
import io
import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress

import numpy as np
import safetensors.torch
import torch
from torch import nn

from cgm.core import own
from cgm.core.errors import UserError
from cgm.data.batches import Batch
from cgm.methods import models
from cgm.methods.method import Update
from cgm.training.subject import CPU, SHORT, Subject, batch, colour_distance, error, fit, outputs, state, step, terms_of
from cgm.training.trainer import Trainer

LONG, CUT = 64, 7
"""Steps of a long training, and after how many a short one is killed."""
FITTED = 120
"""Steps on the same eight images."""
LEFT = {"pixels": 0.5, "loss": 0.8, "colour": 0.6}
"""What these steps may leave of the distance that there was before."""


class Fault(Exception):
    """What a method does wrong, and how to mend it, in a sentence."""


def builds(subject: Subject) -> None:
    """build makes a player G with a network G; every player has something to learn."""
    method = subject.build()
    if "G" not in method.players or "G" not in method.players["G"]:
        raise Fault('build made no network G of a player G; it has to call self.player("G", G=…), and translate uses that network')
    for player, networks in method.players.items():
        if not any(parameter.requires_grad for parameter in networks.parameters()):
            raise Fault(f"the player {player} has no parameter to learn; leave it out, or give it a network")


def translates(subject: Subject) -> None:
    """Outputs have the conditions' shape, are float32 in [-1, 1], and depend on the noise only where the class says so."""
    method = subject.build()
    method.generator.eval()
    x = batch().x
    with torch.no_grad():
        first, again, other = (method.translate(x.clone(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    if first.shape != x.shape:
        raise Fault(f"translate gave shape {tuple(first.shape)} for conditions of {tuple(x.shape)}; it has to be the same")
    if first.dtype != torch.float32:
        raise Fault(f"translate gave {first.dtype}; expected torch.float32")
    if not bool(first.isfinite().all()):
        raise Fault("translate gave values that are not finite from the first weights; look for a division, a root or a logarithm of 0")
    if (most := float(first.abs().max())) > 1:
        raise Fault(f"translate gave values up to {most:.3g}; expected -1 to 1, so end the generator in Tanh")
    if not torch.equal(first, again):
        raise Fault("translate gave two outputs for the same x and the same noise; draw from the generator `noise` and from nothing else")
    if torch.equal(first, other) == method.stochastic:
        found, remedy = ("the same outputs", "False") if method.stochastic else ("other outputs", "True")
        raise Fault(f"another noise gave {found}, but the class says stochastic = {method.stochastic}; write stochastic = {remedy}")


def steps(subject: Subject) -> None:
    """A step updates each player once, on scalars that are finite."""
    method = subject.build()
    seen: list[str] = []

    def look(player: str, terms: Mapping[str, torch.Tensor]) -> None:
        if player not in method.players:
            raise Fault(f"step updates a player {player!r} that build didn't make; it made {', '.join(method.players)}")
        if not isinstance(terms, Mapping) or not terms:
            given = "no term" if isinstance(terms, Mapping) else type(terms).__name__
            raise Fault(f"update({player!r}, …) is given {given}, expected a dictionary of scalars, such as {{'l1': …}}")
        for name, value in terms.items():
            if value.dim():
                raise Fault(f"the term {name!r} of {player} has shape {tuple(value.shape)}, expected a scalar; take its mean")
            if not bool(value.isfinite()):
                raise Fault(
                    f"the term {name!r} of {player} is {value.item():g} in the first step; look for a division, root or logarithm of 0"
                )
        seen.append(player)

    observed = step(method, batch(), look)
    if lacking := [player for player in method.players if player not in seen]:
        raise Fault(f"step never updates {lacking[0]}; call update({lacking[0]!r}, …), or leave the player out")
    if twice := [player for player in seen if seen.count(player) > 1]:
        raise Fault(f"step updates {twice[0]} {seen.count(twice[0])} times; hand all of its terms to one update")
    if not isinstance(observed, dict):
        raise Fault(f"step returned {type(observed).__name__}; expected a dictionary of scalars for the history, or {{}}")


def owns_gradients(subject: Subject) -> None:
    """In a player's update all of its parameters collect gradients, and nobody else's."""
    method = subject.build()
    learning = {player: [p for p in networks.parameters() if p.requires_grad] for player, networks in method.players.items()}

    def look(player: str, terms: Mapping[str, torch.Tensor]) -> None:
        for networks in method.players.values():
            networks.zero_grad(set_to_none=True)
        total = torch.stack(list(terms.values())).sum()
        if total.requires_grad:
            total.backward(retain_graph=True)
        reached = {name: sum(p.grad is not None for p in parameters) for name, parameters in learning.items()}
        others = [name for name, count in reached.items() if count and name != player]
        if not reached[player] and others:
            raise Fault(f"update({player!r}, …) is given a loss that depends on {others[0]} alone; hand it to update({others[0]!r}, …)")
        if not reached[player]:
            raise Fault(
                f"no gradient of the loss reaches {player}; look for .detach(), .data, torch.no_grad() or a rounding between its network "
                f"and update({player!r}, …)"
            )
        if others:
            raise Fault(
                f"the loss of {player} gives gradients to {others[0]} too; put the step of {player} into `with frozen(…):` (from "
                f"cgm.methods.method) with the networks of {others[0]}, or detach what {others[0]} made"
            )
        if reached[player] < len(learning[player]):
            raise Fault(
                f"{len(learning[player]) - reached[player]} of {len(learning[player])} parameters of {player} get no gradient; leave out "
                "layers that the loss doesn't use, or freeze them in build with requires_grad_(False)"
            )

    step(method, batch(), look)


def descends(subject: Subject) -> None:
    """A small step against the gradient lowers the loss of each player."""
    for player in subject.build().players:
        method = subject.build()
        networks = method.players[player]
        before = sum(terms_of(method, batch())[player].values())
        kept = copy.deepcopy({key: buffer.state_dict() for key, buffer in method.buffers.items()})

        def descend(who: str, terms: Mapping[str, torch.Tensor], player: str = player, networks: nn.ModuleDict = networks) -> None:
            if who != player:
                return
            learning = [parameter for parameter in networks.parameters() if parameter.requires_grad]
            gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), learning)
            length = math.sqrt(sum(float(g.square().sum()) for g in gradients))
            if not 0 < length < math.inf:
                raise Fault(f"the gradient of {player} has length {length:g} at its first weights; its loss can't teach it anything")
            with torch.no_grad():
                for parameter, gradient in zip(learning, gradients, strict=True):
                    parameter.sub_(1e-3 * gradient / length)

        step(method, batch(), descend)
        for key, buffer in method.buffers.items():
            buffer.load_state_dict(kept[key])
        after = sum(terms_of(method, batch())[player].values())
        if not after < before:
            raise Fault(
                f"a small step against its gradient took the loss of {player} from {before:.6g} to {after:.6g}; the loss that is computed "
                "is not the one that is differentiated, or it draws other noise each time"
            )


def keeps_inputs(subject: Subject) -> None:
    """Neither step nor translate writes into the pictures that it is given."""
    method, given = subject.build(), batch()
    fresh = batch()
    step(method, given, lambda player, terms: None)
    for side, before, after in (("x", fresh.x, given.x), ("y", fresh.y, given.y)):
        if not torch.equal(before, after):
            raise Fault(f"step changes batch.{side} in place; look for +=, .mul_(), x[…] = … and the like, and work on a new tensor")
    method.generator.eval()
    with torch.no_grad():
        method.translate(given.x, given.noise)
    if not torch.equal(fresh.x, given.x):
        raise Fault("translate changes x in place; look for +=, .mul_(), x[…] = … and the like, and work on a new tensor")


def keeps_global_streams(subject: Subject) -> None:
    """Neither step nor translate draws from a global random stream, or seeds it.

    (Layers draw their first weights there when they are made. Whether that matters, :func:`repeats` finds.)
    """
    with streams_restored():
        for part, act in (("step", _one_step(subject)), ("translate", _one_translation(subject))):
            before = _streams()
            act()
            after = _streams()
            if changed := [name for name, value in before.items() if value != after[name]]:
                raise Fault(
                    f"{part} draws from the global stream of {changed[0]}, or seeds it; draw from batch.noise (torch.rand(…, generator="
                    "noise)), not with nn.Dropout, torch.randn_like or random, so that a run can be repeated"
                )


def _one_step(subject: Subject) -> Callable[[], object]:
    method = subject.build()
    return lambda: step(method, batch(), lambda player, terms: None)


def _one_translation(subject: Subject) -> Callable[[], object]:
    method = subject.build()
    return lambda: outputs(method)


def _streams() -> dict[str, object]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 — it is watched, not used
    return {"torch": torch.random.get_rng_state().tolist(), "numpy": (kind, np.asarray(keys).tolist(), rest), "random": random.getstate()}


@contextmanager
def streams_restored(seed: int | None = None) -> Iterator[None]:
    """The global streams, seeded with ``seed``, and afterwards as they were."""
    numpy, python = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            if seed is not None:
                torch.manual_seed(seed)
                np.random.seed(seed)  # noqa: NPY002
                random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy)  # noqa: NPY002
        random.setstate(python)


def learns(subject: Subject) -> None:
    """After some steps on the same eight images it is closer to what its loss asks for.

    On pairs and with one player that is the targets' pixels. Without pairs its own loss has to fall. Of players against each other no
    loss needs to fall: there the mean colour of the outputs has to come towards that of the targets.
    """
    method = subject.build()
    method.generator.train()
    rate = 2e-3 if len(method.players) == 1 else 1e-3
    if len(method.players) > 1:
        before, what = colour_distance(method), "colour"
        fit(method, FITTED, rate)
        after, name = colour_distance(method), "distance of the outputs' mean colour from the targets'"
    elif method.supervision == "paired":
        before, what = error(method), "pixels"
        fit(method, FITTED, rate)
        after, name = error(method), "mean absolute error"
    else:
        history, what = fit(method, FITTED, rate), "loss"
        before, after = (sum(row["G"].values()) for row in (history[0], history[-1]))
        name = "loss of G"
    if not after < LEFT[what] * before:
        raise Fault(
            f"{FITTED} steps on the same eight images took the {name} from {before:.4g} to {after:.4g}, expected less than "
            f"{LEFT[what] * before:.4g}; look at the sign and the weight of each term"
        )


def stores_weights(subject: Subject) -> None:
    """What ``model.safetensors`` holds is all that a translation needs."""
    method, fresh = subject.build(), subject.build()
    for parameter in method.players["G"].parameters():
        parameter.data += 0.01
    stored = safetensors.torch.load(safetensors.torch.save(models.weights(method)))
    models.load_weights(fresh, stored, CPU)
    if not torch.equal(outputs(method)[0], outputs(fresh)[0]):
        raise Fault(
            "loaded weights translate otherwise than those that were saved; every tensor of G has to be a parameter or a buffer of it"
        )


def repeats(subject: Subject) -> None:
    """Two trainings of one seed end in the same bytes, whatever the global streams hold."""
    made = []
    for seed in (1, 2):
        with streams_restored(seed):
            made.append(subject.trainer(f"repeat-{seed}", SHORT))
            made[-1].train()
    if (name := _difference(*made)) is not None:
        raise Fault(
            f"two trainings of the same seed differ ({name}); draw from batch.noise, or from a generator of the seed that prepare gets, "
            "and never from time, hash() or an unseeded generator"
        )


def resumes(subject: Subject) -> None:
    """A training that is killed and goes on from its checkpoint ends in the same bytes."""
    whole, first = subject.trainer("whole", SHORT), subject.trainer("cut", SHORT, checkpoint_seconds=1e-9)
    whole.train()
    act = first.method.step

    def killed(given: Batch, update: Update) -> dict[str, torch.Tensor]:
        if first.step == CUT:
            raise KeyboardInterrupt
        return act(given, update)

    first.method.step = killed  # type: ignore[method-assign,assignment]
    with suppress(KeyboardInterrupt):
        first.train()
    second = subject.trainer("cut", SHORT)
    second.train()
    if (name := _difference(whole, second)) is not None:
        raise Fault(
            f"a training that was killed at step {CUT} and went on ends otherwise ({name}); what step remembers from one call to the next "
            "has to be a network's parameter or buffer, or an entry of self.buffers"
        )


def stays_finite(subject: Subject) -> None:
    """A longer training meets no loss that is not finite."""
    outcome = subject.trainer("long", LONG).train()
    if outcome.status != "ok":
        raise Fault(f"{outcome.reason}; keep roots, logarithms and divisions away from 0, or lower the learning rate")


def _difference(left: Trainer, right: Trainer) -> str | None:
    """Where two trainings differ; None where they are the same to the bit."""
    other = state(right)
    for name, value in state(left).items():
        if not torch.equal(value, other[name]):
            return f"in {name}"
    return None if left.history.rows == right.history.rows else "in the history"


CHECKS: dict[str, Callable[[Subject], None]] = {
    "build": builds,
    "output": translates,
    "step": steps,
    "gradients": owns_gradients,
    "descent": descends,
    "inputs": keeps_inputs,
    "randomness": keeps_global_streams,
    "learning": learns,
    "weights": stores_weights,
    "repetition": repeats,
    "resume": resumes,
    "finite": stays_finite,
}
"""By the name that is shown; each states in its docstring what it asks for."""


def fault(check: Callable[[Subject], None], subject: Subject) -> str | None:
    """What ``check`` finds wrong; None: nothing. An exception on the way is a finding too."""
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # what preparation and trainings say
            check(subject)
    except (Fault, UserError) as found:
        return str(found)
    except Exception as found:
        return own.told(found) or f"{type(found).__name__}: {' '.join(str(found).split())}"
    return None
