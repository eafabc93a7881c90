"""Small networks that embed the patches of an encoder's maps (Park et al. 2020, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class PatchHeads(nn.Module):
    """One perceptron of two layers, ``width`` units each, for each map of an encoder.

    Maps N×C×h×w and the places looked at, P numbers of 0 … h·w − 1 each → N×P×width each. ``channels``: C of the maps, one by one.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Sequential(nn.Linear(each, width), nn.ReLU(), nn.Linear(width, width)) for each in channels)

    def forward(self, maps: Sequence[torch.Tensor], places: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [head(h.permute(0, 2, 3, 1).flatten(1, 2)[:, at]) for head, h, at in zip(self.heads, maps, places, strict=True)]
