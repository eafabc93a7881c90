"""A method's networks outside of its training: build them, load and save their weights, translate images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

from cgm.core.errors import UserError
from cgm.core.files import replacing
from cgm.data import images
from cgm.methods import METHODS, left_weights
from cgm.methods.method import Method, MethodSettings, TrainedSettings
from cgm.networks.builder import Builder
from cgm.networks.init import parameter_count
from cgm.networks.settings import Networks
from cgm.networks.size import Size

BATCH = 16
"""Conditions that are translated at once. Part of the results: sums over another number of images may round differently."""
OUTPUTS = "outputs_sha256"


def build(settings: MethodSettings, networks: Networks, image_size: Size, paired: bool, channels: int = 3) -> Method:
    """The method with its networks, weights not yet initialised. ``networks``: of the experiment; the method's own sizes go before them.
    ``paired``: whether the dataset is."""
    implementation = METHODS[settings.implementation]
    if not issubclass(implementation, Method):
        raise UserError(f"method {settings.implementation!r}: found pictures made elsewhere, expected a method with networks; name another")
    own = settings.networks if isinstance(settings, TrainedSettings) else None
    builder = Builder(networks.merged(own), image_size, channels, getattr(settings, "sizes", {}))
    # Layers draw their first weights from the global stream. Those that cgm.networks.init draws anew don't matter; the others' are the same
    # in every run, and no caller's stream moves.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return implementation(settings, builder, paired)


@torch.no_grad()
def translate(method: Method, x: np.ndarray, noise: torch.Generator, batch_size: int, device: torch.device) -> np.ndarray:
    """One output for each condition: uint8 N×H×W×C → uint8 N×H×W×C, networks in evaluation mode meanwhile."""
    generator = method.generator
    was_training = generator.training
    generator.eval()
    try:
        outputs = []
        for start in range(0, len(x), batch_size):
            condition = images.to_float(x[start : start + batch_size], device)
            y_hat = method.translate(condition, noise)
            if y_hat.shape != condition.shape:
                raise UserError(
                    f"{type(method).__name__}.translate: found outputs of shape {tuple(y_hat.shape)}, expected that of the conditions, "
                    f"{tuple(condition.shape)}"
                )
            outputs.append(images.to_uint8(y_hat))
    finally:
        generator.train(was_training)
    return np.concatenate(outputs)


def parameters(method: Method) -> dict[str, int]:
    """Trainable parameters by role."""
    count = {player: parameter_count(networks) for player, networks in method.players.items()}
    return {"generator": count["G"], "discriminator": count.get("D", 0)}


def weights(method: Method) -> dict[str, torch.Tensor]:
    """The generators' weights, as they go into ``model.safetensors``."""
    return {name: value.detach().cpu().contiguous() for name, value in method.players["G"].state_dict().items()}


def read_weights(method: Method, path: Path, run: str, device: torch.device) -> None:
    """Give the generators of ``method`` the weights in ``path``, those of ``run``.

    Raises :class:`UserError` where they are not there, were left elsewhere, or are another network's.
    """
    try:
        digest = left_weights.left(path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the stage 'train' of {run} first") from None
    if digest is not None:
        raise UserError(
            f"{path}: the weights of {run} were left on the machine where it was trained (SHA-256 {digest[:12]}…); remove the file and "
            "start Snakemake or DVC again, which trains the run here"
        )
    try:
        load_weights(method, safetensors.torch.load_file(path), device)
    except (safetensors.SafetensorError, RuntimeError) as error:  # the second: keys or shapes that don't fit
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not the weights of {run} ({reason}); run the stage 'train' of {run} again") from None


def write_stand_in(path: Path, digest: str) -> None:
    """A file in the place of weights, where the outputs with this SHA-256 were made elsewhere: valid, and without tensors.

    Its bytes are the digest's alone. (safetensors writes several entries of metadata in an order of chance.)
    """
    with replacing(path) as temporary:
        safetensors.numpy.save_file({}, temporary, metadata={OUTPUTS: digest})


def stands_for(path: Path) -> str | None:
    """The SHA-256 of the outputs for which a file of :func:`write_stand_in` stands; None for any other."""
    with safetensors.safe_open(path, framework="numpy") as file:
        return (file.metadata() or {}).get(OUTPUTS)


def load_weights(method: Method, state: dict[str, torch.Tensor], device: torch.device) -> None:
    player = method.players["G"]
    player.load_state_dict(state)
    player.to(device)
