"""The passes over the images of an evaluation."""

from __future__ import annotations

import numpy as np

from cgm.core.progress import passing
from cgm.evaluation.judges import Judge
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.derangement import derangement
from cgm.evaluation.metrics.spectrum import of_outputs, of_targets
from cgm.evaluation.view import Block, Seen, View, looked_at

BLOCK = 32
"""Test images that are held in memory at a time, and among which pairgain exchanges targets."""
KEPT = 2**28
"""Bytes: perceptual embeddings of a dataset's targets are kept up to here, which is 595 pictures through EfficientNet-Lite0. More are seen
anew with each run's outputs."""


def look(view: View, label: str = "") -> Seen:
    """Features, spectra and the per-image values of every metric whose needs are met. Memory is bounded by the block; only what
    :class:`~cgm.evaluation.view.Seen` holds is kept. ``label``: under which the progress is shown; empty: nothing is."""
    metrics = {metric.column_name: metric.per_image for metric in view.metrics.values() if metric.per_image and not metric.lacking(view)}
    judged, pixels = "judge" in view.looked_through, "none" in view.looked_through
    blocks = _blocks(view.count, view.generator("order"))
    aligned = view.targets is not None
    features, target_features = _Rows(view.count), _Rows(view.count)
    values: list[dict[str, np.ndarray]] = []
    profiles, target_profiles = _Rows(view.count, np.float64), _Rows(view.count, np.float64)
    channels: list[checks.ChannelOrder] = []
    start = 0
    for rows in passing(blocks, view.count, label):
        block = Block(view, rows, start)
        start += len(rows)
        if judged:
            features.put(rows, block.features)
        if judged and aligned:
            target_features.put(rows, block.target_features)
        if pixels:
            profiles.put(rows, block.once(of_outputs).profiles)
        if pixels and aligned:
            target_profiles.put(rows, block.once(of_targets).profiles)
            channels.append(checks.channel_order(block.outputs, block.targets))
        values.append({name: per_image(block) for name, per_image in metrics.items()})
    order = np.argsort(np.concatenate(blocks))
    return Seen(
        features=features.values if judged else None,
        target_features=target_features.values if judged and aligned else None,
        columns={name: np.concatenate([part[name] for part in values])[order] for name in metrics},
        profiles=profiles.values if pixels else None,
        target_profiles=target_profiles.values if pixels and aligned else None,
        channels=checks.ChannelOrder.joined(channels) if channels else None,
    )


def known_targets(images: np.ndarray, judge: Judge, order: np.random.Generator, label: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Of a dataset's test targets, uint8 N×H×W×3 (a memory map will do): the judge's features N×D and perceptual embeddings N×P, float32;
    both of no rows where the embeddings would be more than :data:`KEPT`.

    ``order``: the generator of an evaluation's ``order``. The images pass in its blocks, so that the values are an evaluation's own to the
    last bit. ``label``: as for :func:`look`.
    """
    features, embeddings = _Rows(len(images)), _Rows(len(images))
    if len(images) * judge.look(images[:1])[1].nbytes <= KEPT:
        for rows in passing(_blocks(len(images), order), len(images), label):
            found, embedding = looked_at(images[rows], judge)
            features.put(rows, found)
            embeddings.put(rows, embedding.cpu().numpy())
    return features.values, embeddings.values


def features_of(images: np.ndarray, judge: Judge, label: str = "") -> np.ndarray:
    """uint8 N×H×W×3 (a memory map will do) → the judge's features, float32 N×D. ``label``: as for :func:`look`."""
    found = _Rows(len(images))
    blocks = np.split(np.arange(len(images)), range(BLOCK, len(images), BLOCK))
    for rows in passing(blocks, len(images), label):
        found.put(rows, judge.features(images[rows[0] : rows[-1] + 1]))
    return found.values


def _blocks(count: int, order: np.random.Generator) -> list[np.ndarray]:
    return derangement(count, order, BLOCK) if count > 1 else [np.array([0])]


class _Rows:
    """A matrix, filled block by block in any order; its width comes with the first."""

    def __init__(self, count: int, dtype: type[np.floating] = np.float32) -> None:
        self.count, self.values = count, np.empty((0, 0), dtype)

    def put(self, rows: np.ndarray, values: np.ndarray) -> None:
        if len(self.values) == 0:
            self.values = np.empty((self.count, values.shape[1]), self.values.dtype)
        self.values[rows] = values
