"""Random generators derived from names: (dataset, method, seed, purpose) → one stream, the same on every machine.

Nothing in cgm touches a global generator. Streams whose ``method`` is empty are shared by all methods of a dataset: the order of the
data and its augmentation, so that differences between methods pair.
"""

from __future__ import annotations

import hashlib

from cgm.core.lazy import np, torch


def derive(dataset: str, method: str, seed: int, purpose: str) -> int:
    """A 63-bit seed: the head of SHA-256 over the four names."""
    text = "\x1f".join((dataset, method, str(seed), purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(dataset: str, method: str, seed: int, purpose: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derive(dataset, method, seed, purpose)))


def torch_generator(dataset: str, method: str, seed: int, purpose: str, device: str | torch.device = "cpu") -> torch.Generator:
    generator = torch.Generator(device=device)
    generator.manual_seed(derive(dataset, method, seed, purpose))
    return generator


def numpy_stream(seed: int, purpose: str) -> np.random.Generator:
    """One of several streams below a derived ``seed``."""
    return np.random.Generator(np.random.PCG64(derive("", "", seed, purpose)))
