"""The learning curves: what ``history.csv`` holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from cgm.training.parallel import World

Row = dict[str, float]


class History:
    """Rows of averaged losses. Between rows everything stays on the device, at one place, so that no step waits for it and a recorded step
    can go on adding to it."""

    def __init__(self, device: torch.device) -> None:
        self.rows: list[Row] = []
        self._device = device
        self._sums: dict[str, torch.Tensor] = {}
        self._steps = 0
        self._gradients: dict[str, torch.Tensor] = {}

    def add(self, values: Mapping[str, torch.Tensor]) -> None:
        """Scalars of the present step."""
        for key, value in values.items():
            if key not in self._sums:
                self._sums[key] = torch.zeros((), device=self._device)
            self._sums[key] += value.detach().float()

    def note_gradient(self, player: str, norm: torch.Tensor) -> None:
        """The norm of a player's gradient; that of the step of a row stands in it."""
        if player not in self._gradients:
            self._gradients[player] = torch.zeros((), device=self._device)
        self._gradients[player].copy_(norm)

    def end_step(self) -> None:
        self._steps += 1

    def close_row(self, row: Row, world: World, measured: Row) -> None:
        """Append ``row``, the means of what was added since the last one, the gradients' norms, and ``measured``. Waits for the device.

        What a step did not add counts as 0 in it, as it does in the loss.
        """
        world.average(list(self._sums.values()))
        means = {name: float(value) / self._steps for name, value in self._sums.items()}
        gradients = {f"gradient/{player}": float(value) for player, value in self._gradients.items()}
        self.rows.append({**row, **means, **gradients, **measured})
        for value in self._sums.values():
            value.zero_()
        self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Between two steps. Norms of gradients are those of a row's own step, and none is left over."""
        return {"rows": self.rows, "sums": self._sums, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows, self._sums, self._steps = state["rows"], state["sums"], state["steps"]


def as_csv(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> str:
    """One line a row; empty where a row hasn't a column. (Not by pandas, whose import is ¼ s of each job.)"""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def history_csv(rows: Sequence[Row]) -> str:
    """``history.csv``: a column for whatever any row has."""
    return as_csv(rows, list(dict.fromkeys(name for row in rows for name in row)) or ["kimg", "step"])
