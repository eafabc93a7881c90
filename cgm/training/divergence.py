"""Notices on the device when a loss is no longer finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch


class Divergence:
    """For each player the first step whose loss was not finite, and the terms of that loss.

    It counts the steps on the device itself, and every value keeps its place there: a recorded step goes on with it.
    """

    def __init__(self, players: Iterable[str], device: torch.device) -> None:
        self._now = torch.ones((), device=device)
        """One more than the present step's index."""
        self._step = {player: torch.zeros((), device=device) for player in players}
        """One more than the step's index; 0: none yet."""
        self._names: dict[str, tuple[str, ...]] = {}
        self._terms: dict[str, torch.Tensor] = {}

    def start(self, step: int) -> None:
        """The next step has this index."""
        self._now.fill_(step + 1)

    def end_step(self) -> None:
        self._now += 1

    def note(self, player: str, terms: Mapping[str, torch.Tensor], broken: torch.Tensor) -> torch.Tensor:
        """``broken``: whether this update's loss is not finite.

        Returns 1 if it or an earlier one wasn't, else 0, on the device: nothing waits for it.
        """
        values = torch.stack([value.detach().float() for value in terms.values()])
        first = broken & (self._step[player] == 0)
        self._step[player].copy_(torch.where(first, self._now, self._step[player]))
        if player not in self._terms:
            self._names[player], self._terms[player] = tuple(terms), torch.zeros_like(values)
        self._terms[player].copy_(torch.where(first, values, self._terms[player]))
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
