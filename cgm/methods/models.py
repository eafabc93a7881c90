"""A method's networks outside of its training: build them, load and save their weights, translate images."""

from __future__ import annotations

import numpy as np
import torch

from cgm.data import images
from cgm.methods import METHODS
from cgm.methods.method import Method, MethodSettings
from cgm.networks.builder import Builder
from cgm.networks.init import parameter_count
from cgm.networks.settings import Networks
from cgm.networks.size import Size


def build(settings: MethodSettings, networks: Networks, image_size: Size, paired: bool, channels: int = 3) -> Method:
    """The method with its networks, weights not yet initialised. ``paired``: whether the dataset is."""
    return METHODS[settings.implementation](settings, Builder(networks, image_size, channels), paired)


@torch.no_grad()
def translate(method: Method, x: np.ndarray, noise: torch.Generator, batch_size: int, device: torch.device) -> np.ndarray:
    """One output for each condition: uint8 N×H×W×C → uint8 N×H×W×C, networks in evaluation mode meanwhile."""
    generator = method.generator
    was_training = generator.training
    generator.eval()
    try:
        outputs = [
            images.to_uint8(method.translate(images.to_float(x[start : start + batch_size], device), noise))
            for start in range(0, len(x), batch_size)
        ]
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


def load_weights(method: Method, state: dict[str, torch.Tensor], device: torch.device) -> None:
    player = method.players["G"]
    player.load_state_dict(state)
    player.to(device)
