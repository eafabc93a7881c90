"""From outputs to every metric, in one pass: each image is decoded, and sent through the judge, once.

Paired metrics, conditioning and sharpness compare with the test targets; distribution and diversity metrics with the *train* targets,
since against the same test targets any method whose outputs share their content (even a blur) would score below real-vs-real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cgm.config import Evaluation
from cgm.errors import UserError
from cgm.metrics import METRICS, checks, conditioning, distribution, diversity, paired, sharpness
from cgm.metrics.judges import LPIPS, LPIPS_JUDGE, Judge, load_judge, load_lpips
from cgm.reference import Reals, Reference
from cgm.seeds import numpy_generator
from cgm.weights import PUBLISHED

if TYPE_CHECKING:
    from cgm.data.prepared import Prepared

INTRA_CONDITIONS = 64
"""Conditions over which the diversity among samples is measured."""
INTRA_AT_ONCE = 8
"""Conditions whose samples are held at a time: an image's embedding is 12 MB through Inception-2015."""
DERANGEMENT_BLOCK = 32
"""Test images among which pairgain exchanges targets, and which are held in memory at a time."""
DISTRIBUTION_METRICS = (
    "kid", "fid", "precision", "recall", "density", "coverage", "vendi_ratio", "ndb", "jsd", "distinct_share", "near_duplicate_share"
)  # fmt: skip
"""What can be said of any set of images beside a set of reals."""
NEIGHBOURHOOD = ("precision", "recall", "density", "coverage")
TOO_FEW = "needs 2 outputs or more, found 1"


