"""From outputs to every metric, in one pass: each image is decoded, and sent through the judge, once.

Paired metrics, conditioning and sharpness compare with the test targets; distribution and diversity metrics with the *train* targets,
since against the same test targets any method whose outputs share their content (even a blur) would score below real-vs-real.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cgm.config import Evaluation
from cgm.errors import UserError
from cgm.files import replacing
from cgm.metrics import METRICS, conditioning, distribution, diversity, paired, sharpness
from cgm.metrics.judges import LPIPS, LPIPS_JUDGE, Judge, load_judge, load_lpips
from cgm.seeds import numpy_generator
from cgm.weights import PUBLISHED

if TYPE_CHECKING:
    from cgm.data.prepared import Prepared

INTRA_CONDITIONS = 64
"""Conditions over which the diversity among samples is measured."""
DERANGEMENT_BLOCK = 32
"""Test images among which pairgain exchanges targets, and which are held in memory at a time."""
DISTRIBUTION_METRICS = ("kid", "fid", "precision", "recall", "density", "coverage", "vendi_ratio", "jsd")
"""What can be said of any set of images beside a set of reals."""
NEIGHBOURHOOD = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the outputs of a dataset are compared with, beside their own targets."""

    judge: str
    judge_sha256: str
    data_sha256: str
    features: np.ndarray
    """float32 M×D: the judge's features of the train targets."""
    subset: np.ndarray
    """A fixed permutation of M: precision, recall and Vendi compare with the first as many as there are outputs."""
    centres: np.ndarray
    """bins×D: the k-means centres of JSD; 0×D where the train targets are too few."""
    shares: np.ndarray
    """The train targets' share of each bin."""
    kernel_mean: np.ndarray
    """The train targets' own term of KID (a scalar)."""

    def save(self, path: str | Path) -> None:
        with replacing(path) as temporary:
            arrays: dict[str, Any] = {item.name: np.asarray(getattr(self, item.name)) for item in fields(self)}
            np.savez(temporary, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Raises :class:`UserError` if the file is missing or isn't a reference."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {item.name: file[item.name] for item in fields(cls)}
        except FileNotFoundError:
            raise UserError(f"{path}: not found; run the stage 'reference' of this dataset first") from None
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: not a reference file ({error}); run the stage 'reference' of this dataset again") from None
        values: dict[str, Any] = {name: str(value) if value.dtype.kind == "U" else value for name, value in arrays.items()}
        return cls(**values)


@dataclass
class Scores:
    """Values and, for those that don't exist, the reason; with the numbers of images behind them."""

    values: dict[str, float | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    n_real: dict[str, int] = field(default_factory=dict)
    n_fake: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: float, n_real: int, n_fake: int) -> None:
        self.values[name], self.n_real[name], self.n_fake[name] = float(value), n_real, n_fake

    def leave_out(self, name: str, note: str) -> None:
        self.values[name], self.notes[name], self.n_real[name], self.n_fake[name] = None, note, 0, 0


def build_reference(prepared: Prepared, config: Evaluation, judge: Judge | None = None) -> Reference:
    """The reference of a dataset: the judge's view of its train targets. ``judge``: if ``config``'s is loaded already.

    Raises :class:`UserError` where there is but one train target.
    """
    judge = judge or load_judge(config.judge)
    generator = numpy_generator(str(prepared.card["dataset"]), "", 0, "evaluation/reference")
    if len(prepared.images("train", "B")) < 2:
        raise UserError(f"data/prepared/{prepared.card['dataset']}: found 1 train target, expected 2 or more to compare outputs with")
    features = judge.features(prepared.images("train", "B"))
    return reference_from_features(features, judge, prepared.data_sha256, config, generator)


def reference_from_features(
    features: np.ndarray, judge: Judge, data_sha256: str, config: Evaluation, generator: np.random.Generator
) -> Reference:
    """The reference of real features M×D, M ≥ 2."""
    subset = generator.permutation(len(features))
    enough = len(np.unique(features, axis=0)) >= config.bins
    centres = diversity.kmeans(features, config.bins, generator) if enough else np.empty((0, features.shape[1]))
    return Reference(
        judge=judge.name,
        judge_sha256=judge.sha256,
        data_sha256=data_sha256,
        features=features,
        subset=subset,
        centres=centres,
        shares=diversity.bin_shares(features, centres) if enough else np.empty(0),
        kernel_mean=np.asarray(distribution.kernel_mean(features)),
    )


def distribution_scores(features: np.ndarray, reference: Reference, config: Evaluation) -> tuple[Scores, np.ndarray | None]:
    """:data:`DISTRIBUTION_METRICS` of N×D features; with the outputs that count for precision (bool N), where it exists."""
    scores, inside = Scores(), None
    count, trained = len(features), len(reference.features)
    subset = reference.features[reference.subset[:count]]
    if count < 2:
        for name in ("kid", "fid"):
            scores.leave_out(name, f"needs 2 outputs or more, found {count}")
    else:
        scores.add("kid", distribution.kid(features, reference.features, float(reference.kernel_mean)), trained, count)
        scores.add("fid", distribution.fid(features, reference.features), trained, count)
    if (fewest := min(count, len(subset))) <= config.neighbours:
        for name in NEIGHBOURHOOD:
            scores.leave_out(name, f"needs more than {config.neighbours} images (evaluation.neighbours), found {fewest}")
    else:
        result = distribution.neighbourhood(features, subset, config.neighbours)
        inside = result.inside
        for name in NEIGHBOURHOOD:
            scores.add(name, getattr(result, name), len(subset), count)
    scores.add("vendi_ratio", diversity.vendi(features) / diversity.vendi(subset), len(subset), count)
    if len(reference.centres) == 0:
        scores.leave_out("jsd", f"needs {config.bins} different train targets or more (evaluation.bins), found fewer among {trained}")
    else:
        scores.add("jsd", diversity.jsd(diversity.bin_shares(features, reference.centres), reference.shares), trained, count)
    return scores, inside


def evaluate_outputs(
    outputs: np.ndarray, prepared: Prepared, reference: Reference, config: Evaluation, judge: Judge | None = None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Every metric of ``outputs``, uint8 K×N×H×W×3 over the test split (a memory map will do); sample 0 is what all but
    ``intra_diversity`` see.

    Returns ``{"metrics", "judges", "n_real", "n_fake", "notes"}`` (a value that doesn't exist is None, with its reason in the notes)
    and a table with one row a test image, in order. Raises :class:`UserError` if outputs, data and reference don't belong together.
    """
    _check(outputs, prepared, reference, config)
    judge = judge or load_judge(config.judge)
    lpips = load_lpips(config.lpips)
    features, target_features, columns = _look(outputs, prepared.images("test", "B") if prepared.aligned else None, prepared, judge, lpips)
    count = outputs.shape[1]

    scores, inside = distribution_scores(features, reference, config)
    if prepared.aligned:
        columns["retrieval"] = conditioning.retrieval(features, target_features)
        for name in ("mae", "mse", "psnr", "ssim", "pd", "retrieval"):
            scores.add(name, columns[name].mean(), count, count)
        for name in ("highfreq_ratio", "colourfulness_ratio"):
            scores.add(name, float(np.median(columns[name])), count, count)
        if lpips is not None:
            scores.add("lpips", columns["lpips"].mean(), count, count)
        elif config.lpips == "off":
            scores.leave_out("lpips", "switched off (evaluation.lpips)")
        else:
            scores.leave_out("lpips", f"the AlexNet weights ({PUBLISHED['alexnet'].file}) are not at hand")
        if count > 1 and columns["pd_other"].any():
            scores.add("pairgain", conditioning.pairgain(columns["pd"], columns["pd_other"]), count, count)
        else:
            scores.leave_out("pairgain", "needs two different test targets or more")
    if len(outputs) > 1:
        scores.add("intra_diversity", float(np.nanmean(columns["intra_diversity"])), 0, len(outputs) * min(count, INTRA_CONDITIONS))
    else:
        scores.leave_out("intra_diversity", "deterministic: one output per condition")
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
    }
    if inside is not None:
        columns["precision"] = inside.astype(np.float64)
    table = pd.DataFrame({"index": np.arange(count), "id": prepared.ids("test", "A"), **columns})
    return result, table


def _look(
    outputs: np.ndarray, targets: np.ndarray | None, prepared: Prepared, judge: Judge, lpips: LPIPS | None
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """One pass over the images: features of outputs and targets, and the per-image columns. Memory is bounded by the block."""
    samples, count = outputs.shape[:2]
    generator = numpy_generator(str(prepared.card["dataset"]), "", 0, "evaluation/order")
    blocks = conditioning.derangement(count, generator, DERANGEMENT_BLOCK) if count > 1 else [np.array([0])]
    features: list[np.ndarray] = []
    target_features: list[np.ndarray] = []
    rows: list[dict[str, np.ndarray]] = []
    conditions = 0
    for block in blocks:
        x = outputs[0][block]
        seen, embedding = judge.look(x)
        features.append(seen)
        row: dict[str, np.ndarray] = {}
        if targets is not None:
            y = targets[block]
            target_seen, target_embedding = judge.look(y)
            target_features.append(target_seen)
            row = _paired_columns(x, y, lpips)
            row["pd"] = paired.pd(embedding, target_embedding)
            row["pd_other"] = paired.pd(embedding, target_embedding.roll(-1, 0))
        if samples > 1:
            row["intra_diversity"] = np.full(len(block), np.nan)
            chosen = block[: max(INTRA_CONDITIONS - conditions, 0)]
            conditions += len(chosen)
            if len(chosen):
                others = [judge.embeddings(outputs[sample][chosen]) for sample in range(1, samples)]
                row["intra_diversity"][: len(chosen)] = diversity.intra_diversity(torch.stack([embedding[: len(chosen)], *others]))
        rows.append(row)
    order = np.argsort(np.concatenate(blocks))
    columns = {name: np.concatenate([row[name] for row in rows])[order] for name in rows[0]}
    return np.concatenate(features)[order], np.concatenate(target_features)[order] if target_features else np.empty(0), columns


def _paired_columns(x: np.ndarray, y: np.ndarray, lpips: LPIPS | None) -> dict[str, np.ndarray]:
    columns = {
        "mae": paired.mae(x, y),
        "mse": paired.mse(x, y),
        "psnr": paired.psnr(x, y),
        "ssim": paired.ssim(x, y),
        "highfreq_ratio": sharpness.highfreq_ratio(x, y),
        "colourfulness_ratio": sharpness.colourfulness_ratio(x, y),
    }
    return columns if lpips is None else {**columns, "lpips": lpips(x, y)}


def _check(outputs: np.ndarray, prepared: Prepared, reference: Reference, config: Evaluation) -> None:
    size, count = prepared.image_size, len(prepared.images("test", "A"))
    if outputs.dtype != np.uint8 or outputs.ndim != 5 or len(outputs) == 0 or outputs.shape[1:] != (count, size, size, 3):
        raise UserError(
            f"outputs: found {outputs.dtype} {'×'.join(map(str, outputs.shape))}, expected uint8 K×{count}×{size}×{size}×3 "
            "(samples × test images × height × width × RGB); run the stage 'translate' again"
        )
    facts: Mapping[str, tuple[str, str]] = {
        "judge": (reference.judge, config.judge),
        "data_sha256": (reference.data_sha256, prepared.data_sha256),
    }
    for name, (found, expected) in facts.items():
        if found != expected:
            raise UserError(f"reference: its {name} is {found}, expected {expected}; run the stage 'reference' of this dataset again")
