"""The one pass over the images of an evaluation."""

from __future__ import annotations

import numpy as np

from cgm.evaluation.metrics import METRICS, checks
from cgm.evaluation.metrics.derangement import derangement
from cgm.evaluation.metrics.spectrum import of_outputs, of_targets
from cgm.evaluation.view import Block, Seen, View

BLOCK = 32
"""Test images that are held in memory at a time, and among which pairgain exchanges targets."""


def look(view: View) -> Seen:
    """Features, spectra and the per-image values of every metric whose needs are met. Memory is bounded by the block; only what
    :class:`~cgm.evaluation.view.Seen` holds is kept."""
    metrics = {metric.column_name: metric.per_image for metric in METRICS.values() if metric.per_image and not metric.lacking(view)}
    blocks = derangement(view.count, view.generator("order"), BLOCK) if view.count > 1 else [np.array([0])]
    aligned = view.targets is not None
    features, target_features = _Rows(view.count), _Rows(view.count)
    values: list[dict[str, np.ndarray]] = []
    spectra: list[np.ndarray] = []
    target_spectra: list[np.ndarray] = []
    channels: list[checks.ChannelOrder] = []
    start = 0
    for rows in blocks:
        block = Block(view, rows, start)
        start += len(rows)
        features.put(rows, block.features)
        spectra.append(block.once(of_outputs).profiles.sum(axis=0))
        if aligned:
            target_features.put(rows, block.target_features)
            target_spectra.append(block.once(of_targets).profiles.sum(axis=0))
            channels.append(checks.channel_order(block.outputs, block.targets))
        values.append({name: per_image(block) for name, per_image in metrics.items()})
    order = np.argsort(np.concatenate(blocks))
    return Seen(
        features=features.values,
        target_features=target_features.values if aligned else None,
        columns={name: np.concatenate([part[name] for part in values])[order] for name in metrics},
        spectrum=np.sum(spectra, axis=0) / view.count,
        target_spectrum=np.sum(target_spectra, axis=0) / view.count if aligned else None,
        channels=checks.ChannelOrder.joined(channels) if aligned else None,
    )


class _Rows:
    """A float32 matrix, filled block by block in any order; its width comes with the first."""

    def __init__(self, count: int) -> None:
        self.count, self.values = count, np.empty((0, 0), np.float32)

    def put(self, rows: np.ndarray, values: np.ndarray) -> None:
        if len(self.values) == 0:
            self.values = np.empty((self.count, values.shape[1]), np.float32)
        self.values[rows] = values
