"""The image pool: a discriminator's memory of past fakes (Shrivastava et al. 2017, section 2.3)."""

from __future__ import annotations

from typing import Any

from cgm.core.lazy import np, torch


class ImagePool:
    """Keeps ``size`` fakes; each image asked for is, with probability ½, swapped for one of them. ``size=0`` returns what it is given."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng
        self._images: list[torch.Tensor] = []

    def query(self, fakes: torch.Tensor) -> torch.Tensor:
        """Fakes N×3×S×S (detached) → as many images, some of them from the past."""
        if self._size == 0:
            return fakes
        chosen = []
        for image in fakes.unbind():
            if len(self._images) < self._size:
                self._images.append(image.clone())
                chosen.append(image)
            elif self._rng.random() < 0.5:
                place = int(self._rng.integers(self._size))
                chosen.append(self._images[place])
                self._images[place] = image.clone()
            else:
                chosen.append(image)
        return torch.stack(chosen)

    def state_dict(self) -> dict[str, Any]:
        return {"images": self._images, "rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._images = state["images"]
        self._rng.bit_generator.state = state["rng"]
