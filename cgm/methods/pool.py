"""The image pool: a discriminator's memory of past fakes (Shrivastava et al. 2017, section 2.3)."""

from __future__ import annotations

from typing import Any

from cgm.core.device import to_device
from cgm.core.lazy import np, torch


class ImagePool:
    """Keeps ``size`` fakes; each image asked for is, with probability ½, swapped for one of them. ``size=0`` returns what it is given.

    Chance is the host's, drawn before the step (:meth:`draw`); the step itself (:meth:`query`) only moves images to places that lie on the
    device, so that it can be recorded and replayed.
    """

    def __init__(self, size: int, rng: np.random.Generator, device: torch.device) -> None:
        self._size, self._rng, self._device = size, rng, device
        self._held = 0
        self._images: torch.Tensor | None = None
        """The pool, and one more place for what is not kept."""
        self._plan: torch.Tensor | None = None
        """For each fake of a step: the place of the past image that takes its turn, or the fake of this step that does; which of the two;
        and the place where it is kept."""

    def draw(self, count: int) -> None:
        """Decide what the next query does with its ``count`` fakes."""
        if self._size == 0:
            return
        past, fresh = np.zeros(count, np.int64), np.arange(count)
        from_past, kept = np.zeros(count, np.int64), np.full(count, self._size)
        newest: dict[int, int] = {}  # by place, the fake of this step that lies there
        for index in range(count):
            if self._held < self._size:
                place, self._held = self._held, self._held + 1
            elif self._rng.random() < 0.5:
                place = int(self._rng.integers(self._size))
                if place in newest:
                    fresh[index] = newest[place]
                else:
                    past[index], from_past[index] = place, 1
            else:
                continue
            newest[place] = index
        for place, index in newest.items():
            kept[index] = place
        plan = to_device(np.stack([past, fresh, from_past, kept]), self._device)
        if self._plan is None or self._plan.shape != plan.shape:
            self._plan = torch.empty_like(plan)
        self._plan.copy_(plan)

    def query(self, fakes: torch.Tensor) -> torch.Tensor:
        """Fakes N×3×S×S (detached) → as many images, some of them from the past. N as it was drawn for."""
        if self._size == 0:
            return fakes
        if self._images is None:
            self._images = fakes.new_zeros((self._size + 1, *fakes.shape[1:])).contiguous(memory_format=torch.channels_last)
        assert self._plan is not None, "ImagePool.draw comes before query"
        past, fresh, from_past, kept = self._plan
        chosen = torch.where(from_past.bool()[:, None, None, None], self._images[past], fakes[fresh])
        self._images.index_copy_(0, kept, fakes)
        return chosen

    def state_dict(self) -> dict[str, Any]:
        return {"images": self._images, "held": self._held, "rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._images, self._held = state["images"], state["held"]
        self._rng.bit_generator.state = state["rng"]