@dataclass
class Scores:
    """Values and, for those that don't exist, the reason; with the numbers of images behind them."""

    values: dict[str, float | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    n_real: dict[str, int] = field(default_factory=dict)
    n_fake: dict[str, int] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    """At 95%, of those that have one."""

    def add(self, name: str, value: float, n_real: int, n_fake: int) -> None:
        self.values[name], self.n_real[name], self.n_fake[name] = float(value), n_real, n_fake

    def leave_out(self, name: str, note: str) -> None:
        self.values[name], self.notes[name], self.n_real[name], self.n_fake[name] = None, note, 0, 0


def distribution_scores(
    images: np.ndarray, features: np.ndarray, reals: Reals, config: Evaluation, generator: np.random.Generator
) -> tuple[Scores, dict[str, np.ndarray]]:
    """:data:`DISTRIBUTION_METRICS` of uint8 N×H×W×3 images with their features N×D; with the per-image values behind them, of those that
    exist: ``precision`` (1: the image counts for it) and ``nearest_output`` (the distance of its features to the nearest other image's).

    ``generator`` draws the resamples behind KID's interval.
    """
    scores, columns = Scores(), {}
    count, trained = len(features), len(reals.features)
    subset = reals.features[reals.subset[:count]]
    if count < 2:
        for name in ("kid", "fid"):
            scores.leave_out(name, TOO_FEW)
    else:
        value, scores.intervals["kid"] = distribution.kid_with_interval(features, reals.features, generator, real_part=reals.kid_part)
        scores.add("kid", value, trained, count)
        scores.add("fid", distribution.fid(features, reals.features, reals.moments), trained, count)
    if (fewest := min(count, len(subset))) <= config.neighbours:
        for name in NEIGHBOURHOOD:
            scores.leave_out(name, f"needs more than {config.neighbours} images (evaluation.neighbours), found {fewest}")
        nearest = [diversity.nearest_other(x) for x in (features, subset)] if fewest > 1 else []
    else:
        result = distribution.neighbourhood(features, subset, config.neighbours)
        columns["precision"] = result.inside.astype(np.float64)
        nearest = [result.nearest_fake, result.nearest_real]
        for name in NEIGHBOURHOOD:
            scores.add(name, getattr(result, name), len(subset), count)
    scores.add("vendi_ratio", diversity.vendi(features) / diversity.vendi(subset), len(subset), count)
    if len(reals.centres) == 0:
        for name in ("ndb", "jsd"):
            scores.leave_out(name, f"needs {config.bins} different train targets or more (evaluation.bins), found fewer among {trained}")
    else:
        shares = diversity.bin_shares(features, reals.centres)
        scores.add("ndb", diversity.ndb(shares, reals.shares, count, trained), trained, count)
        scores.add("jsd", diversity.jsd(shares, reals.shares), trained, count)
    scores.add("distinct_share", diversity.distinct_share(images), 0, count)
    if not nearest:
        scores.leave_out("near_duplicate_share", TOO_FEW)
    elif len(subset) < count:  # the nearest of fewer is farther
        scores.leave_out("near_duplicate_share", f"needs as many train targets as outputs, found {trained} for {count}")
    else:
        scores.add("near_duplicate_share", diversity.share_within(*nearest), count, count)
    if nearest:
        columns["nearest_output"] = nearest[0]
    return scores, columns


def evaluate_outputs(
    outputs: np.ndarray, prepared: Prepared, reference: Reference, config: Evaluation, judge: Judge | None = None, *, ours: bool = False
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Every metric of ``outputs``, uint8 K×N×H×W×3 over the test split (a memory map will do); sample 0 is what all but
    ``intra_diversity`` see.

    Returns a dictionary and a table with one row a test image, in order. The dictionary: ``metrics``, ``judges``, ``n_real``, ``n_fake``
    by metric (a value that doesn't exist is None, with its reason in ``notes``); ``intervals`` (95%) and ``chance`` (what guessing
    scores), of the metrics that have them; ``spectrum``: the mean radial spectra of the outputs and of what they are compared with, the
    test targets where they are aligned, else the train targets.
    Raises :class:`UserError` if outputs, data and reference don't belong together, or the outputs look like BGR; ``ours``: they are known
    not to be, whatever they look like (a baseline on a dataset whose task is to exchange the channels).
    """
    _check(outputs, prepared, reference, config)
    judge = judge or load_judge(config.judge)
    lpips = load_lpips(config.lpips)
    seen = _look(outputs, prepared.images("test", "B") if prepared.aligned else None, prepared, judge, lpips)
    if not ours and seen.channels and checks.looks_like_bgr(checks.ChannelOrder.joined(seen.channels)):
        raise UserError(
            "outputs: found images that fit their targets only once red and blue are exchanged (BGR), expected RGB; exchange them where "
            "they are made (image[..., ::-1]) and run the stage 'translate' again"
        )
    count, columns, features = outputs.shape[1], seen.columns, seen.features

    generator = numpy_generator(str(prepared.card["dataset"]), "", 0, "evaluation/kid interval")
    scores, more = distribution_scores(outputs[0], features, reference, config, generator)
    if not prepared.paired:
        scores.leave_out("fjd", "the train split holds no pairs")
    elif count < 2:
        scores.leave_out("fjd", TOO_FEW)
    else:
        value = distribution.fjd(features, reference.test_conditions, reference.features, reference.conditions)
        scores.add("fjd", value, len(reference.features), count)
    if prepared.aligned:
        _add_aligned(scores, seen, prepared.image_size, config)
    if len(outputs) > 1:
        scores.add("intra_diversity", float(np.nanmean(columns["intra_diversity"])), 0, len(outputs) * min(count, INTRA_CONDITIONS))
    else:
        scores.leave_out("intra_diversity", "deterministic: one output per condition")
    spectrum = reference.spectrum if seen.target_spectrum is None else seen.target_spectrum
    compared = len(reference.features) if seen.target_spectrum is None else count
    scores.add("spectrum_distance", sharpness.profile_distance(seen.spectrum, spectrum), compared, count)
    for name, spec in METRICS.items():
        if name not in scores.values:
            assert spec.needs_targets, name
            scores.leave_out(name, "the test set holds no aligned targets")

    judges = {"none": "", "judge": judge.name, "lpips": LPIPS_JUDGE}
    result = {
        "metrics": {name: scores.values[name] for name in METRICS},
        "judges": {name: judges[spec.judge] for name, spec in METRICS.items()},
        "n_real": {name: scores.n_real[name] for name in METRICS},
        "n_fake": {name: scores.n_fake[name] for name in METRICS},
        "notes": scores.notes,
        "intervals": {name: list(interval) for name, interval in scores.intervals.items()},
        "chance": {"retrieval": 1 / count} if prepared.aligned else {},
        "spectrum": {
            "frequencies": sharpness.frequencies(*outputs.shape[2:4]).tolist(),
            "outputs": seen.spectrum.tolist(),
            "targets": spectrum.tolist(),
        },
    }
    table = pd.DataFrame({"index": np.arange(count), "id": prepared.ids("test", "A"), **columns, **more})
    return result, table


def _add_aligned(scores: Scores, seen: _Seen, size: int, config: Evaluation) -> None:
    """The metrics that compare each output with its own target."""
    columns, count = seen.columns, len(seen.features)
    columns["retrieval"] = conditioning.retrieval(seen.features, seen.target_features)
    for name in ("mae", "mse", "psnr", "ssim", "pd", "retrieval"):
        scores.add(name, columns[name].mean(), count, count)
    for name in ("highfreq_ratio", "gradient_ratio", "colourfulness_ratio"):
        scores.add(name, float(np.median(columns[name])), count, count)
    if "ms_ssim" in columns:
        scores.add("ms_ssim", columns["ms_ssim"].mean(), count, count)
    else:
        scores.leave_out("ms_ssim", f"needs images of {paired.MS_SSIM_SMALLEST} px or more, found {size}")
    if "lpips" in columns:
        scores.add("lpips", columns["lpips"].mean(), count, count)
    elif config.lpips == "off":
        scores.leave_out("lpips", "switched off (evaluation.lpips)")
    else:
        scores.leave_out("lpips", f"the AlexNet weights ({PUBLISHED['alexnet'].file}) are not at hand")
    if count > 1 and columns["pd_other"].any():
        scores.add("pairgain", conditioning.pairgain(columns["pd"], columns["pd_other"]), count, count)
    else:
        scores.leave_out("pairgain", "needs two different test targets or more")


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What one pass over the images leaves."""

    features: np.ndarray
    target_features: np.ndarray
    """0×D without targets."""
    columns: dict[str, np.ndarray]
    """Per-image values."""
    spectrum: np.ndarray
    target_spectrum: np.ndarray | None
    """Mean radial spectra."""
    channels: list[checks.ChannelOrder]
    """Whether red and blue look exchanged, by block; empty without targets."""


def _look(outputs: np.ndarray, targets: np.ndarray | None, prepared: Prepared, judge: Judge, lpips: LPIPS | None) -> _Seen:
    """One pass over the images. Memory is bounded by the block; the features alone are kept."""
    samples, count = outputs.shape[:2]
    generator = numpy_generator(str(prepared.card["dataset"]), "", 0, "evaluation/order")
    blocks = conditioning.derangement(count, generator, DERANGEMENT_BLOCK) if count > 1 else [np.array([0])]
    features, target_features = _Rows(count), _Rows(count if targets is not None else 0)
    rows: list[dict[str, np.ndarray]] = []
    channels: list[checks.ChannelOrder] = []
    spectra: list[np.ndarray] = []
    target_spectra: list[np.ndarray] = []
    conditions = 0
    for block in blocks:
        x = outputs[0][block]
        seen, embedding = judge.look(x)
        features.put(block, seen)
        detail = sharpness.detail(x)
        spectra.append(detail.spectrum.sum(axis=0))
        row: dict[str, np.ndarray] = {}
        if targets is not None:
            y = targets[block]
            target_seen, target_embedding = judge.look(y)
            target_features.put(block, target_seen)
            target_detail = sharpness.detail(y)
            target_spectra.append(target_detail.spectrum.sum(axis=0))
            row = {**_paired_columns(x, y, lpips), **sharpness.ratios(detail, target_detail)}
            row["pd"] = paired.pd(embedding, target_embedding)
            row["pd_other"] = paired.pd(embedding, target_embedding.roll(-1, 0))
            channels.append(checks.channel_order(x, y))
        if samples > 1:
            row["intra_diversity"] = np.full(len(block), np.nan)
            chosen = block[: max(INTRA_CONDITIONS - conditions, 0)]
            conditions += len(chosen)
            for start in range(0, len(chosen), INTRA_AT_ONCE):
                part = slice(start, min(start + INTRA_AT_ONCE, len(chosen)))
                others = [judge.embeddings(outputs[sample][chosen[part]]) for sample in range(1, samples)]
                row["intra_diversity"][part] = diversity.intra_diversity(torch.stack([embedding[part], *others]))
        rows.append(row)
    order = np.argsort(np.concatenate(blocks))
    return _Seen(
        features=features.values,
        target_features=target_features.values,
        columns={name: np.concatenate([row[name] for row in rows])[order] for name in rows[0]},
        spectrum=np.sum(spectra, axis=0) / count,
        target_spectrum=np.sum(target_spectra, axis=0) / count if target_spectra else None,
        channels=channels,
    )


class _Rows:
    """A float32 matrix, filled block by block in any order; its width comes with the first."""

    def __init__(self, count: int) -> None:
        self.count, self.values = count, np.empty((0, 0), np.float32)

    def put(self, rows: np.ndarray, values: np.ndarray) -> None:
        if len(self.values) == 0:
            self.values = np.empty((self.count, values.shape[1]), np.float32)
        self.values[rows] = values


def _paired_columns(x: np.ndarray, y: np.ndarray, lpips: LPIPS | None) -> dict[str, np.ndarray]:
    columns = {"mae": paired.mae(x, y), "mse": paired.mse(x, y), "psnr": paired.psnr(x, y), "ssim": paired.ssim(x, y)}
    if min(x.shape[1:3]) >= paired.MS_SSIM_SMALLEST:
        columns["ms_ssim"] = paired.ms_ssim(x, y)
    return columns if lpips is None else {**columns, "lpips": lpips(x, y)}


def _check(outputs: np.ndarray, prepared: Prepared, reference: Reference, config: Evaluation) -> None:
    size, count = prepared.image_size, len(prepared.images("test", "A"))
    if outputs.dtype != np.uint8 or outputs.ndim != 5 or len(outputs) == 0 or outputs.shape[1:] != (count, size, size, 3):
        mistake = checks.image_mistake(outputs[0]) if outputs.ndim == 5 and len(outputs) else ""
        raise UserError(
            f"outputs: found {outputs.dtype} {'×'.join(map(str, outputs.shape))}, expected uint8 K×{count}×{size}×{size}×3 "
            "(samples × test images × height × width × RGB)" + (f": each sample: {mistake}" if mistake else "") + "; then run the stage "
            "'translate' again"
        )
    facts: Mapping[str, tuple[str, str]] = {
        "judge": (reference.judge, config.judge),
        "data_sha256": (reference.data_sha256, prepared.data_sha256),
    }
    for name, (found, expected) in facts.items():
        if found != expected:
            raise UserError(f"reference: its {name} is {found}, expected {expected}; run the stage 'reference' of this dataset again")
