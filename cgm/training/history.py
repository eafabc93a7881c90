"""The learning curves: what ``history.csv`` holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from cgm.training.parallel import World

Row = dict[str, float]


class History:
    """Rows of averaged losses. Between rows everything stays on the device, so that no step waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.rows: list[Row] = []
        self._device = device
        self._sums: dict[str, torch.Tensor] = {}
        self._steps = 0
        self._gradients: dict[str, torch.Tensor] = {}

    def add(self, values: Mapping[str, torch.Tensor]) -> None:
        """Scalars of the present step."""
        for key, value in values.items():
            self._sums[key] = self._sums.get(key, torch.zeros((), device=self._device)) + value.detach().float()

    def note_gradient(self, player: str, norm: torch.Tensor) -> None:
        """The norm of a player's gradient at the step of the next row."""
        self._gradients[player] = norm

    def end_step(self) -> None:
        self._steps += 1

    def close_row(self, row: Row, world: World, measured: Row) -> None:
        """Append ``row``, the means of what was added since the last one, the gradients' norms, and ``measured``. Waits for the device."""
        world.average(list(self._sums.values()))
        means = {name: float(value) / self._steps for name, value in self._sums.items()}
        gradients = {f"gradient/{player}": float(value) for player, value in self._gradients.items()}
        self.rows.append({**row, **means, **gradients, **measured})
        self._sums, self._steps, self._gradients = {}, 0, {}

    def state_dict(self) -> dict[str, Any]:
        """Between two steps: a row's gradients are never left over."""
        return {"rows": self.rows, "sums": self._sums, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows, self._sums, self._steps = state["rows"], state["sums"], state["steps"]
