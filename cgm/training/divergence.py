"""Notices on the device when a loss is no longer finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch


class Divergence:
    """For each player the first step whose loss was not finite, and the terms of that loss."""

    def __init__(self, players: Iterable[str], device: torch.device) -> None:
        self._step = {player: torch.zeros((), device=device) for player in players}
        """One more than the step's index; 0: none yet."""
        self._names: dict[str, tuple[str, ...]] = {}
        self._terms: dict[str, torch.Tensor] = {}

    def note(self, player: str, step: int, terms: Mapping[str, torch.Tensor], broken: torch.Tensor) -> torch.Tensor:
        """``broken``: whether this update's loss is not finite.

        Returns 1 if it or an earlier one wasn't, else 0, on the device: nothing waits for it.
        """
        values = torch.stack([value.detach().float() for value in terms.values()])
        first = broken & (self._step[player] == 0)
        self._step[player] = torch.where(first, step + 1.0, self._step[player])
        self._names[player] = tuple(terms)
        self._terms[player] = torch.where(first, values, self._terms.get(player, torch.zeros_like(values)))
        return torch.stack(list(self._step.values())).amax().clamp(max=1)

    def found(self) -> tuple[int, str] | None:
        """The step at which it happened, and why the run has to end. None: all is finite. Waits for the device."""
        broken = {player: int(self._step[player]) for player in self._names if self._step[player]}  # in the order of the updates
        if not broken:
            return None
        player = min(broken, key=lambda name: broken[name])
        shown = ", ".join(f"{name} = {value:g}" for name, value in zip(self._names[player], self._terms[player].tolist(), strict=True))
        step = broken[player] - 1
        return step, f"the loss of {player} is not finite at step {step}: {shown}"
